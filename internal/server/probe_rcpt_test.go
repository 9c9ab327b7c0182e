package server

// rcptProbes: RCPT, its path, and who may be written to.
const rcptProbes = `
== RCPT before MAIL | RFC 5321 4.1.4
C: RCPT TO:<kim@contoso.example>
S: 503 5.5.2 Need mail command

== RCPT after the message | RFC 5321 4.1.1.4 | data
C: .
S: 250 2.6.0
C: RCPT TO:<kim@contoso.example>
S: 503 5.5.2

== recipients of several domains of ours | RFC 5321 3.3 | mail
C: RCPT TO:<kim@contoso.example>
S: 250 2.1.5 Recipient OK
C: RCPT TO:<lee@hub.contoso.example>
S: 250 2.1.5
C: RCPT TO:<max@a.b.contoso.example>
S: 250 2.1.5
C: DATA
S: 354
C: .
S: 250 2.6.0

== case is kept and does not matter in domains | RFC 5321 2.4 | mail
C: RCPT TO:<KiM@CoNtOsO.eXaMpLe>
S: 250 2.1.5
C: DATA
S: 354
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<KiM@CoNtOsO.eXaMpLe>

== a domain that is not ours | RFC 5321 3.6.2, 7.9 | mail
C: RCPT TO:<kim@fabrikam.example>
S: 550 5.7.54

== a domain that only ends like ours | RFC 5321 3.6.2 | mail
C: RCPT TO:<kim@evilcontoso.example>
S: 550 5.7.54
C: RCPT TO:<kim@contoso.example.fabrikam.example>
S: 550 5.7.54

== a domain that is not ours, with the right to relay | RFC 5321 3.6.2 | mail on=relay
C: RCPT TO:<kim@fabrikam.example>
S: 250 2.1.5
C: DATA
S: 354
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@fabrikam.example>

== relaying by a source route | RFC 5321 3.6.1, appendix C | mail
C: RCPT TO:<@contoso.example:kim@fabrikam.example>
S: 550 5.7.54

== a source route is taken off | RFC 5321 3.6.1, appendix C | mail
C: RCPT TO:<@a.example,@b.example:kim@contoso.example>
S: 250 2.1.5
C: DATA
S: 354
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>

== relaying by a percent sign | RFC 5321 7.9 | mail
C: RCPT TO:<kim%fabrikam.example@contoso.example>
S: 550 5.7.1

== relaying by an exclamation mark | RFC 5321 7.9 | mail
C: RCPT TO:<fabrikam.example!kim@contoso.example>
S: 550 5.7.1

== relaying by an at sign in quotes | RFC 5321 7.9 | mail
C: RCPT TO:<"kim@fabrikam.example"@contoso.example>
S: 550 5.7.1

== relaying by an escaped at sign | RFC 5321 7.9 | mail
C: RCPT TO:<"kim\@fabrikam.example"@contoso.example>
S: 550 5.7.1

== relaying through our own address | RFC 5321 7.9 | mail
C: RCPT TO:<"kim@fabrikam.example"@[127.0.0.1]>
S: 550 5.7.1

== routes in local parts with the right to relay | RFC 5321 7.9 | mail on=relay
C: RCPT TO:<kim%fabrikam.example@contoso.example>
S: 250 2.1.5

== postmaster without a domain | RFC 5321 4.5.1 | mail
C: RCPT TO:<postmaster>
S: 250 2.1.5
C: DATA
S: 354
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<postmaster@contoso.example>

== postmaster without a domain in any case | RFC 5321 4.1.1.3 | mail
C: RCPT TO:<PostMaster>
S: 250 2.1.5
C: DATA
S: 354
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<PostMaster@contoso.example>

== postmaster of every domain of ours | RFC 5321 4.5.1 | mail
C: RCPT TO:<postmaster@contoso.example>
S: 250
C: RCPT TO:<postmaster@hub.contoso.example>
S: 250

== postmaster of our name | RFC 5321 4.5.1 | mail
C: RCPT TO:<postmaster@edge.contoso.example>
S: 250

== postmaster of a domain that is not ours | RFC 5321 4.5.1 | mail
C: RCPT TO:<postmaster@fabrikam.example>
S: 550 5.7.54

== postmaster at our address | RFC 5321 4.5.1, RFC 3461 5.2.1 | mail
C: RCPT TO:<postmaster@[127.0.0.1]>
S: 250 2.1.5
C: DATA
S: 354
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<postmaster@contoso.example> ORCPT=rfc822;postmaster@[127.0.0.1]

== postmaster at our address, oddly written | RFC 5321 4.1.3 | mail
C: RCPT TO:<postmaster@[127.000.000.001]>
S: 250 2.1.5

== a local part alone that is not postmaster | RFC 5321 4.1.2, Forward-path | mail
C: RCPT TO:<kim>
S: 501 5.1.3

== postmaster in quotes without a domain | RFC 5321 4.1.1.3 | mail
C: RCPT TO:<"postmaster">
S: 501 5.1.3

== an address literal that is not ours | RFC 5321 4.1.3 | mail
C: RCPT TO:<kim@[192.0.2.99]>
S: 550 5.7.54
C: RCPT TO:<kim@[IPv6:2001:db8::99]>
S: 550 5.7.54

== RCPT with a null path | RFC 5321 4.1.1.3 | mail
C: RCPT TO:<>
S: 501 5.1.3

== RCPT without TO | RFC 5321 4.1.1.3 | mail
C: RCPT
S: 501
C: RCPT <kim@contoso.example>
S: 501
C: RCPT FROM:<kim@contoso.example>
S: 501
C: RCPT TO <kim@contoso.example>
S: 501

== RCPT without brackets | RFC 5321 4.1.2, Path | mail
C: RCPT TO:kim@contoso.example
S: 501 5.1.3

== RCPT with a bracket at the end alone | RFC 5321 4.1.2, Path | mail
C: RCPT TO:kim@contoso.example>
S: 501 5.1.3

== RCPT with an empty domain | RFC 5321 4.1.2, Mailbox | mail
C: RCPT TO:<kim@>
S: 501 5.1.3

== RCPT with a final dot | RFC 5321 2.3.5 | mail
C: RCPT TO:<kim@contoso.example.>
S: 501 5.1.3

== RCPT with a space in the local part | RFC 5321 4.1.2, Dot-string | mail
C: RCPT TO:<kim lee@contoso.example>
S: 501 5.1.3

== RCPT with a line break | RFC 5321 4.1.2 | mail
C: RCPT TO:<kim{lf}@contoso.example>
S: 500 5.5.2

== RCPT with what would be a parameter in quotes | RFC 5321 4.1.2, Quoted-string | mail
C: RCPT TO:<"x> NOTIFY=NEVER "@contoso.example>
S: 250 2.1.5
C: DATA
S: 354
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<"x> NOTIFY=NEVER "@contoso.example>

== RCPT with a parameter within the brackets | RFC 5321 4.1.2, Path | mail
C: RCPT TO:<x NOTIFY=NEVER@contoso.example>
S: 501 5.1.3

== RCPT with a local part of 64 octets | RFC 5321 4.5.3.1.1 | mail
C: RCPT TO:<{k*64}@contoso.example>
S: 250 2.1.5

== RCPT with a local part of 65 octets | RFC 5321 4.5.3.1.1 | mail
C: RCPT TO:<{k*65}@contoso.example>
S: 501 5.1.3

== a recipient twice is one | RFC 5321 3.3 | mail
C: RCPT TO:<kim@contoso.example>
S: 250
C: RCPT TO:<kim@Contoso.Example>
S: 250
C: RCPT TO:<"kim"@contoso.example>
S: 250
C: DATA
S: 354
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>

== local parts differ by case | RFC 5321 2.4 | mail
C: RCPT TO:<kim@contoso.example>
S: 250
C: RCPT TO:<Kim@contoso.example>
S: 250
C: DATA
S: 354
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H: RCPT TO:<Kim@contoso.example>

== one recipient refused, one taken | RFC 5321 3.3 | mail
C: RCPT TO:<kim@fabrikam.example>
S: 550
C: RCPT TO:<kim@contoso.example>
S: 250
C: DATA
S: 354
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H= for <kim@contoso.example>;

== all recipients refused | RFC 5321 3.3 | mail
C: RCPT TO:<kim@fabrikam.example>
S: 550
C: DATA
S: 503 5.5.2 Need rcpt command

== too many recipients | RFC 5321 4.5.3.1.10 | mail on=small
C: RCPT TO:<a@contoso.example>
S: 250
C: RCPT TO:<b@contoso.example>
S: 250
C: RCPT TO:<c@contoso.example>
S: 250
C: RCPT TO:<d@contoso.example>
S: 452 4.5.3 Too many recipients
C: RCPT TO:<a@contoso.example>
S: 250
C: DATA
S: 354
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<a@contoso.example>
H: RCPT TO:<b@contoso.example>
H: RCPT TO:<c@contoso.example>

== the count of recipients begins anew | RFC 5321 4.5.3.1.10 | mail on=small
C: RCPT TO:<a@contoso.example>
C: RCPT TO:<b@contoso.example>
C: RCPT TO:<c@contoso.example>
C: RSET
C: MAIL FROM:<bob@fabrikam.example>
C: RCPT TO:<d@contoso.example>
S: 250
S: 250
S: 250
S: 250 2.0.0
S: 250 2.1.0
S: 250 2.1.5

== a recipient alone is named in the trace | RFC 5321 4.4 | rcpt
C: DATA
S: 354
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H= by edge.contoso.example (*) with * id * for <kim@contoso.example>;

== RCPT with a parameter that nobody knows | RFC 5321 4.1.1.11 | mail
C: RCPT TO:<kim@contoso.example> FOO=bar
S: 555 5.5.4
C: RCPT TO:<kim@contoso.example> FOO
S: 555 5.5.4

== RCPT with a parameter of MAIL | RFC 1870 4 | mail
C: RCPT TO:<kim@contoso.example> SIZE=1
S: 555 5.5.4
C: RCPT TO:<kim@contoso.example> BODY=7BIT
S: 555 5.5.4
C: RCPT TO:<kim@contoso.example> RET=FULL
S: 555 5.5.4
C: RCPT TO:<kim@contoso.example> SMTPUTF8
S: 555 5.5.4

== RCPT that is refused adds nobody | RFC 5321 4.1.1.3 | mail
C: RCPT TO:<kim@contoso.example> FOO
S: 555
C: DATA
S: 503 5.5.2

== a recipient twice is told of as the first time | RFC 3461 4.1 | mail
C: RCPT TO:<kim@contoso.example> NOTIFY=NEVER
S: 250
C: RCPT TO:<kim@contoso.example> NOTIFY=SUCCESS
S: 250
C: DATA
S: 354
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example> NOTIFY=NEVER

== a long path in the trace | RFC 5322 2.1.1 | fresh
C: EHLO {abcdefghi.*25}abcde
S: 250
C: MAIL FROM:<bob@fabrikam.example>
S: 250
C: RCPT TO:<{k*64}@{abcdefghi.*17}contoso.example>
S: 250
C: DATA
S: 354
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<{k*64}@{abcdefghi.*17}contoso.example>
H= for <kkkk*contoso.example>;

== quotes in the trace | RFC 5321 4.4, For | mail
C: RCPT TO:<"a;b> by x"@contoso.example>
S: 250
C: DATA
S: 354
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<"a;b> by x"@contoso.example>

== our address as IPv4 within IPv6 | RFC 5321 4.1.3 | mail
C: RCPT TO:<postmaster@[IPv6:::ffff:127.0.0.1]>
S: 250 2.1.5

== somebody else at our address | RFC 5321 4.1.3 | mail
C: RCPT TO:<kim@[127.0.0.1]>
S: 250 2.1.5
C: DATA
S: 354
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example> ORCPT=rfc822;kim@[127.0.0.1]
`
