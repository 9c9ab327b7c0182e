package server

// tlsProbes: STARTTLS, implicit TLS, a connector that wants TLS, REQUIRETLS.
const tlsProbes = `
== STARTTLS with an argument | RFC 3207 4 | in=clear
C: STARTTLS now
S: 501 5.5.4
C: NOOP
S: 250

== STARTTLS before EHLO | RFC 3207 4 | fresh in=clear
C: STARTTLS
S: 503

== STARTTLS within TLS | RFC 3207 4.2 | in=tls
C: STARTTLS
S: 503 5.5.1
C: MAIL FROM:<bob@fabrikam.example>
S: 250

== what was said before TLS is forgotten | RFC 3207 4.2 | fresh in=starttls
C: MAIL FROM:<bob@fabrikam.example>
S: 503 5.5.2 Send hello first

== the trace says how it came, in clear text | RFC 3848, RFC 5321 4.4 | data in=cleartext
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H= from client.example ([*]) by edge.contoso.example ([*]) with ESMTP id

== the trace and the greeting name the client behind a proxy | RFC 5321 4.4 | fresh in=proxy1,proxy2
C: EHLO client.example
S: 250-edge.contoso.example Hello [203.0.113.5]
S: 250-...
S: 250 LIMITS RCPTMAX=200
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
H= from client.example ([203.0.113.5]) by edge.contoso.example ([127.0.0.1]) with

== the trace and the greeting name the client behind a proxy, IPv6 | RFC 5321 4.4 | fresh in=proxy1-implicit
C: EHLO client.example
S: 250-edge.contoso.example Hello [IPv6:2001:db8::5]
S: 250-...
S: 250 LIMITS RCPTMAX=200
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
H= from client.example ([IPv6:2001:db8::5]) by edge.contoso.example ([127.0.0.1]) with ESMTPS (TLS*) id

== the trace says how it came, within TLS | RFC 3848, RFC 5321 4.4 | data in=tls
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H= with ESMTPS (TLS*) id

== a connector that wants TLS says so in clear text | RFC 3207 4 | fresh on=needtls in=cleartext
C: EHLO client.example
S: 250-...
S: 250-STARTTLS
S: 250-...
S: 250 LIMITS RCPTMAX=200
C: MAIL FROM:<bob@fabrikam.example>
S: 530 5.7.0 Must issue a STARTTLS command first
C: RCPT TO:<kim@contoso.example>
S: 530 5.7.0
C: DATA
S: 530 5.7.0
C: BDAT {n} LAST
B: NOOP
S: 530 5.7.0
C: VRFY kim
S: 530 5.7.0
C: NOOP
S: 250
C: QUIT
S: 221
S: EOF

== the other commands want TLS too | RFC 3207 4 | fresh on=needtls in=cleartext
C: HELO client.example
S: 530 5.7.0
C: RSET
S: 530 5.7.0
C: HELP
S: 530 5.7.0
C: EXPN staff
S: 530 5.7.0

== a connector that wants TLS is content within it | RFC 3207 4 | on=needtls in=tls
C: MAIL FROM:<bob@fabrikam.example>
S: 250
C: RCPT TO:<kim@contoso.example>
S: 250
C: RSET
S: 250
C: MAIL FROM:<bob@fabrikam.example>
S: 250
C: RCPT TO:<kim@contoso.example>
S: 250
C: DATA
S: 354
C: .
S: 250 2.6.0

== HELO within TLS | RFC 3848 | fresh in=tls
C: HELO client.example
S: 250
C: MAIL FROM:<bob@fabrikam.example>
S: 250
C: RCPT TO:<kim@contoso.example>
S: 250
C: DATA
S: 354
C: .
S: 250
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H= with SMTP (TLS*) id

== REQUIRETLS in clear text | RFC 8689 2 | in=cleartext
C: MAIL FROM:<bob@fabrikam.example> REQUIRETLS
S: 555 5.5.4

== REQUIRETLS within TLS | RFC 8689 2 | in=tls
C: MAIL FROM:<> REQUIRETLS
S: 250
C: RCPT TO:<kim@contoso.example>
S: 250
C: RSET
S: 250

== REQUIRETLS in any case and order | RFC 5321 2.4 | in=tls
C: MAIL FROM:<> SIZE=1 requiretls BODY=8BITMIME
S: 250

== REQUIRETLS with a value | RFC 8689 2 | in=tls
C: MAIL FROM:<> REQUIRETLS=1
S: 501 5.5.4

== REQUIRETLS of RCPT | RFC 8689 2 | mail in=tls
C: RCPT TO:<kim@contoso.example> REQUIRETLS
S: 555 5.5.4

== REQUIRETLS where it is not offered | RFC 8689 2 | on=plain in=tls
C: MAIL FROM:<> REQUIRETLS
S: 555
`
