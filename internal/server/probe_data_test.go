package server

// dataProbes: DATA, what ends it, and what is refused at its end.
const dataProbes = `
== DATA before MAIL | RFC 5321 4.1.4
C: DATA
S: 503 5.5.2 Need mail command

== DATA before RCPT | RFC 5321 3.3 | mail
C: DATA
S: 503 5.5.2 Need rcpt command

== the intermediate reply | RFC 5321 3.3 | rcpt
C: DATA
S: 354 Start mail input; end with <CRLF>.<CRLF>
C: .
S: 250 2.6.0

== a message | RFC 5321 4.1.1.4 | data
C: Subject: hello
C: Message-ID: <probe-1@fabrikam.example>
C:
C: Hello.
C: .
S: 250 2.6.0 <probe-1@fabrikam.example> [InternalId=*, Hostname=edge.contoso.example] Queued mail for delivery
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H> Subject: hello
H> Message-ID: <probe-1@fabrikam.example>
H>
H> Hello.

== an empty message | RFC 5321 4.1.1.4 | data
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>

== an empty line alone | RFC 5321 4.1.1.4 | data
C:
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H>

== dots at the beginning of lines | RFC 5321 4.5.2 | data
C: Subject: dots
C:
C: ..
C: ...
C: ..x
C: x.
C: .x
C: . .
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H> Subject: dots
H>
H> .
H> ..
H> .x
H> x.
H> x
H>  .

== a dot with a space is no end | RFC 5321 4.1.1.4 | data
C: Subject: x
C:
C: .{sp}
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H> Subject: x
H>
H> {sp}

== LF.LF is no end | RFC 5321 4.1.1.4 | data
C: Subject: x
C:
C> a{lf}.{lf}
C: MAIL FROM:<eve@fabrikam.example>
C: .
S: 550 5.6.11
C: MAIL FROM:<bob@fabrikam.example>
S: 250

== LF.CRLF is no end | RFC 5321 4.1.1.4 | data
C> Subject: x{cr}{lf}{cr}{lf}a{lf}.{cr}{lf}
C: MAIL FROM:<eve@fabrikam.example>
C: .
S: 550 5.6.11

== CRLF.LF is no end | RFC 5321 4.1.1.4 | data
C> Subject: x{cr}{lf}{cr}{lf}a{cr}{lf}.{lf}
C: MAIL FROM:<eve@fabrikam.example>
C: .
S: 550 5.6.11

== CR.CR is no end | RFC 5321 4.1.1.4 | data
C> Subject: x{cr}{lf}{cr}{lf}a{cr}.{cr}
C: MAIL FROM:<eve@fabrikam.example>
C: .
S: 550 5.6.11

== CR.CRLF is no end | RFC 5321 4.1.1.4 | data
C> Subject: x{cr}{lf}{cr}{lf}a{cr}.{cr}{lf}
C: MAIL FROM:<eve@fabrikam.example>
C: .
S: 550 5.6.11

== CRLF.CR is no end | RFC 5321 4.1.1.4 | data
C> Subject: x{cr}{lf}{cr}{lf}a{cr}{lf}.{cr}x{cr}{lf}
C: .
S: 550 5.6.11

== CRLF.NUL.CRLF is no end | RFC 5321 4.1.1.4 | data
C: Subject: x
C:
C: .{x00}
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H> Subject: x
H>
H> {x00}

== CRCRLF.CRLF ends | RFC 5321 4.1.1.4 | data
C> Subject: x{cr}{lf}{cr}{lf}a{cr}{cr}{lf}.{cr}{lf}
S: 550 5.6.11

== a bare LF | RFC 5321 2.3.8 | data
C> Subject: x{cr}{lf}{cr}{lf}a{lf}b{cr}{lf}
C: .
S: 550 5.6.11 *linefeeds*
C: NOOP
S: 250

== a bare CR | RFC 5321 2.3.8 | data
C> Subject: x{cr}{lf}{cr}{lf}a{cr}b{cr}{lf}
C: .
S: 550 5.6.11 *carriage returns*

== a bare LF in the header | RFC 5321 2.3.8 | data
C> Subject: x{lf}Bcc: y{cr}{lf}
C: .
S: 550 5.6.11

== bare line ends, normalised | RFC 5321 2.3.8 | data on=normalise
C> Subject: x{lf}{lf}a{cr}b{lf}c{cr}{lf}
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H> Subject: x
H>
H> a
H> b
H> c

== LF.LF, normalised, is no end | RFC 5321 4.1.1.4 | data on=normalise
C> Subject: x{cr}{lf}{cr}{lf}a{lf}.{lf}
C: MAIL FROM:<eve@fabrikam.example>
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H> Subject: x
H>
H> a
H> .
H> MAIL FROM:<eve@fabrikam.example>

== octets of every value | RFC 5321 4.5.2 | data
C: Subject: x
C:
C: {x00}{x01}{x7f}{x80}{xff}{x1b}
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H> Subject: x
H>
H> {x00}{x01}{x7f}{x80}{xff}{x1b}

== a line of 1000 octets | RFC 5321 4.5.3.1.6 | data
C: Subject: x
C:
C: {y*998}
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H> Subject: x
H>
H> {y*998}

== a line of 70000 octets passes as it is | RFC 5321 4.5.3.1.6 | data
C: Subject: x
C:
C: .{y*70000}
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H> Subject: x
H>
H> {y*70000}

== a header without an end | RFC 5322 2.1 | data
C: Subject: x
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H> Subject: x

== content without a header | RFC 5321 2.3.9 | data
C: this is no header
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H> this is no header

== Bcc is not touched | RFC 5321 7.2 | data
C: To: kim@contoso.example
C: Bcc: lee@contoso.example
C:
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H> To: kim@contoso.example
H> Bcc: lee@contoso.example
H>

== Return-Path is not ours to take | RFC 5321 4.4 | data
C: Return-Path: <eve@fabrikam.example>
C: Subject: x
C:
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H> Return-Path: <eve@fabrikam.example>
H> Subject: x
H>

== trace fields of others stay in their order | RFC 5321 4.4 | data
C: Received: from b by c; Sat, 21 Nov 2026 22:00:00 +0000
C: Received: from a by b; Sat, 21 Nov 2026 21:00:00 +0000
C: Subject: x
C:
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H> Received: from b by c; Sat, 21 Nov 2026 22:00:00 +0000
H> Received: from a by b; Sat, 21 Nov 2026 21:00:00 +0000
H> Subject: x
H>

== as many hops as there may be | RFC 5321 6.3 | data on=small
C: Received: x
C: received: x
C: RECEIVED : x
C:
C: Received: x
C: .
S: 250 2.6.0

== too many hops | RFC 5321 6.3 | data on=small
C: Received: x
C: Received: x
C: Received: x
C: Received: x
C:
C: .
S: 554 5.4.6
C: MAIL FROM:<bob@fabrikam.example>
S: 250

== too large a header | RFC 5321 4.5.3.1 | data on=small
C: Subject: {x*1100}
C:
C: .
S: 552 5.3.4 Header size exceeds fixed maximum size

== a message as large as it may be | RFC 1870 6.4 | data on=small
C:
C: {x*65532}
C: .
S: 250 2.6.0

== a message an octet larger than it may be | RFC 1870 6.4 | data on=small
C:
C: {x*65533}
C: .
S: 552 5.3.4 Message size exceeds fixed maximum message size
C: MAIL FROM:<bob@fabrikam.example>
S: 250

== dots that are stuffed do not count | RFC 1870 3 | data on=small
C:
C: .{x*65532}
C: .
S: 250 2.6.0

== the transaction ends with the message | RFC 5321 4.1.1.4 | data
C: .
S: 250 2.6.0
C: DATA
S: 503 5.5.2

== the transaction ends with a message that is refused | RFC 5321 4.1.1.4 | data
C> a{lf}b{cr}{lf}
C: .
S: 550 5.6.11
C: DATA
S: 503 5.5.2
C: RCPT TO:<kim@contoso.example>
S: 503 5.5.2

== commands in the content are content | RFC 5321 4.1.1.4 | data
C: QUIT
C: RSET
C: MAIL FROM:<eve@fabrikam.example>
C: .
S: 250 2.6.0
H: MAIL FROM:<bob@fabrikam.example>
H: RCPT TO:<kim@contoso.example>
H> QUIT
H> RSET
H> MAIL FROM:<eve@fabrikam.example>

== a Message-ID that would break the reply | RFC 5321 4.2 | data
C: Message-ID: <a b{x1b}[31m@fabrikam.example>
C:
C: .
S: 250 2.6.0 [InternalId=*] Queued mail for delivery

== a Message-ID that would make the reply too long | RFC 5321 4.5.3.1.5 | data
C: Message-ID: <{a*600}@fabrikam.example>
C:
C: .
S: 250 2.6.0 [InternalId=*] Queued mail for delivery
`
