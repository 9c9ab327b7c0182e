package server

// commandProbes: the other commands, command lines, and how errors are counted.
const commandProbes = `
== NOOP | RFC 5321 4.1.1.9
C: NOOP
S: 250 2.0.0 OK
C: NOOP whatever it is
S: 250 2.0.0 OK
C: noop{sp}{sp}
S: 250 2.0.0

== NOOP changes nothing | RFC 5321 4.1.1.9 | rcpt
C: NOOP
S: 250
C: DATA
S: 354
C: .
S: 250 2.6.0

== RSET ends the transaction | RFC 5321 4.1.1.5 | rcpt
C: RSET
S: 250 2.0.0 Resetting
C: DATA
S: 503 5.5.2
C: RCPT TO:<kim@contoso.example>
S: 503 5.5.2
C: MAIL FROM:<eve@fabrikam.example>
S: 250

== RSET forgets the recipients | RFC 5321 4.1.1.5 | rcpt
C: RSET
S: 250
C: MAIL FROM:<eve@fabrikam.example>
S: 250
C: RCPT TO:<lee@contoso.example>
S: 250
C: DATA
S: 354
C: .
S: 250 2.6.0
H: MAIL FROM:<eve@fabrikam.example>
H: RCPT TO:<lee@contoso.example>

== RSET keeps what EHLO said | RFC 5321 4.1.1.5
C: RSET
S: 250
C: MAIL FROM:<bob@fabrikam.example>
S: 250

== RSET with an argument | RFC 5321 4.1.1.5 | mail
C: RSET now
S: 501 5.5.4
C: RCPT TO:<kim@contoso.example>
S: 250

== RSET with a space behind it | RFC 5321 4.1.1
C: RSET{sp}
S: 250 2.0.0

== DATA with an argument | RFC 5321 4.1.1.4 | rcpt
C: DATA now
S: 501 5.5.4
C: DATA
S: 354
C: .
S: 250 2.6.0

== DATA with a space behind it | RFC 5321 4.1.1 | rcpt
C: DATA{sp}{tab}
S: 354
C: .
S: 250 2.6.0

== QUIT with an argument | RFC 5321 4.1.1.10
C: QUIT now
S: 501 5.5.4

== QUIT | RFC 5321 4.1.1.10
C: QUIT
S: 221 2.0.0 Service closing transmission channel
S: EOF

== QUIT before EHLO | RFC 5321 4.1.4 | fresh
C: quit
S: 221
S: EOF

== QUIT in the midst of a transaction | RFC 5321 4.1.1.10 | rcpt
C: QUIT
S: 221
S: EOF

== nothing is read behind QUIT | RFC 5321 4.1.1.10 | rcpt
C: QUIT
C: DATA
S: 221
S: EOF

== VRFY | RFC 5321 3.5.3
C: VRFY kim
S: 252 2.1.5
C: VRFY <kim@contoso.example>
S: 252 2.1.5
C: VRFY nobody@fabrikam.example
S: 252 2.1.5

== VRFY without a name | RFC 5321 4.1.1.6
C: VRFY
S: 501 5.5.4
C: VRFY {sp}
S: 501 5.5.4

== VRFY within a transaction | RFC 5321 4.1.4 | rcpt
C: VRFY kim
S: 252
C: DATA
S: 354
C: .
S: 250 2.6.0

== VRFY with SMTPUTF8 | RFC 6531 3.7.4.2
C: VRFY kim SMTPUTF8
S: 252

== EXPN | RFC 5321 4.2.4
C: EXPN staff
S: 502 5.5.1

== obsolete commands | RFC 5321 4.2.4, appendix F
C: SEND FROM:<bob@fabrikam.example>
S: 502 5.5.1
C: SOML FROM:<bob@fabrikam.example>
S: 502 5.5.1
C: SAML FROM:<bob@fabrikam.example>
S: 502 5.5.1
C: TURN
S: 502 5.5.1

== HELP | RFC 5321 4.1.1.8
C: HELP
S: 214-2.0.0
S: 214 2.0.0 * MAIL RCPT DATA *
C: HELP MAIL
S: 214-2.0.0
S: 214 2.0.0

== an unknown command | RFC 5321 4.2.4
C: FROB
S: 500 5.3.3 Unrecognized command
C: FROB x
S: 500 5.3.3
C: MAILFROM:<bob@fabrikam.example>
S: 500 5.3.3

== private commands that are not agreed on | RFC 5321 4.1.5
C: XFROB
S: 500 5.3.3
C: XCLIENT ADDR=192.0.2.1
S: 500 5.3.3
C: X-EXPS GSSAPI
S: 500 5.3.3

== a command that only begins like one | RFC 5321 4.1.1
C: DATAx
S: 500
C: RSETRSET
S: 500
C: STARTTLSnow
S: 500
C: QUITE
S: 500

== an empty line | RFC 5321 4.1.1
C:
S: 500
C: {sp}
S: 500

== a space before the command | RFC 5321 4.1.1
C: {sp}NOOP
S: 500

== a tab behind the command | RFC 5321 4.1.1
C: NOOP{tab}x
S: 500

== a command with a NUL | RFC 5321 2.4
C: NOOP{x00}
S: 500
C: NO{x00}OP
S: 500

== a command that is not US-ASCII | RFC 5321 2.4
C: {xc3}{x84}HLO
S: 500

== a command of 512 octets | RFC 5321 4.5.3.1.4
C: NOOP {x*505}
S: 250

== a command of 2048 octets | RFC 5321 4.5.3.1.4
C: NOOP {x*2041}
S: 250

== a command of 2049 octets | RFC 5321 4.5.3.1.9
C: NOOP {x*2042}
S: 500 5.5.2 Line too long

== a command of 100000 octets is one error | RFC 5321 4.5.3.1.9
C: NOOP {x*100000}
S: 500 5.5.2 Line too long
C: NOOP
S: 250

== what stands behind 2048 octets is no command | RFC 5321 4.5.3.1.9
C: NOOP {x*2043}MAIL FROM:<bob@fabrikam.example>
S: 500
C: RCPT TO:<kim@contoso.example>
S: 503

== commands end with CRLF | RFC 5321 2.3.8
C> NOOP{lf}
S: 500 5.5.2 Commands end with CRLF
C:
C: NOOP
S: 250

== what stands behind a bare LF is no command | RFC 5321 2.3.8 | mail
C: RCPT TO:<x@contoso.example{lf}RCPT TO:<kim@contoso.example>
S: 500 5.5.2
C: DATA
S: 503 5.5.2

== what stands behind several bare LFs is no command | RFC 5321 2.3.8
C> NOOP{lf}QUIT{lf}QUIT{lf}
C: QUIT
S: 500 5.5.2
C: NOOP
S: 250

== what stands behind a bare LF in a long line is no command | RFC 5321 2.3.8
C: NOOP {x*5000}{lf}QUIT
S: 500 5.5.2
C: NOOP
S: 250

== a command with a bare CR | RFC 5321 2.3.8
C: NOOP{cr}QUIT
S: 500 5.5.2
C: NOOP{cr}
S: 500 5.5.2
C: NOOP
S: 250

== a protocol of other kind | RFC 9112 3 | fresh
C: GET / HTTP/1.1
S: 421
S: EOF

== what a browser is made to say | RFC 9112 3 | fresh
C: POST / HTTP/1.1
C: Host: edge.contoso.example:25
C:
C: EHLO client.example
C: MAIL FROM:<bob@fabrikam.example>
C: RCPT TO:<kim@contoso.example>
C: DATA
S: 421 4.7.0
S: EOF

== five errors are let pass | RFC 5321 4.3.2 | on=errors
C: FROB
S: 500
C: FROB
S: 500
C: FROB
S: 500
C: FROB
S: 500
C: FROB
S: 500
C: NOOP
S: 250

== the sixth error ends the session | RFC 5321 4.3.2, 3.8 | on=errors
C: FROB
C: DATA
C: MAIL FROM:bob
C: MAIL FROM:<> FOO
C: RSET x
C: VRFY
S: 500
S: 503
S: 501
S: 555
S: 501
S: 421 4.7.0 Too many errors on this connection, closing transmission channel
S: EOF

== recipients who are refused are no protocol errors | RFC 5321 4.3.2 | mail on=errors
C: RCPT TO:<a@fabrikam.example>
C: RCPT TO:<b@fabrikam.example>
C: RCPT TO:<c@fabrikam.example>
C: RCPT TO:<d@fabrikam.example>
C: RCPT TO:<e@fabrikam.example>
C: RCPT TO:<f@fabrikam.example>
C: RCPT TO:<g@fabrikam.example>
S: 550
S: 550
S: 550
S: 550
S: 550
S: 550
S: 550

== replies without enhanced codes | RFC 2034 3 | on=plain
C: NOOP
S: 250 OK
C: FROB
S: 500 Unrecognized command
C: RCPT TO:<kim@contoso.example>
S: 503 Need mail command
C: MAIL FROM:<bob@fabrikam.example>
S: 250 Sender OK
C: RCPT TO:<kim@fabrikam.example>
S: 550 SMTP; Unable to relay *
C: RCPT TO:<kim@contoso.example>
S: 250 Recipient OK
C: DATA
S: 354
C: .
S: 250 *[InternalId=*, Hostname=edge.contoso.example] Queued mail for delivery

== the order may be anything that makes sense | RFC 5321 4.1.4
C: MAIL FROM:<bob@fabrikam.example>
S: 250
C: NOOP
S: 250
C: HELP
S: 214
C: RCPT TO:<kim@contoso.example>
S: 250
C: VRFY kim
S: 252
C: RCPT TO:<lee@contoso.example>
S: 250
C: DATA
S: 354
C: .
S: 250 2.6.0
C: MAIL FROM:<eve@fabrikam.example>
S: 250
C: RCPT TO:<lee@contoso.example>
S: 250
C: DATA
S: 354
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H: RCPT TO:<lee@contoso.example>
H: MAIL FROM:<eve@fabrikam.example>
H: RCPT TO:<lee@contoso.example>

== AUTH where nobody can authenticate | RFC 5321 4.2.4
C: AUTH PLAIN AGJvYgBzZWNyZXQ=
S: 5**
C: MAIL FROM:<bob@fabrikam.example>
S: 250
`
