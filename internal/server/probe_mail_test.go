package server

// mailProbes: MAIL, its path and its parameters.
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

== SIZE below the limit | RFC 1870 6.1
C: MAIL FROM:<bob@fabrikam.example> SIZE=37748736
S: 250 2.1.0

== SIZE above the limit | RFC 1870 6.1
C: MAIL FROM:<bob@fabrikam.example> SIZE=37748737
S: 552 5.3.4
C: MAIL FROM:<bob@fabrikam.example> SIZE=1000
S: 250

== SIZE of nothing | RFC 1870 3
C: MAIL FROM:<bob@fabrikam.example> SIZE=0
S: 250

== SIZE of 20 digits | RFC 1870 3
C: MAIL FROM:<bob@fabrikam.example> SIZE=00000000000000000001
S: 250

== SIZE of more than 32 and 64 bits | RFC 1870 3
C: MAIL FROM:<bob@fabrikam.example> SIZE=4294967297
S: 552 5.3.4
C: MAIL FROM:<bob@fabrikam.example> SIZE=18446744073709551617
S: 552 5.3.4
C: MAIL FROM:<bob@fabrikam.example> SIZE=99999999999999999999
S: 552 5.3.4

== SIZE of 21 digits | RFC 1870 3
C: MAIL FROM:<bob@fabrikam.example> SIZE=000000000000000000001
S: 501 5.5.4

== SIZE that is no number | RFC 1870 3
C: MAIL FROM:<bob@fabrikam.example> SIZE=ten
S: 501 5.5.4
C: MAIL FROM:<bob@fabrikam.example> SIZE=-1
S: 501 5.5.4
C: MAIL FROM:<bob@fabrikam.example> SIZE=+1
S: 501 5.5.4
C: MAIL FROM:<bob@fabrikam.example> SIZE=1.5
S: 501 5.5.4
C: MAIL FROM:<bob@fabrikam.example> SIZE=0x10
S: 501 5.5.4

== SIZE without a value | RFC 1870 3
C: MAIL FROM:<bob@fabrikam.example> SIZE
S: 501 5.5.4
C: MAIL FROM:<bob@fabrikam.example> SIZE=
S: 501 5.5.4

== SIZE twice | RFC 5321 4.1.1.11
C: MAIL FROM:<bob@fabrikam.example> SIZE=1 SIZE=2
S: 501 5.5.4

== SIZE in any case | RFC 5321 2.4
C: MAIL FROM:<bob@fabrikam.example> size=1 Body=8bitmime
S: 250

== SIZE that was a lie | RFC 1870 6.3
C: MAIL FROM:<bob@fabrikam.example> SIZE=3
S: 250
C: RCPT TO:<kim@contoso.example>
S: 250
C: DATA
S: 354
C: Subject: more than three octets
C:
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>

== SIZE where it is not offered | RFC 5321 4.1.1.11 | on=plain
C: MAIL FROM:<bob@fabrikam.example> SIZE=1
S: 555

== a parameter that nobody knows | RFC 5321 4.1.1.11
C: MAIL FROM:<bob@fabrikam.example> FOO=bar
S: 555 5.5.4
C: MAIL FROM:<bob@fabrikam.example> FOO
S: 555 5.5.4
C: MAIL FROM:<bob@fabrikam.example> SIZE=1 X-FOO=bar
S: 555 5.5.4

== a parameter of extensions that are not offered | RFC 5321 4.1.1.11
C: MAIL FROM:<bob@fabrikam.example> HOLDFOR=60
S: 555 5.5.4
C: MAIL FROM:<bob@fabrikam.example> BY=60;R
S: 555 5.5.4
C: MAIL FROM:<bob@fabrikam.example> MT-PRIORITY=3
S: 555 5.5.4

== a parameter of RCPT | RFC 3461 4.1
C: MAIL FROM:<bob@fabrikam.example> NOTIFY=NEVER
S: 555 5.5.4
C: MAIL FROM:<bob@fabrikam.example> ORCPT=rfc822;kim@contoso.example
S: 555 5.5.4

== AUTH= where AUTH is not offered | RFC 4954 5
C: MAIL FROM:<bob@fabrikam.example> AUTH=<>
S: 555 5.5.4

== a parameter without a space before it | RFC 5321 4.1.2, Mail-parameters
C: MAIL FROM:<bob@fabrikam.example>SIZE=1
S: 501

== a parameter without a keyword | RFC 5321 4.1.2, esmtp-keyword
C: MAIL FROM:<bob@fabrikam.example> =1
S: 501 5.5.4

== a keyword that begins with a hyphen | RFC 5321 4.1.2, esmtp-keyword
C: MAIL FROM:<bob@fabrikam.example> -SIZE=1
S: 501 5.5.4

== a keyword with an underscore | RFC 5321 4.1.2, esmtp-keyword
C: MAIL FROM:<bob@fabrikam.example> SI_ZE=1
S: 501 5.5.4

== a value with an equals sign | RFC 5321 4.1.2, esmtp-value
C: MAIL FROM:<bob@fabrikam.example> SIZE=1=2
S: 501 5.5.4

== a parameter without a path | RFC 5321 4.1.1.2
C: MAIL FROM: SIZE=1
S: 501

== parameters with more than a space between | RFC 5321 4.1.1
C: MAIL FROM:<bob@fabrikam.example>  SIZE=1   BODY=7BIT
S: 250

== BODY | RFC 6152 2
C: MAIL FROM:<bob@fabrikam.example> BODY=7BIT
S: 250
C: RSET
S: 250
C: MAIL FROM:<bob@fabrikam.example> BODY=8BITMIME
S: 250
C: RSET
S: 250
C: MAIL FROM:<bob@fabrikam.example> BODY=BINARYMIME
S: 250

== BODY of another kind | RFC 6152 2
C: MAIL FROM:<bob@fabrikam.example> BODY=9BIT
S: 501 5.5.4
C: MAIL FROM:<bob@fabrikam.example> BODY=
S: 501 5.5.4
C: MAIL FROM:<bob@fabrikam.example> BODY
S: 501 5.5.4

== BODY goes on to the next hop | RFC 6152 3
C: MAIL FROM:<bob@fabrikam.example> BODY=8BITMIME
S: 250
C: RCPT TO:<kim@contoso.example>
S: 250
C: DATA
S: 354
C: Subject: x
C:
C: gr{xfc}n
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example> BODY=8BITMIME
H: RCPT TO:<kim@contoso.example>
H> Subject: x
H>
H> gr{xfc}n

== BODY where it is not offered | RFC 5321 4.1.1.11 | on=plain
C: MAIL FROM:<bob@fabrikam.example> BODY=8BITMIME
S: 555
`
