package server

// greetingProbes: the greeting, HELO and EHLO.
const greetingProbes = `
== EHLO in clear text lists the extensions | RFC 5321 4.1.1.1 | fresh in=clear
C: EHLO client.example
S: 250-edge.contoso.example Hello [127.0.0.1]
S: 250-SIZE 37748736
S: 250-PIPELINING
S: 250-DSN
S: 250-ENHANCEDSTATUSCODES
S: 250-STARTTLS
S: 250-8BITMIME
S: 250-BINARYMIME
S: 250-CHUNKING
S: 250-SMTPUTF8
S: 250 LIMITS RCPTMAX=200

== EHLO within TLS lists them again | RFC 3207 4.2, RFC 8689 2 | fresh in=tls
C: EHLO client.example
S: 250-edge.contoso.example Hello *
S: 250-SIZE 37748736
S: 250-PIPELINING
S: 250-DSN
S: 250-ENHANCEDSTATUSCODES
S: 250-8BITMIME
S: 250-BINARYMIME
S: 250-CHUNKING
S: 250-SMTPUTF8
S: 250-REQUIRETLS
S: 250 LIMITS RCPTMAX=200

== STARTTLS is not offered within TLS | RFC 3207 4.2 | fresh in=tls
C: EHLO client.example
S! *STARTTLS*
S: 250

== AUTH is not offered where nobody can authenticate | RFC 4954 4 | fresh
C: EHLO client.example
S! 250-AUTH*
S! 250 AUTH*
S: 250

== EHLO of a server without extensions | RFC 5321 4.1.1.1 | fresh on=plain in=tls
C: EHLO client.example
S! 250-*
S: 250 edge.contoso.example Hello *

== SIZE without a limit has no number | RFC 1870 3 | fresh on=unsized
C: EHLO client.example
S: 250-...
S: 250-SIZE
S: 250-...
S: 250 LIMITS RCPTMAX=200

== SIZE and LIMITS name what holds | RFC 1870 3, RFC 9422 4 | fresh on=small
C: EHLO client.example
S: 250-...
S: 250-SIZE 65536
S: 250-...
S: 250 LIMITS RCPTMAX=3

== HELO is answered by one line | RFC 5321 4.1.1.1 | fresh
C: HELO client.example
S! 250-*
S: 250 edge.contoso.example Hello *

== HELO is enough for mail | RFC 5321 4.1.4 | fresh
C: HELO client.example
S: 250
C: MAIL FROM:<bob@fabrikam.example>
S: 250 2.1.0 Sender OK
C: RCPT TO:<kim@contoso.example>
S: 250 2.1.5 Recipient OK
C: DATA
S: 354
C: Subject: x
C:
C: body
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H= from client.example (
H= with SMTP 
H> Subject: x
H>
H> body

== verbs in any case | RFC 5321 2.4 | fresh
C: eHlO client.example
S: 250
C: mAiL fRoM:<Bob@Fabrikam.example>
S: 250 2.1.0
C: rcpt to:<Kim@Contoso.Example>
S: 250 2.1.5
C: data
S: 354
C: .
S: 250 2.6.0
H: MAIL FROM:<Bob@Fabrikam.example>
H: RCPT TO:<Kim@Contoso.Example>

== EHLO without a name | RFC 5321 4.1.1.1 | fresh
C: EHLO
S: 501 5.0.0 HELO / EHLO requires domain address
C: HELO
S: 501 5.0.0 HELO / EHLO requires domain address
C: EHLO {sp}
S: 501 5.0.0
C: EHLO client.example
S: 250

== EHLO without a name where none is asked for | RFC 5321 4.1.1.1 | fresh on=any
C: EHLO
S: 250
C: MAIL FROM:<>
S: 250 2.1.0

== EHLO with an IPv4 literal | RFC 5321 4.1.3 | fresh
C: EHLO [192.0.2.1]
S: 250

== EHLO with an IPv4 literal with leading zeros | RFC 5321 4.1.3, Snum | fresh
C: EHLO [192.000.002.001]
S: 250

== EHLO with an IPv6 literal | RFC 5321 4.1.3 | fresh
C: EHLO [IPv6:2001:db8::1]
S: 250
C: EHLO [ipv6:2001:DB8:0:0:0:0:0:1]
S: 250
C: EHLO [IPv6:::ffff:192.0.2.1]
S: 250

== EHLO with a literal of another kind | RFC 5321 4.1.3, General-address-literal | fresh
C: EHLO [x-net:a1]
S: 250

== EHLO with an IPv4 literal out of range | RFC 5321 4.1.3 | fresh
C: EHLO [192.0.2.256]
S: 501 5.5.4 Invalid domain name

== EHLO with three numbers in a literal | RFC 5321 4.1.3 | fresh
C: EHLO [192.0.2]
S: 501 5.5.4

== EHLO with five numbers in a literal | RFC 5321 4.1.3 | fresh
C: EHLO [192.0.2.1.1]
S: 501 5.5.4

== EHLO with an IPv6 literal without its tag | RFC 5321 4.1.3 | fresh
C: EHLO [2001:db8::1]
S: 501 5.5.4

== EHLO with an IPv6 literal with a zone | RFC 5321 4.1.3 | fresh
C: EHLO [IPv6:fe80::1%eth0]
S: 501 5.5.4

== EHLO with a literal that does not end | RFC 5321 4.1.3 | fresh
C: EHLO [192.0.2.1
S: 501 5.5.4

== EHLO with something behind the literal | RFC 5321 4.1.3 | fresh
C: EHLO [192.0.2.1]x
S: 501 5.5.4

== EHLO with an empty literal | RFC 5321 4.1.3 | fresh
C: EHLO []
S: 501 5.5.4

== EHLO with an address that is not bracketed | RFC 5321 4.1.2, Domain | fresh
C: EHLO 192.0.2.1
S: 250

== EHLO with a single label | RFC 5321 4.1.2, Domain | fresh
C: EHLO localhost
S: 250

== EHLO with a label of 63 octets | RFC 1035 2.3.4 | fresh
C: EHLO {a*63}.example
S: 250

== EHLO with a label of 64 octets | RFC 1035 2.3.4 | fresh
C: EHLO {a*64}.example
S: 501 5.5.4

== EHLO with a name of 255 octets | RFC 5321 4.5.3.1.2 | fresh
C: EHLO {abcdefghi.*25}abcde
S: 250

== EHLO with a name of 256 octets | RFC 5321 4.5.3.1.2 | fresh
C: EHLO {abcdefghi.*25}abcdef
S: 501 5.5.4

== EHLO with an underscore | RFC 5321 4.1.2, Domain | fresh
C: EHLO my_host.example
S: 501 5.5.4 Invalid domain name

== EHLO with a label that begins with a hyphen | RFC 5321 4.1.2, sub-domain | fresh
C: EHLO -a.example
S: 501 5.5.4

== EHLO with a label that ends with a hyphen | RFC 5321 4.1.2, sub-domain | fresh
C: EHLO a-.example
S: 501 5.5.4

== EHLO with two hyphens in the midst | RFC 5321 4.1.2, Ldh-str | fresh
C: EHLO xn--bcher-kva.example
S: 250

== EHLO with two dots | RFC 5321 4.1.2, Domain | fresh
C: EHLO a..example
S: 501 5.5.4

== EHLO with a dot at the beginning | RFC 5321 4.1.2, Domain | fresh
C: EHLO .a.example
S: 501 5.5.4

== EHLO with a final dot | RFC 5321 2.3.5 | fresh
C: EHLO client.example.
S: 501 5.5.4

== EHLO with a final dot, lenient | RFC 5321 2.3.5 | fresh on=lenient
C: EHLO client.example.{sp}
S: 250

== EHLO with two names | RFC 5321 4.1.1.1 | fresh
C: EHLO client.example other.example
S: 501 5.5.4

== EHLO with a space behind the name | RFC 5321 4.1.1.1 | fresh
C: EHLO client.example{sp}
S: 501 5.5.4

== EHLO with two spaces before the name | RFC 5321 4.1.1.1 | fresh
C: EHLO {sp}client.example
S: 501 5.5.4

== EHLO with a U-label | RFC 6531 3.7.1 | fresh
C: EHLO bücher.example
S: 501 5.5.4

== EHLO with an octet that is no character | RFC 5321 2.3.1 | fresh
C: EHLO a{xff}.example
S: 501

== EHLO with a NUL | RFC 5321 4.1.2 | fresh
C: EHLO a{x00}.example
S: 501 5.5.4

== what a client calls itself is not said back | RFC 5321 4.1.1.1 | fresh on=any
C: EHLO <script>alert(1)</script>
S! *script*
S: 250

== an address in the name is made harmless in the trace | RFC 5321 4.4 | fresh on=any
C: EHLO a) (b@c.example <x>
S: 250
C: MAIL FROM:<bob@fabrikam.example>
S: 250
C: RCPT TO:<kim@contoso.example>
S: 250
C: DATA
S: 354
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H= from a???b?c.example??x? (

== MAIL before EHLO | RFC 5321 4.1.4 | fresh
C: MAIL FROM:<bob@fabrikam.example>
S: 503 5.5.2 Send hello first

== RCPT before EHLO | RFC 5321 4.1.4 | fresh
C: RCPT TO:<kim@contoso.example>
S: 503 5.5.2

== DATA before EHLO | RFC 5321 4.1.4 | fresh
C: DATA
S: 503 5.5.2

== what needs no EHLO | RFC 5321 4.1.4 | fresh
C: NOOP
S: 250 2.0.0
C: RSET
S: 250 2.0.0
C: HELP
S: 214-2.0.0
S: 214 2.0.0
C: VRFY postmaster
S: 252
C: EXPN staff
S: 502 5.5.1

== MAIL after an EHLO that was refused | RFC 5321 4.1.4 | fresh
C: EHLO a_b
S: 501
C: MAIL FROM:<>
S: 503 5.5.2

== an EHLO that is refused changes nothing | RFC 5321 4.1.4 | rcpt
C: EHLO a_b
S: 501
C: DATA
S: 354
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H= from client.example (

== EHLO again ends the transaction | RFC 5321 4.1.4 | rcpt
C: EHLO other.example
S: 250
C: DATA
S: 503 5.5.2
C: RCPT TO:<kim@contoso.example>
S: 503 5.5.2

== HELO again ends the transaction | RFC 5321 4.1.4 | rcpt
C: HELO other.example
S: 250
C: DATA
S: 503 5.5.2

== the name that counts is the last | RFC 5321 4.1.4 | hello
C: EHLO second.example
S: 250
C: MAIL FROM:<bob@fabrikam.example>
S: 250
C: RCPT TO:<kim@contoso.example>
S: 250
C: DATA
S: 354
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H= from second.example (

== EHLO behind DATA that was refused | RFC 5321 4.1.4 | mail
C: DATA
S: 503 5.5.2
C: EHLO client.example
S: 250
`
