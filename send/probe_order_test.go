package send

import "testing"

// TestProbeOrder: replies that come too early, too often or in the wrong place
// (RFC 5321 3.8, 4.3.1, RFC 2920, RFC 3030).
func TestProbeOrder(t *testing.T) { runProbes(t, parseProbes(t, probeOrder)) }

const probeOrder = `
case the greeting and EHLO's reply at once (RFC 5321 4.3.1)
only clear
> 220 mx.test\r\n250 mx.test
closed
= 0 deferred 421 4.4.0 
= unreachable

case a reply behind EHLO's in another packet (RFC 5321 4.3.1)
only clear
> 220 mx.test
< EHLO out.contoso.example
> 250-mx.test
> 250 PIPELINING
> 250 2.0.0 and more
closed
= 0 deferred 421 4.4.0 

case a refusal behind EHLO's reply is not of the message (RFC 5321 4.3.1)
only clear
> 220 mx.test
< EHLO out.contoso.example
> 250-mx.test
> 250 PIPELINING
> 550 5.7.1 what do you want
closed
= 0 deferred 421 4.4.0 

case one reply too many to MAIL shifts all (RFC 2920 3.1)
to a b
open PIPELINING
ask a b
> 250 ok
> 550 5.7.1 stray
> 250 ok a
> 250 ok b
> 354 go
closed
= 0,1 deferred 421 4.4.0 

case one reply too many, all the recipients refused (RFC 2920 3.1)
to a b
open PIPELINING
ask a b
> 250 ok
> 450 4.7.1 stray
> 550 5.1.1 no a
> 550 5.1.1 no b
> 503 no
closed
= 0,1 deferred 421 4.4.0 

case one reply too many, and the last recipient refused (RFC 2920 3.1)
to a b
open PIPELINING
ask a b
> 250 ok
> 250 stray
> 250 ok a
> 550 5.1.1 no b
> 354 go
closed
= 0,1 deferred 421 4.4.0 

case one reply too many to MAIL that is refused (RFC 2920 3.1)
open PIPELINING
ask a
> 550 5.7.1 refused
> 550 5.7.1 refused, I said
> 503 no
> 503 no
closed
= 0 deferred 421 4.4.0 

case DATA is answered 250 with nobody to send to (RFC 5321 4.3.2)
open PIPELINING
ask a
> 250 ok
> 550 5.1.1 no a
> 250 well then
closed
= 0 deferred 421 4.4.0 

case the content is asked for with nobody to send to (RFC 2920 3.1)
open PIPELINING
ask a
> 250 ok
> 550 5.1.1 no a
> 354 go
< .
> 554 5.5.1 no valid recipients
kept
= 0 failed 550 5.1.1 no a

case nobody to send to, and the empty message is taken (RFC 2920 3.1)
open PIPELINING
ask a
> 250 ok
> 550 5.1.1 no a
> 354 go
< .
> 250 2.0.0 taken, for whom?
kept
= 0 failed 550 5.1.1 no a

case 250 before the content was sent (RFC 5321 4.3.1)
open PIPELINING
ask a
> 250 ok
> 250 ok
> 354 go\r\n250 2.0.0 taken
closed
= 0 deferred 421 4.4.0 

case 550 before the content was sent (RFC 5321 4.3.1)
open PIPELINING
ask a
> 250 ok
> 250 ok
> 354 go\r\n550 5.7.1 changed my mind
closed
= 0 failed 550 5.7.1 changed my mind

case 354 twice (RFC 5321 4.3.1)
open PIPELINING
ask a
> 250 ok
> 250 ok
> 354 go\r\n354 go
closed
= 0 deferred 421 4.4.0 

case a second reply to the content is nobody's (RFC 5321 4.3.1)
open PIPELINING
ask a
> 250 ok
> 250 ok
> 354 go
content
> 250 2.0.0 taken\r\n250 2.0.0 taken
closed
= 0 delivered 250 2.0.0 taken

case two refusals of the content (RFC 5321 4.3.1)
open PIPELINING
ask a
> 250 ok
> 250 ok
> 354 go
content
> 550 5.7.1 spam\r\n550 5.7.1 spam
closed
= 0 failed 550 5.7.1 spam

case taken and refused at once (RFC 5321 4.3.1)
open PIPELINING
ask a
> 250 ok
> 250 ok
> 354 go
content
> 250 2.0.0 taken\r\n550 5.7.1 spam
closed
= 0 delivered 250 2.0.0 taken

case a stray reply ahead of a chunk's is not its own (RFC 3030 2)
with binarymime
open PIPELINING, CHUNKING, BINARYMIME
< MAIL FROM:<sender@contoso.example> BODY=BINARYMIME
< RCPT TO:<a@example.test>
> 250 ok
> 250 ok
> 250 stray
closed
= 0 deferred 421 4.4.0 

case a chunk refused asks for RSET before the next message (RFC 3030 2)
with binarymime
to a b
open PIPELINING, CHUNKING, BINARYMIME, LIMITS RCPTMAX=1
< MAIL FROM:<sender@contoso.example> BODY=BINARYMIME
< RCPT TO:<a@example.test>
> 250 ok
> 250 ok
chunk
> 554 5.6.0 no
< RSET
< MAIL FROM:<sender@contoso.example> BODY=BINARYMIME
< RCPT TO:<b@example.test>
> 250 ok
> 250 ok
> 250 ok
chunk
> 250 2.0.0 taken
kept
= 0 failed 554 5.6.0 no
= 1 delivered 250 2.0.0 taken

case a chunk taken needs no RSET (RFC 3030 2)
with binarymime
to a b
open PIPELINING, CHUNKING, BINARYMIME, LIMITS RCPTMAX=1
< MAIL FROM:<sender@contoso.example> BODY=BINARYMIME
< RCPT TO:<a@example.test>
> 250 ok
> 250 ok
chunk
> 250 2.0.0 taken a
< MAIL FROM:<sender@contoso.example> BODY=BINARYMIME
< RCPT TO:<b@example.test>
> 250 ok
> 250 ok
chunk
> 250 2.0.0 taken b
kept
= 0 delivered 250 2.0.0 taken a
= 1 delivered 250 2.0.0 taken b

case 354 to a chunk means nothing (RFC 3030 2)
with binarymime
open PIPELINING, CHUNKING, BINARYMIME
< MAIL FROM:<sender@contoso.example> BODY=BINARYMIME
< RCPT TO:<a@example.test>
> 250 ok
> 250 ok
chunk
> 354 go
closed
= 0 deferred 421 4.4.0 

case no chunk is sent when all the recipients are refused (RFC 3030 2)
with binarymime
open PIPELINING, CHUNKING, BINARYMIME
< MAIL FROM:<sender@contoso.example> BODY=BINARYMIME
< RCPT TO:<a@example.test>
> 250 ok
> 550 5.1.1 no a
kept
= 0 failed 550 5.1.1 no a

case MAIL refused, a group of chunks (RFC 3030 4.2)
with binarymime
open PIPELINING, CHUNKING, BINARYMIME
< MAIL FROM:<sender@contoso.example> BODY=BINARYMIME
< RCPT TO:<a@example.test>
> 550 5.7.1 no
> 503 no
kept
= 0 failed 550 5.7.1 no

case MAIL refused, yet the recipients and DATA accepted (RFC 2920 3.1)
open PIPELINING
ask a
> 550 5.7.1 no
> 250 ok
> 354 go
closed
= 0 failed 550 5.7.1 no

case RSET refused ends the connection (RFC 5321 4.1.1.5)
to a b
open PIPELINING, LIMITS RCPTMAX=1
ask a
> 250 ok
> 550 5.1.1 no a
> 503 no
< RSET
ask b
> 502 5.5.1 no RSET here
closed
= 0 failed 550 5.1.1 no a
= 1 deferred 421 4.4.0 

case DATA refused, RSET before the next (RFC 5321 4.1.1.5)
to a b
open LIMITS RCPTMAX=1
< MAIL FROM:<sender@contoso.example>
> 250 ok
< RCPT TO:<a@example.test>
> 250 ok
< DATA
> 451 4.3.0 later
< RSET
> 250 ok
< MAIL FROM:<sender@contoso.example>
> 250 ok
< RCPT TO:<b@example.test>
> 250 ok
< DATA
> 354 go
content
> 250 2.0.0 taken
kept
= 0 deferred 451 4.3.0 later
= 1 delivered 250 2.0.0 taken

case step by step, DATA is not asked for when nobody is accepted (RFC 5321 3.3)
open
< MAIL FROM:<sender@contoso.example>
> 250 ok
< RCPT TO:<a@example.test>
> 550 5.1.1 no a
kept
= 0 failed 550 5.1.1 no a

case step by step, a second reply in the same packet (RFC 5321 4.3.1)
open
< MAIL FROM:<sender@contoso.example>
> 250 ok\r\n550 5.7.1 stray
closed
= 0 deferred 421 4.4.0 

case step by step, a second reply in another packet (RFC 5321 4.3.1)
open
< MAIL FROM:<sender@contoso.example>
> 250 ok
< RCPT TO:<a@example.test>
> 250 ok
> 550 5.7.1 stray
closed
= 0 deferred 421 4.4.0 

case step by step, 421 unasked (RFC 5321 3.8)
open
< MAIL FROM:<sender@contoso.example>
> 250 ok\r\n421 4.3.2 going down
closed
= 0 deferred 421 4.3.2 going down
`
