package server

// bdatProbes: BDAT and BINARYMIME.
const bdatProbes = `
== one chunk | RFC 3030 2 | rcpt
C: BDAT {n} LAST
B: Subject: x
B:
B: body
S: 250 2.6.0 *Queued mail for delivery
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H> Subject: x
H>
H> body

== chunks that part words and line ends | RFC 3030 2 | rcpt
C: BDAT {n}
B> Sub
S: 250 2.6.0 CHUNK received OK, 3 octets
C: BDAT {n}
B> ject: x{cr}
S: 250 2.6.0 CHUNK received OK, 8 octets
C: BDAT {n} LAST
B: {lf}{cr}{lf}body
S: 250 2.6.0 *Queued mail for delivery
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H> Subject: x
H>
H> body

== an empty last chunk | RFC 3030 2 | rcpt
C: BDAT {n}
B: Subject: x
B:
S: 250 2.6.0
C: BDAT 0 LAST
S: 250 2.6.0 *Queued mail for delivery
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H> Subject: x
H>

== an empty chunk alone | RFC 3030 2 | rcpt
C: BDAT 0 LAST
S: 250 2.6.0 *Queued mail for delivery
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>

== empty chunks in the midst | RFC 3030 2 | rcpt
C: BDAT 0
S: 250 2.6.0
C: BDAT {n}
B: Subject: x
S: 250 2.6.0
C: BDAT 0
S: 250 2.6.0
C: BDAT 0 last
S: 250 2.6.0 *Queued mail for delivery
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H> Subject: x

== dots are not stuffed and end nothing | RFC 3030 2 | rcpt
C: BDAT {n} LAST
B: Subject: x
B:
B: ..
B: .
B: after
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H> Subject: x
H>
H> ..
H> .
H> after

== commands in a chunk are content | RFC 3030 2 | rcpt
C: BDAT {n} LAST
B: QUIT
B: MAIL FROM:<eve@fabrikam.example>
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H> QUIT
H> MAIL FROM:<eve@fabrikam.example>

== all in one write | RFC 3030 4.2, RFC 2920 3.1
C: MAIL FROM:<bob@fabrikam.example>
C: RCPT TO:<kim@contoso.example>
C: BDAT {n}
B: Subject: x
C: BDAT {n} LAST
B: a: b
B:
B: body
C: NOOP
S: 250 2.1.0
S: 250 2.1.5
S: 250 2.6.0 CHUNK
S: 250 2.6.0 *Queued
S: 250 2.0.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H> Subject: x
H> a: b
H>
H> body

== BDAT before EHLO | RFC 5321 4.1.4 | fresh
C: BDAT {n} LAST
B: NOOP
S: 503 5.5.2 Send hello first

== BDAT before MAIL | RFC 3030 2
C: BDAT {n} LAST
B: NOOP
B: NOOP
S: 503 5.5.2 Need mail command

== BDAT before RCPT | RFC 3030 2 | mail
C: BDAT {n} LAST
B: RSET
S: 554 5.5.1 No valid recipients
C: MAIL FROM:<bob@fabrikam.example>
S: 250

== BDAT behind recipients who were all refused | RFC 3030 2, RFC 2920 3.1 | mail
C: RCPT TO:<kim@fabrikam.example>
C: BDAT {n}
B: QUIT
C: BDAT {n} LAST
B: QUIT
S: 550 5.7.54
S: 554 5.5.1
S: 554 5.5.1

== BDAT behind the last chunk | RFC 3030 2 | rcpt
C: BDAT {n} LAST
B: Subject: x
S: 250 2.6.0
C: BDAT {n} LAST
B: Subject: y
S: 503 5.5.2

== DATA within chunks | RFC 3030 2 | rcpt
C: BDAT {n}
B: Subject: x
S: 250
C: DATA
S: 503 5.5.1

== MAIL within chunks | RFC 3030 2 | rcpt
C: BDAT {n}
B: Subject: x
S: 250
C: MAIL FROM:<eve@fabrikam.example>
S: 503

== RCPT within chunks | RFC 3030 2 | rcpt
C: BDAT {n}
B: Subject: x
S: 250
C: RCPT TO:<lee@contoso.example>
S: 503 5.5.1
C: BDAT 0 LAST
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H> Subject: x

== RSET within chunks | RFC 3030 2 | rcpt
C: BDAT {n}
B: Subject: x
S: 250
C: RSET
S: 250 2.0.0
C: BDAT 0 LAST
S: 503 5.5.2

== EHLO within chunks | RFC 5321 4.1.4 | rcpt
C: BDAT {n}
B: Subject: x
S: 250
C: EHLO client.example
S: 250
C: DATA
S: 503

== NOOP within chunks | RFC 5321 4.1.1.9 | rcpt
C: BDAT {n}
B: Subject: x
S: 250
C: NOOP
S: 250
C: BDAT 0 LAST
S: 250 2.6.0

== QUIT within chunks | RFC 5321 4.1.1.10 | rcpt
C: BDAT {n}
B: Subject: x
S: 250
C: QUIT
S: 221
S: EOF

== two messages | RFC 3030 2 | rcpt
C: BDAT {n} LAST
B: Subject: x
S: 250 2.6.0
C: MAIL FROM:<eve@fabrikam.example>
S: 250
C: RCPT TO:<lee@contoso.example>
S: 250
C: BDAT {n} LAST
B: Subject: y
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H> Subject: x
H: MAIL FROM:<eve@fabrikam.example>
H: RCPT TO:<lee@contoso.example>
H> Subject: y

== a size with leading zeros | RFC 3030 2, chunk-size | rcpt
C: BDAT 0012 LAST
B: Subject: x
B>{sp}
S: 250 2.6.0

== BDAT without a size | RFC 3030 2 | rcpt
C: BDAT
S: 501 5.5.4
S: EOF

== BDAT with a size that is no number | RFC 3030 2 | rcpt
C: BDAT -1 LAST
S: 501
S: EOF

== BDAT with a word | RFC 3030 2 | rcpt
C: BDAT five LAST
S: 501
S: EOF

== BDAT with a size of more than 64 bits | RFC 3030 2 | rcpt
C: BDAT 18446744073709551616 LAST
S: 501
S: EOF

== BDAT with another word than LAST | RFC 3030 2 | rcpt
C: BDAT 5 FIRST
S: 501
S: EOF

== BDAT with a word behind LAST | RFC 3030 2 | rcpt
C: BDAT 5 LAST NOW
S: 501
S: EOF

== BDAT with a tab | RFC 3030 2 | rcpt
C: BDAT{tab}5 LAST
S: 50*
S: EOF

== BDAT with a bare LF | RFC 5321 2.3.8 | rcpt
C> BDAT 6 LAST{lf}NOOP{cr}{lf}
S: 500
S: EOF

== BDAT behind a bare LF | RFC 5321 2.3.8 | rcpt
C> NOOP{lf}BDAT 6 LAST{cr}{lf}NOOP{cr}{lf}
S: 500
S: 500
S: EOF

== a bare LF in a chunk | RFC 5321 2.3.8 | rcpt
C: BDAT {n} LAST
B> Subject: x{lf}{cr}{lf}
S: 550 5.6.11

== a CR at the end of the last chunk | RFC 5321 2.3.8 | rcpt
C: BDAT {n} LAST
B> Subject: x{cr}
S: 550 5.6.11

== a chunk refused, and those behind it | RFC 3030 2 | rcpt
C: BDAT {n}
B> a{lf}b
C: BDAT {n}
B: NOOP
C: BDAT 0 LAST
C: MAIL FROM:<bob@fabrikam.example>
S: 550 5.6.11
S: 550 5.6.11
S: 550 5.6.11
S: 250 2.1.0

== bare line ends in chunks, normalised | RFC 5321 2.3.8 | rcpt on=normalise
C: BDAT {n}
B> Subject: x{lf}{cr}
S: 250 2.6.0
C: BDAT {n} LAST
B> body{cr}
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H> Subject: x
H>
H> body

== BINARYMIME | RFC 3030 3
C: MAIL FROM:<bob@fabrikam.example> BODY=BINARYMIME
S: 250
C: RCPT TO:<kim@contoso.example>
S: 250
C: BDAT {n} LAST
B: Subject: x
B:
B: {lf}{cr}{x00}{xff}.{cr}{cr}{lf}.
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example> BODY=BINARYMIME
H: RCPT TO:<kim@contoso.example>
H> Subject: x
H>
H> {lf}{cr}{x00}{xff}.{cr}{cr}{lf}.

== DATA for BINARYMIME | RFC 3030 3
C: MAIL FROM:<bob@fabrikam.example> BODY=BINARYMIME
S: 250
C: RCPT TO:<kim@contoso.example>
S: 250
C: DATA
S: 503 5.5.1

== a message that is too large in one chunk | RFC 1870 6.4 | rcpt on=small
C: BDAT {n} LAST
B: {x*65535}
S: 552 5.3.4

== a message that is too large in two | RFC 1870 6.4 | rcpt on=small
C: BDAT {n}
B:
B: {x*65000}
S: 250
C: BDAT {n} LAST
B: {x*1000}
S: 552 5.3.4
C: MAIL FROM:<bob@fabrikam.example>
S: 250

== a message as large as it may be in chunks | RFC 1870 6.4 | rcpt on=small
C: BDAT {n}
B:
B: {x*65000}
S: 250
C: BDAT {n} LAST
B: {x*530}
S: 250 2.6.0

== a chunk that nobody would read to its end | RFC 3030 2 | rcpt
C: BDAT 18446744073709551615 LAST
S: 552 5.3.4
S: EOF

== BDAT where it is not offered | RFC 5321 4.2.4 | rcpt on=plain
C: BDAT {n} LAST
B: QUIT
S: 502
C: DATA
S: 354
C: .
S: 250

== BINARYMIME where it is not offered | RFC 5321 4.1.1.11 | on=plain
C: MAIL FROM:<bob@fabrikam.example> BODY=BINARYMIME
S: 555

== BDAT behind HELO | RFC 3030 2 | fresh
C: HELO client.example
S: 250
C: MAIL FROM:<bob@fabrikam.example>
S: 250
C: RCPT TO:<kim@contoso.example>
S: 250
C: BDAT {n} LAST
B: Subject: x
S: 250 2.6.0

== too many hops in chunks | RFC 5321 6.3 | rcpt on=small
C: BDAT {n}
B: Received: x
B: Received: x
B> Rece
S: 250
C: BDAT {n} LAST
B: ived: x
B: Received: x
B:
S: 554 5.4.6

== a message refused in chunks ends the transaction | RFC 3030 2 | rcpt
C: BDAT {n} LAST
B> a{lf}b
S: 550 5.6.11
C: DATA
S: 503 5.5.2
C: MAIL FROM:<bob@fabrikam.example>
S: 250
`
