package server

// utf8Probes: SMTPUTF8.
const utf8Probes = `
== addresses in UTF-8 | RFC 6531 3.3
C: MAIL FROM:<bób@fabrikam.example> SMTPUTF8
S: 250 2.1.0
C: RCPT TO:<kím@contoso.example>
S: 250 2.1.5
C: DATA
S: 354
C: Subject: grüße
C:
C: .
S: 250 2.6.0
H: MAIL FROM:<bób@fabrikam.example> SMTPUTF8
H: RCPT TO:<kím@contoso.example>
H> Subject: grüße
H>
H= with UTF8SMTP*

== addresses in UTF-8 with 8BITMIME | RFC 6531 3.6
C: MAIL FROM:<bób@fabrikam.example> BODY=8BITMIME SMTPUTF8
S: 250
C: RCPT TO:<kim@contoso.example>
S: 250
C: DATA
S: 354
C: .
S: 250 2.6.0
H: MAIL FROM:<bób@fabrikam.example> BODY=8BITMIME SMTPUTF8
H: RCPT TO:<kim@contoso.example>

== a sender in UTF-8 without SMTPUTF8 | RFC 6531 3.5
C: MAIL FROM:<bób@fabrikam.example>
S: 553 5.6.7
C: MAIL FROM:<bob@fabrikam.example>
S: 250

== a recipient in UTF-8 without SMTPUTF8 | RFC 6531 3.5 | mail
C: RCPT TO:<kím@contoso.example>
S: 553 5.6.7
C: RCPT TO:<kim@contoso.example>
S: 250

== a U-label without SMTPUTF8 | RFC 6531 3.5 | mail
C: RCPT TO:<kim@bücher.example>
S: 553 5.6.7

== a U-label | RFC 6531 3.3
C: MAIL FROM:<bob@fabrikam.example> SMTPUTF8
S: 250
C: RCPT TO:<kim@bücher.example>
S: 250
C: RCPT TO:<lee@xn--bcher-kva.example>
S: 250
C: RCPT TO:<max@BÜCHER.example>
S: 250
C: RCPT TO:<max@bucher.example>
S: 550 5.7.54

== an A-label of a domain of ours without SMTPUTF8 | RFC 5890 2.3.2.1 | mail
C: RCPT TO:<kim@xn--bcher-kva.example>
S: 250
C: DATA
S: 354
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@xn--bcher-kva.example>

== SMTPUTF8 with a value | RFC 6531 3.4
C: MAIL FROM:<bob@fabrikam.example> SMTPUTF8=1
S: 501 5.5.4
C: MAIL FROM:<bob@fabrikam.example> SMTPUTF8=
S: 501 5.5.4

== SMTPUTF8 twice | RFC 5321 4.1.1.11
C: MAIL FROM:<bob@fabrikam.example> SMTPUTF8 SMTPUTF8
S: 501 5.5.4

== SMTPUTF8 where it is not offered | RFC 5321 4.1.1.11 | on=plain
C: MAIL FROM:<bob@fabrikam.example> SMTPUTF8
S: 555

== a sender in UTF-8 where it is not offered | RFC 5321 2.3.1 | on=plain
C: MAIL FROM:<bób@fabrikam.example>
S: 55*

== octets that are no UTF-8 | RFC 6531 3.3
C: MAIL FROM:<b{xf3}b@fabrikam.example> SMTPUTF8
S: 501 5.1.7

== an overlong encoding | RFC 3629 3
C: MAIL FROM:<b{xc0}{xaf}b@fabrikam.example> SMTPUTF8
S: 501 5.1.7

== a surrogate | RFC 3629 3
C: MAIL FROM:<b{xed}{xa0}{x80}b@fabrikam.example> SMTPUTF8
S: 501 5.1.7

== a control of the C1 set | RFC 6530 8, RFC 5198 2
C: MAIL FROM:<b{xc2}{x85}b@fabrikam.example> SMTPUTF8
S: 501 5.1.7

== UTF-8 in quotes | RFC 6531 3.3
C: MAIL FROM:<"bób smith"@fabrikam.example> SMTPUTF8
S: 250

== a quoted pair of UTF-8 | RFC 6531 3.3
C: MAIL FROM:<"b\ób"@fabrikam.example> SMTPUTF8
S: 501 5.1.7

== a full-width dot is no dot | RFC 5890 2.3.2.1
C: MAIL FROM:<bob@fabrikam。example> SMTPUTF8
S: 501 5.1.7

== a full-width at sign is no at sign | RFC 6531 3.3
C: MAIL FROM:<bob＠fabrikam.example> SMTPUTF8
S: 501 5.1.7

== a U-label that is none | RFC 5890 2.3.2.1
C: MAIL FROM:<bob@fa--bríkam.example> SMTPUTF8
S: 501 5.1.7

== an emoji in a local part | RFC 6531 3.3
C: MAIL FROM:<b☃b@fabrikam.example> SMTPUTF8
S: 250

== a local part of 64 octets in UTF-8 | RFC 5321 4.5.3.1.1
C: MAIL FROM:<{ö*32}@fabrikam.example> SMTPUTF8
S: 250
C: RSET
S: 250
C: MAIL FROM:<{ö*32}a@fabrikam.example> SMTPUTF8
S: 501 5.1.7

== SMTPUTF8 that was of no use | RFC 6531 3.6
C: MAIL FROM:<bob@fabrikam.example> SMTPUTF8
S: 250
C: RCPT TO:<kim@contoso.example>
S: 250
C: DATA
S: 354
C: Subject: plain
C:
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>

== SMTPUTF8 holds for one transaction | RFC 6531 3.4
C: MAIL FROM:<bob@fabrikam.example> SMTPUTF8
S: 250
C: RCPT TO:<kím@contoso.example>
S: 250
C: RSET
S: 250
C: MAIL FROM:<bob@fabrikam.example>
S: 250
C: RCPT TO:<kím@contoso.example>
S: 553 5.6.7

== local parts in UTF-8 are compared octet by octet | RFC 6532 3.1
C: MAIL FROM:<bob@fabrikam.example> SMTPUTF8
S: 250
C: RCPT TO:<k{xc3}{xad}m@contoso.example>
S: 250
C: RCPT TO:<ki{xcc}{x81}m@contoso.example>
S: 250
C: DATA
S: 354
C: .
S: 250
H: MAIL FROM:<bob@fabrikam.example> SMTPUTF8
H: RCPT TO:<k{xc3}{xad}m@contoso.example>
H: RCPT TO:<ki{xcc}{x81}m@contoso.example>

== VRFY of a name in UTF-8 | RFC 6531 3.7.4.2
C: VRFY kím SMTPUTF8
S: 252

== SMTPUTF8 behind HELO | RFC 6531 4.3 | fresh
C: HELO client.example
S: 250
C: MAIL FROM:<bób@fabrikam.example> SMTPUTF8
S: 250
C: RCPT TO:<kim@contoso.example>
S: 250
C: DATA
S: 354
C: .
S: 250
H: MAIL FROM:<bób@fabrikam.example> SMTPUTF8
H: RCPT TO:<kim@contoso.example>
H= with UTF8SMTP*

== relaying by a full-width percent sign | RFC 5321 7.9
C: MAIL FROM:<bob@fabrikam.example> SMTPUTF8
S: 250
C: RCPT TO:<kim％fabrikam.example@contoso.example>
S: 250
`
