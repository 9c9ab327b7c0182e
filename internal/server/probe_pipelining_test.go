package server

// pipeliningProbes: commands that do not wait for replies.
const pipeliningProbes = `
== a transaction in two writes | RFC 2920 3.1
C: MAIL FROM:<bob@fabrikam.example>
C: RCPT TO:<kim@contoso.example>
C: RCPT TO:<lee@contoso.example>
C: DATA
S: 250 2.1.0
S: 250 2.1.5
S: 250 2.1.5
S: 354
C: Subject: x
C:
C: .
C: QUIT
S: 250 2.6.0
S: 221
S: EOF

== the reply to each command in its place | RFC 2920 3.2
C: RSET
C: MAIL FROM:<bob@fabrikam.example>
C: RCPT TO:<kim@fabrikam.example>
C: RCPT TO:<kim@contoso.example>
C: RCPT TO:kim
C: RSET
C: MAIL FROM:<eve@fabrikam.example>
C: RCPT TO:<lee@contoso.example>
S: 250 2.0.0
S: 250 2.1.0
S: 550 5.7.54
S: 250 2.1.5
S: 501 5.1.3
S: 250 2.0.0
S: 250 2.1.0
S: 250 2.1.5
C: DATA
S: 354
C: .
S: 250 2.6.0
H: MAIL FROM:<eve@fabrikam.example>
H: RCPT TO:<lee@contoso.example>

== DATA behind recipients who were all refused | RFC 2920 3.1
C: MAIL FROM:<bob@fabrikam.example>
C: RCPT TO:<kim@fabrikam.example>
C: DATA
S: 250
S: 550
S: 503 5.5.2

== DATA behind MAIL that was refused | RFC 2920 3.1
C: MAIL FROM:<bob>
C: RCPT TO:<kim@contoso.example>
C: DATA
S: 501
S: 503
S: 503

== two transactions behind one another | RFC 2920 3.1
C: MAIL FROM:<bob@fabrikam.example>
C: RCPT TO:<kim@contoso.example>
C: DATA
S: 250
S: 250
S: 354
C: Subject: x
C:
C: .
C: MAIL FROM:<eve@fabrikam.example>
C: RCPT TO:<lee@contoso.example>
C: DATA
S: 250 2.6.0
S: 250
S: 250
S: 354
C: Subject: y
C:
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H> Subject: x
H>
H: MAIL FROM:<eve@fabrikam.example>
H: RCPT TO:<lee@contoso.example>
H> Subject: y
H>

== content in the same write as DATA | RFC 2920 3.2 | rcpt
C: DATA
C: Subject: x
C:
C: .
C: NOOP
S: 354
S: 250 2.6.0
S: 250 2.0.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H> Subject: x
H>

== half a command at the end of a write | RFC 2920 3.2
C: MAIL FROM:<bob@fabrikam.example>
C> RCPT TO:<kim@con
S: 250
C: toso.example>
S: 250 2.1.5

== EHLO in a row with others | RFC 2920 3.2 | fresh
C: EHLO client.example
C: MAIL FROM:<bob@fabrikam.example>
C: NOOP
S: 250
S: 250 2.1.0
S: 250 2.0.0

== errors in a row | RFC 2920 3.2
C: FROB
C: MAIL FROM:<bob@fabrikam.example>
C: {x*3000}
C: RCPT TO:<kim@contoso.example>
S: 500
S: 250
S: 500
S: 250

== a client that waits for nothing at all | RFC 2920 3.1 | fresh
C: EHLO client.example
C: MAIL FROM:<bob@fabrikam.example>
C: RCPT TO:<kim@contoso.example>
C: DATA
C: Subject: x
C:
C: .
C: QUIT
S: 250
S: 250
S: 250
S: 354
S: 250 2.6.0
S: 221
S: EOF

== pipelining works where it is not offered | RFC 2920 3.2 | on=plain
C: MAIL FROM:<bob@fabrikam.example>
C: RCPT TO:<kim@contoso.example>
C: DATA
S: 250
S: 250
S: 354
C: .
S: 250
`
