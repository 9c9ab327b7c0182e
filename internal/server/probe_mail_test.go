package server

// mailProbes: MAIL and its path.
const mailProbes = `
== MAIL with the null reverse path | RFC 5321 4.5.5
C: MAIL FROM:<>
S: 250 2.1.0 Sender OK
C: RCPT TO:<kim@contoso.example>
S: 250
C: DATA
S: 354
C: .
S: 250 2.6.0
H: MAIL FROM:<>
H: RCPT TO:<kim@contoso.example>

== MAIL twice | RFC 5321 4.1.4
C: MAIL FROM:<bob@fabrikam.example>
S: 250
C: MAIL FROM:<eve@fabrikam.example>
S: 503 5.5.2 Sender already specified
C: RCPT TO:<kim@contoso.example>
S: 250
C: DATA
S: 354
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>

== MAIL that is refused may be said again | RFC 5321 4.1.4
C: MAIL FROM:<bob>
S: 501 5.1.7
C: MAIL FROM:<bob@fabrikam.example>
S: 250

== MAIL without the right to submit | RFC 4954 6 | on=nosubmit
C: MAIL FROM:<bob@fabrikam.example>
S: 530 5.7.57
C: RCPT TO:<kim@contoso.example>
S: 503 5.5.2

== MAIL without FROM | RFC 5321 4.1.1.2
C: MAIL
S: 501 5.5.4
C: MAIL <bob@fabrikam.example>
S: 501 5.5.4
C: MAIL TO:<bob@fabrikam.example>
S: 501 5.5.4

== MAIL without a path | RFC 5321 4.1.1.2
C: MAIL FROM:
S: 501

== MAIL without brackets | RFC 5321 4.1.2, Path
C: MAIL FROM:bob@fabrikam.example
S: 501 5.1.7 Invalid address

== MAIL with one bracket | RFC 5321 4.1.2, Path
C: MAIL FROM:<bob@fabrikam.example
S: 501 5.1.7

== MAIL with a second bracket | RFC 5321 4.1.2, Path
C: MAIL FROM:<<bob@fabrikam.example>>
S: 501 5.1.7

== MAIL with a phrase | RFC 5321 4.1.2, Path
C: MAIL FROM:Bob <bob@fabrikam.example>
S: 501

== MAIL with a comment | RFC 5321 4.1.2, Path
C: MAIL FROM:<bob(comment)@fabrikam.example>
S: 501 5.1.7

== MAIL with two mailboxes | RFC 5321 4.1.2, Path
C: MAIL FROM:<bob@fabrikam.example,eve@fabrikam.example>
S: 501 5.1.7

== MAIL with a space before the colon | RFC 5321 4.1.1.2
C: MAIL FROM :<bob@fabrikam.example>
S: 501

== MAIL with two spaces behind the verb | RFC 5321 4.1.1.2
C: MAIL  FROM:<bob@fabrikam.example>
S: 501

== MAIL with a tab behind the verb | RFC 5321 4.1.1
C: MAIL{tab}FROM:<bob@fabrikam.example>
S: 500

== MAIL with spaces within the path | RFC 5321 4.1.2, Path
C: MAIL FROM:< bob@fabrikam.example >
S: 501 5.1.7

== MAIL with white space at the end | RFC 5321 4.1.1
C: MAIL FROM:<bob@fabrikam.example> {sp}{tab}
S: 250 2.1.0

== MAIL with a source route | RFC 5321 4.1.2, appendix C
C: MAIL FROM:<@a.example,@b.example:bob@fabrikam.example>
S: 250 2.1.0
C: RCPT TO:<kim@contoso.example>
S: 250
C: DATA
S: 354
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>

== MAIL with a source route and no mailbox | RFC 5321 4.1.2, Path
C: MAIL FROM:<@a.example:>
S: 501 5.1.7

== MAIL with a source route without a colon | RFC 5321 4.1.2, A-d-l
C: MAIL FROM:<@a.example>
S: 501 5.1.7

== MAIL with a source route with a space | RFC 5321 4.1.2, A-d-l
C: MAIL FROM:<@a.example, @b.example:bob@fabrikam.example>
S: 501 5.1.7

== MAIL with a source route without its second at sign | RFC 5321 4.1.2, At-domain
C: MAIL FROM:<@a.example,b.example:bob@fabrikam.example>
S: 501 5.1.7

== MAIL without a domain | RFC 5321 4.1.2, Mailbox
C: MAIL FROM:<bob>
S: 501 5.1.7

== MAIL with an empty domain | RFC 5321 4.1.2, Mailbox
C: MAIL FROM:<bob@>
S: 501 5.1.7

== MAIL from postmaster without a domain | RFC 5321 4.1.1.2
C: MAIL FROM:<postmaster>
S: 501 5.1.7

== MAIL with an empty local part | RFC 5321 4.1.2, Local-part
C: MAIL FROM:<@fabrikam.example>
S: 501 5.1.7

== MAIL with an empty quoted local part | RFC 5321 4.1.2, Quoted-string
C: MAIL FROM:<""@fabrikam.example>
S: 250 2.1.0

== MAIL with a local part of every atext | RFC 5322 3.2.3
C: MAIL FROM:<a!#$%&'*+-/=?^_{x60}{x7b}|{x7d}~9@fabrikam.example>
S: 250 2.1.0
C: RCPT TO:<kim@contoso.example>
S: 250
C: DATA
S: 354
C: .
S: 250 2.6.0
H: MAIL FROM:<a!#$%&'*+-/=?^_{x60}{x7b}|{x7d}~9@fabrikam.example>
H: RCPT TO:<kim@contoso.example>

== MAIL with a quoted local part | RFC 5321 4.1.2, Quoted-string
C: MAIL FROM:<"bob smith"@fabrikam.example>
S: 250 2.1.0
C: RCPT TO:<kim@contoso.example>
S: 250
C: DATA
S: 354
C: .
S: 250 2.6.0
H: MAIL FROM:<"bob smith"@fabrikam.example>
H: RCPT TO:<kim@contoso.example>

== MAIL with what would be a parameter in quotes | RFC 5321 4.1.2, Quoted-string
C: MAIL FROM:<"x> SIZE=1 "@fabrikam.example>
S: 250 2.1.0
C: RCPT TO:<kim@contoso.example>
S: 250
C: DATA
S: 354
C: .
S: 250 2.6.0
H: MAIL FROM:<"x> SIZE=1 "@fabrikam.example>
H: RCPT TO:<kim@contoso.example>

== MAIL with quoted pairs | RFC 5321 4.1.2, quoted-pairSMTP
C: MAIL FROM:<"b\"o\\b\@"@fabrikam.example>
S: 250 2.1.0

== MAIL with a quoted pair outside quotes | RFC 5321 4.1.2, Dot-string
C: MAIL FROM:<b\@b@fabrikam.example>
S: 501 5.1.7

== MAIL with quotes that do not end | RFC 5321 4.1.2, Quoted-string
C: MAIL FROM:<"bob@fabrikam.example>
S: 501 5.1.7

== MAIL with text behind the quotes | RFC 5321 4.1.2, Local-part
C: MAIL FROM:<"bob"x@fabrikam.example>
S: 501 5.1.7

== MAIL with quotes in the midst | RFC 5321 4.1.2, Local-part
C: MAIL FROM:<bob."x"@fabrikam.example>
S: 501 5.1.7

== MAIL with a tab in quotes | RFC 5321 4.1.2, qtextSMTP
C: MAIL FROM:<"a{tab}b"@fabrikam.example>
S: 501 5.1.7

== MAIL with a NUL in quotes | RFC 5321 4.1.2, qtextSMTP
C: MAIL FROM:<"a{x00}b"@fabrikam.example>
S: 501

== MAIL with a DEL | RFC 5321 4.1.2, atext
C: MAIL FROM:<a{x7f}b@fabrikam.example>
S: 501

== MAIL with a dot at the beginning | RFC 5321 4.1.2, Dot-string
C: MAIL FROM:<.bob@fabrikam.example>
S: 501 5.1.7

== MAIL with a dot before the at sign | RFC 5321 4.1.2, Dot-string
C: MAIL FROM:<bob.@fabrikam.example>
S: 501 5.1.7

== MAIL with two dots in a row | RFC 5321 4.1.2, Dot-string
C: MAIL FROM:<b..b@fabrikam.example>
S: 501 5.1.7

== MAIL with two at signs | RFC 5321 4.1.2, Mailbox
C: MAIL FROM:<bob@a.example@fabrikam.example>
S: 501 5.1.7

== MAIL with a local part of 64 octets | RFC 5321 4.5.3.1.1
C: MAIL FROM:<{a*64}@fabrikam.example>
S: 250 2.1.0

== MAIL with a local part of 65 octets | RFC 5321 4.5.3.1.1
C: MAIL FROM:<{a*65}@fabrikam.example>
S: 501 5.1.7

== MAIL with a path of 256 octets | RFC 5321 4.5.3.1.3
C: MAIL FROM:<{a*64}@{abcdefghi.*18}abcdefghi>
S: 250 2.1.0

== MAIL with a path of 257 octets | RFC 5321 4.5.3.1.3
C: MAIL FROM:<{a*64}@{abcdefghi.*18}abcdefghij>
S: 501 5.1.7

== MAIL with an underscore in the domain | RFC 5321 4.1.2, sub-domain
C: MAIL FROM:<bob@fab_rikam.example>
S: 501 5.1.7

== MAIL with a final dot in the domain | RFC 5321 2.3.5
C: MAIL FROM:<bob@fabrikam.example.>
S: 501 5.1.7

== MAIL with a label that begins with a hyphen | RFC 5321 4.1.2, sub-domain
C: MAIL FROM:<bob@-fabrikam.example>
S: 501 5.1.7

== MAIL with a single label | RFC 5321 4.1.2, Domain
C: MAIL FROM:<bob@fabrikam>
S: 250 2.1.0

== MAIL with an IPv4 literal | RFC 5321 4.1.3
C: MAIL FROM:<bob@[192.0.2.1]>
S: 250 2.1.0

== MAIL with an IPv6 literal | RFC 5321 4.1.3
C: MAIL FROM:<bob@[IPv6:2001:db8::1]>
S: 250 2.1.0

== MAIL with a literal out of range | RFC 5321 4.1.3
C: MAIL FROM:<bob@[192.0.2.999]>
S: 501 5.1.7

== MAIL with an address without brackets for a literal | RFC 5321 4.1.3
C: MAIL FROM:<bob@2001:db8::1>
S: 501 5.1.7

== a sender in our domain, refused | RFC 5321 7.1 | on=nospoof
C: MAIL FROM:<kim@contoso.example>
S: 550 5.7.1
C: MAIL FROM:<kim@CONTOSO.example>
S: 550 5.7.1
C: MAIL FROM:<@a.example:kim@contoso.example>
S: 550 5.7.1
C: MAIL FROM:<"kim"@hub.contoso.example>
S: 550 5.7.1
C: MAIL FROM:<kim@[127.0.0.1]>
S: 550 5.7.1
C: MAIL FROM:<kim@[127.000.000.001]>
S: 550 5.7.1
C: MAIL FROM:<>
S: 250

== MAIL with IPv6 literals that are none | RFC 5321 4.1.3
C: MAIL FROM:<bob@[IPv6:1::2::3]>
S: 501 5.1.7
C: MAIL FROM:<bob@[IPv6:192.0.2.1]>
S: 501 5.1.7
C: MAIL FROM:<bob@[IPv6: ::1]>
S: 501 5.1.7
C: MAIL FROM:<bob@[IPv6:]>
S: 501 5.1.7
C: MAIL FROM:<bob@[IPv6:12345::1]>
S: 501 5.1.7
C: MAIL FROM:<bob@[]>
S: 501 5.1.7
C: MAIL FROM:<bob@[192.0.2.1>
S: 501 5.1.7
C: MAIL FROM:<bob@192.0.2.1]>
S: 501 5.1.7
C: MAIL FROM:<bob@[192.0.2.0001]>
S: 501 5.1.7
C: MAIL FROM:<bob@[192.0.2.]>
S: 501 5.1.7
`
