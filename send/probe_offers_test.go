package send

import "testing"

// TestProbeOffers: what a next hop offers in any form, and what it is then
// asked for (RFC 1870, 3030, 3461, 5321, 6152, 6531, 8689, 9422).
func TestProbeOffers(t *testing.T) { runProbes(t, parseProbes(t, probeOffers)) }

const probeOffers = `
case keywords in any case (RFC 5321 2.4)
with 8bitmime dsn
open pIpElInInG, sIzE 1000, 8bitmime, Dsn
< MAIL FROM:<sender@contoso.example> SIZE=35 BODY=8BITMIME RET=HDRS ENVID=q+3D1+2B2+20x
< RCPT TO:<a@example.test> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;Ann+2Bx@other.test
< DATA
> 250 ok
> 250 ok
> 354 go
content
> 250 2.0.0 taken
kept
= 0 delivered 250 2.0.0 taken

case parameters behind keywords that have none (RFC 5321 4.1.1.1)
with 8bitmime
open PIPELINING yes please, 8BITMIME=on, 8BITMIME x
< MAIL FROM:<sender@contoso.example> BODY=8BITMIME
< RCPT TO:<a@example.test>
< DATA
> 250 ok
> 250 ok
> 354 go
content
> 250 2.0.0 taken
kept
= 0 delivered 250 2.0.0 taken

case a keyword that only begins like one (RFC 5321 4.1.1.1)
open PIPELININGS, XPIPELINING, SIZES 10
< MAIL FROM:<sender@contoso.example>
> 250 ok
< RCPT TO:<a@example.test>
> 250 ok
< DATA
> 354 go
content
> 250 2.0.0 taken
kept
= 0 delivered 250 2.0.0 taken

case the first line of EHLO's reply offers nothing (RFC 5321 4.1.1.1)
only clear
> 220 mx.test
< EHLO out.contoso.example
> 250 PIPELINING SIZE 8BITMIME
< MAIL FROM:<sender@contoso.example>
> 250 ok
< RCPT TO:<a@example.test>
> 250 ok
< DATA
> 354 go
content
> 250 2.0.0 taken
kept
= 0 delivered 250 2.0.0 taken

case empty lines and tabs in EHLO's reply (RFC 5321 4.1.1.1)
only clear
> 220 mx.test
< EHLO out.contoso.example
> 250-mx.test
> 250-
> 250-SIZE	1000
> 250-   
> 250  PIPELINING
< MAIL FROM:<sender@contoso.example> SIZE=35
< RCPT TO:<a@example.test>
< DATA
> 250 ok
> 250 ok
> 354 go
content
> 250 2.0.0 taken
kept
= 0 delivered 250 2.0.0 taken

case EHLO's reply ends in LF alone (RFC 5321 4.2)
only clear
> 220 mx.test
< EHLO out.contoso.example
>> 250-mx.test\n250-SIZE\n250 PIPELINING\n
< MAIL FROM:<sender@contoso.example> SIZE=35
< RCPT TO:<a@example.test>
< DATA
> 250 ok
> 250 ok
> 354 go
content
> 250 2.0.0 taken
kept
= 0 delivered 250 2.0.0 taken

case SIZE without number sets no limit (RFC 1870 4)
with huge
open PIPELINING, SIZE
< MAIL FROM:<sender@contoso.example> SIZE=50000000
< RCPT TO:<a@example.test>
< DATA
> 250 ok
> 552 5.3.4 too large
> 503 no
kept
= 0 failed 552 5.3.4 too large

case SIZE 0 sets no limit (RFC 1870 4)
with huge
open PIPELINING, SIZE 0
< MAIL FROM:<sender@contoso.example> SIZE=50000000
< RCPT TO:<a@example.test>
< DATA
> 552 5.3.4 too large
> 503 no
> 503 no
kept
= 0 failed 552 5.3.4 too large

case SIZE of twenty digits and more sets no limit that we reach (RFC 1870 4)
open PIPELINING, SIZE 99999999999999999999999999
< MAIL FROM:<sender@contoso.example> SIZE=35
< RCPT TO:<a@example.test>
< DATA
> 250 ok
> 250 ok
> 354 go
content
> 250 2.0.0 taken
kept
= 0 delivered 250 2.0.0 taken

case SIZE negative or no number (RFC 1870 4)
open PIPELINING, SIZE -1, SIZE much
< MAIL FROM:<sender@contoso.example> SIZE=35
< RCPT TO:<a@example.test>
< DATA
> 250 ok
> 250 ok
> 354 go
content
> 250 2.0.0 taken
kept
= 0 delivered 250 2.0.0 taken

case a message larger than SIZE is not tried (RFC 1870 6.1)
with huge
open PIPELINING, SIZE 1000000
kept
= 0 failed 552 5.3.4 The message has 50000000 octets, but the host takes 1000000 at most

case the message has exactly the size (RFC 1870 4)
open PIPELINING, SIZE 35
< MAIL FROM:<sender@contoso.example> SIZE=35
< RCPT TO:<a@example.test>
< DATA
> 250 ok
> 250 ok
> 354 go
content
> 250 2.0.0 taken
kept
= 0 delivered 250 2.0.0 taken

case the message is one octet too large (RFC 1870 6.1)
open PIPELINING, SIZE 34
kept
= 0 failed 552 5.3.4 

case 452 for the size now (RFC 1870 6.1)
open PIPELINING, SIZE
< MAIL FROM:<sender@contoso.example> SIZE=35
< RCPT TO:<a@example.test>
< DATA
> 452 4.3.1 no room
> 503 no
> 503 no
kept
= 0 deferred 452 4.3.1 no room

case 8BITMIME that is not offered is not asked for (RFC 6152 3)
with 8bitmime
open PIPELINING
ask a
> 250 ok
> 250 ok
> 354 go
content
> 250 2.0.0 taken
kept
= 0 delivered 250 2.0.0 taken

case 7BIT is said as it came (RFC 6152 2)
with 7bit
open PIPELINING, 8BITMIME
< MAIL FROM:<sender@contoso.example> BODY=7BIT
< RCPT TO:<a@example.test>
< DATA
> 250 ok
> 250 ok
> 354 go
content
> 250 2.0.0 taken
kept
= 0 delivered 250 2.0.0 taken

case no BODY where the client gave none (RFC 6152 2)
open PIPELINING, 8BITMIME, BINARYMIME, CHUNKING
ask a
> 250 ok
> 250 ok
> 354 go
content
> 250 2.0.0 taken
kept
= 0 delivered 250 2.0.0 taken

case BINARYMIME where it is not offered (RFC 3030 3)
with binarymime
open PIPELINING, 8BITMIME, CHUNKING
kept
= 0 failed 550 5.6.11 

case BINARYMIME without CHUNKING is not offered (RFC 3030 3)
with binarymime
open PIPELINING, 8BITMIME, BINARYMIME
kept
= 0 failed 550 5.6.11 

case BINARYMIME step by step (RFC 3030 4.1)
with binarymime
open CHUNKING, BINARYMIME
< MAIL FROM:<sender@contoso.example> BODY=BINARYMIME
> 250 ok
< RCPT TO:<a@example.test>
> 250 ok
chunk
> 250 2.0.0 taken
kept
= 0 delivered 250 2.0.0 taken

case SMTPUTF8 is not offered (RFC 6531 3.5)
with utf8
open PIPELINING, 8BITMIME
kept
= 0 failed 550 5.6.7 

case SMTPUTF8 with a local part in UTF-8 (RFC 6531 3.4)
with utf8 umlaut 8bitmime
open PIPELINING, 8BITMIME, SMTPUTF8
< MAIL FROM:<sender@contoso.example> BODY=8BITMIME SMTPUTF8
< RCPT TO:<jürgen@example.test>
< DATA
> 250 ok
> 250 ok
> 354 go
content
> 250 2.0.0 taken
kept
= 0 delivered 250 2.0.0 taken

case UTF-8 goes nowhere without SMTPUTF8 at MAIL (RFC 6531 3.4)
with umlaut
open PIPELINING, 8BITMIME, SMTPUTF8
kept
= 0 failed 550 5.6.7 

case an internationalised domain goes in A-labels (RFC 6531 3.2)
with idn
open PIPELINING
< MAIL FROM:<sender@contoso.example>
< RCPT TO:<a@xn--bcher-kva.test>
< DATA
> 250 ok
> 250 ok
> 354 go
content
> 250 2.0.0 taken
kept
= 0 delivered 250 2.0.0 taken

case an internationalised domain without SMTPUTF8 at MAIL (RFC 6531 3.4)
with idn
open PIPELINING, SMTPUTF8
< MAIL FROM:<sender@contoso.example>
< RCPT TO:<a@xn--bcher-kva.test>
< DATA
> 250 ok
> 250 ok
> 354 go
content
> 250 2.0.0 taken
kept
= 0 delivered 250 2.0.0 taken

case REQUIRETLS in clear only (RFC 8689 4.2.1)
with requiretls
only clear
open PIPELINING, REQUIRETLS
kept
= 0 deferred 451 4.7.4 TLS is required, but the host does not offer STARTTLS. REQUIRETLS of the message asks for TLS with a valid certificate for mx.test

case REQUIRETLS over TLS (RFC 8689 4.2.1)
with requiretls
only tls
open PIPELINING, REQUIRETLS
< MAIL FROM:<sender@contoso.example> REQUIRETLS
< RCPT TO:<a@example.test>
< DATA
> 250 ok
> 250 ok
> 354 go
content
> 250 2.0.0 taken
kept
= 0 delivered 250 2.0.0 taken

case REQUIRETLS over TLS where it is not offered (RFC 8689 4.2.1)
with requiretls
only tls
open PIPELINING
kept
= 0 failed 550 5.7.30 

case DSN is not offered (RFC 3461 5.2.2)
with dsn
open PIPELINING
ask a
> 250 ok
> 250 ok
> 354 go
content
> 250 2.0.0 taken
kept
= 0 delivered 250 2.0.0 taken

case NOTIFY=NEVER (RFC 3461 4.1)
with never
open PIPELINING, DSN
< MAIL FROM:<sender@contoso.example>
< RCPT TO:<a@example.test> NOTIFY=NEVER
< DATA
> 250 ok
> 250 ok
> 354 go
content
> 250 2.0.0 taken
kept
= 0 delivered 250 2.0.0 taken

case the null reverse path (RFC 5321 4.5.5)
with null
open PIPELINING, SIZE
< MAIL FROM:<> SIZE=35
< RCPT TO:<a@example.test>
< DATA
> 250 ok
> 250 ok
> 354 go
content
> 250 2.0.0 taken
kept
= 0 delivered 250 2.0.0 taken

case the bare postmaster (RFC 5321 4.5.1)
with postmaster
open PIPELINING
< MAIL FROM:<sender@contoso.example>
< RCPT TO:<Postmaster>
< DATA
> 250 ok
> 250 ok
> 354 go
content
> 250 2.0.0 taken
kept
= 0 delivered 250 2.0.0 taken

case a quoted local part that looks like a parameter (RFC 5321 4.1.2)
with quoted
open PIPELINING, DSN
< MAIL FROM:<sender@contoso.example>
< RCPT TO:<"x> NOTIFY=NEVER"@example.test>
< DATA
> 250 ok
> 250 ok
> 354 go
content
> 250 2.0.0 taken
kept
= 0 delivered 250 2.0.0 taken

case an unquoted local part brings no parameter along (RFC 5321 4.1.2)
with inject
open PIPELINING, DSN
kept
= 0 failed 553 5.1.3 

case a line end in an address brings no command along (RFC 5321 4.1.2)
with newline
open PIPELINING
kept
= 0 failed 553 5.1.7 
`
