package server

// dsnProbes: what a sender wants to be told of.
const dsnProbes = `
== RET and ENVID go on | RFC 3461 4.3, 4.4
C: MAIL FROM:<bob@fabrikam.example> RET=HDRS ENVID=QQ314159+2B1
S: 250
C: RCPT TO:<kim@contoso.example>
S: 250
C: DATA
S: 354
C: .
S: 250
H: MAIL FROM:<bob@fabrikam.example> RET=HDRS ENVID=QQ314159+2B1
H: RCPT TO:<kim@contoso.example>

== NOTIFY and ORCPT go on | RFC 3461 4.1, 4.2 | mail
C: RCPT TO:<kim@contoso.example> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;Kim+2Bx@fabrikam.example
S: 250
C: RCPT TO:<lee@contoso.example> NOTIFY=NEVER
S: 250
C: DATA
S: 354
C: .
S: 250
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;Kim+2Bx@fabrikam.example
H: RCPT TO:<lee@contoso.example> NOTIFY=NEVER

== RET of any case | RFC 5321 2.4
C: MAIL FROM:<bob@fabrikam.example> ret=full
S: 250

== RET of another kind | RFC 3461 4.3
C: MAIL FROM:<bob@fabrikam.example> RET=BODY
S: 501 5.5.4
C: MAIL FROM:<bob@fabrikam.example> RET=
S: 501 5.5.4
C: MAIL FROM:<bob@fabrikam.example> RET
S: 501 5.5.4

== RET twice | RFC 3461 4.3
C: MAIL FROM:<bob@fabrikam.example> RET=FULL RET=FULL
S: 501 5.5.4

== ENVID twice | RFC 3461 4.4
C: MAIL FROM:<bob@fabrikam.example> ENVID=a ENVID=a
S: 501 5.5.4

== ENVID of 100 octets | RFC 3461 4.4
C: MAIL FROM:<bob@fabrikam.example> ENVID={e*100}
S: 250

== ENVID of 101 octets | RFC 3461 4.4
C: MAIL FROM:<bob@fabrikam.example> ENVID={e*101}
S: 501 5.5.4

== ENVID without a value | RFC 3461 4.4
C: MAIL FROM:<bob@fabrikam.example> ENVID=
S: 501 5.5.4
C: MAIL FROM:<bob@fabrikam.example> ENVID
S: 501 5.5.4

== ENVID with a line break in hexadecimal | RFC 3461 4.4
C: MAIL FROM:<bob@fabrikam.example> ENVID=a+0D+0Ab
S: 501 5.5.4

== ENVID that is no xtext | RFC 3461 4
C: MAIL FROM:<bob@fabrikam.example> ENVID=a+zz
S: 501 5.5.4
C: MAIL FROM:<bob@fabrikam.example> ENVID=a+4
S: 501 5.5.4
C: MAIL FROM:<bob@fabrikam.example> ENVID=a+
S: 501 5.5.4

== hexadecimal of xtext goes on in upper case | RFC 3461 4
C: MAIL FROM:<bob@fabrikam.example> ENVID=a+2b
S: 250
C: RCPT TO:<kim@contoso.example>
S: 250
C: DATA
S: 354
C: .
S: 250
H: MAIL FROM:<bob@fabrikam.example> ENVID=a+2B
H: RCPT TO:<kim@contoso.example>

== NOTIFY in any case | RFC 5321 2.4 | mail
C: RCPT TO:<kim@contoso.example> notify=Never
S: 250

== NOTIFY=NEVER with others | RFC 3461 4.1 | mail
C: RCPT TO:<kim@contoso.example> NOTIFY=NEVER,FAILURE
S: 501 5.5.4
C: RCPT TO:<kim@contoso.example> NOTIFY=SUCCESS,NEVER
S: 501 5.5.4

== NOTIFY of another kind | RFC 3461 4.1 | mail
C: RCPT TO:<kim@contoso.example> NOTIFY=ALWAYS
S: 501 5.5.4
C: RCPT TO:<kim@contoso.example> NOTIFY=
S: 501 5.5.4
C: RCPT TO:<kim@contoso.example> NOTIFY
S: 501 5.5.4
C: RCPT TO:<kim@contoso.example> NOTIFY=SUCCESS,
S: 501 5.5.4

== NOTIFY twice | RFC 3461 4.1 | mail
C: RCPT TO:<kim@contoso.example> NOTIFY=SUCCESS NOTIFY=FAILURE
S: 501 5.5.4

== ORCPT without a type | RFC 3461 4.2 | mail
C: RCPT TO:<kim@contoso.example> ORCPT=kim@contoso.example
S: 501 5.5.4
C: RCPT TO:<kim@contoso.example> ORCPT=;kim@contoso.example
S: 501 5.5.4

== ORCPT without an address | RFC 3461 4.2 | mail
C: RCPT TO:<kim@contoso.example> ORCPT=rfc822;
S: 501 5.5.4
C: RCPT TO:<kim@contoso.example> ORCPT=
S: 501 5.5.4
C: RCPT TO:<kim@contoso.example> ORCPT
S: 501 5.5.4

== ORCPT twice | RFC 3461 4.2 | mail
C: RCPT TO:<kim@contoso.example> ORCPT=rfc822;a@b.example ORCPT=rfc822;a@b.example
S: 501 5.5.4

== ORCPT of another type | RFC 3461 4.2 | mail
C: RCPT TO:<kim@contoso.example> ORCPT=x400;/C=de/
S: 501 5.5.4
C: RCPT TO:<kim@contoso.example> ORCPT=x400;/C+3Dde/
S: 250

== ORCPT of 500 octets | RFC 3461 4.2 | mail
C: RCPT TO:<kim@contoso.example> ORCPT=rfc822;{o*493}
S: 250

== ORCPT of 501 octets | RFC 3461 4.2 | mail
C: RCPT TO:<kim@contoso.example> ORCPT=rfc822;{o*494}
S: 501 5.5.4

== ORCPT with a line break in hexadecimal | RFC 3461 4.2 | mail
C: RCPT TO:<kim@contoso.example> ORCPT=rfc822;a+0D+0AQUIT
S: 501 5.5.4

== ORCPT in UTF-8, encoded | RFC 6533 3 | mail
C: RCPT TO:<kim@contoso.example> ORCPT=utf-8;k\x{ED}m@contoso.example
S: 250

== ORCPT in UTF-8, as it is | RFC 6533 3
C: MAIL FROM:<bob@fabrikam.example> SMTPUTF8
S: 250
C: RCPT TO:<kim@contoso.example> ORCPT=utf-8;kím@contoso.example
S: 250

== ORCPT in UTF-8, as it is, without SMTPUTF8 | RFC 6533 3 | mail
C: RCPT TO:<kim@contoso.example> ORCPT=utf-8;kím@contoso.example
S: 501 5.5.4

== the null path with all parameters | RFC 3461 4
C: MAIL FROM:<> RET=FULL ENVID=x SIZE=10 BODY=7BIT
S: 250
C: RCPT TO:<kim@contoso.example> NOTIFY=FAILURE
S: 250

== DSN where it is not offered | RFC 5321 4.1.1.11 | mail on=plain
C: RCPT TO:<kim@contoso.example> NOTIFY=NEVER
S: 555
C: RCPT TO:<kim@contoso.example> ORCPT=rfc822;kim@contoso.example
S: 555
C: RSET
S: 250
C: MAIL FROM:<bob@fabrikam.example> RET=FULL
S: 555
C: MAIL FROM:<bob@fabrikam.example> ENVID=x
S: 555
`
