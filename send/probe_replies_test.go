package send

import "testing"

// TestProbeReplies: how replies are read and what they mean, whatever their
// form (RFC 5321 4.2 to 4.2.5, RFC 2034).
func TestProbeReplies(t *testing.T) { runProbes(t, parseProbes(t, probeReplies)) }

const probeReplies = `
case a code alone is a reply (RFC 5321 4.2)
open
< MAIL FROM:<sender@contoso.example>
> 250
< RCPT TO:<a@example.test>
> 250
< DATA
> 354
content
> 250
kept
= 0 delivered 250

case a code and a space is a reply (RFC 5321 4.2)
open PIPELINING
ask a
> 250 \r\n250 \r\n354 
content
> 250 
kept
= 0 delivered 250

case lines that end in LF alone are taken (RFC 5321 4.2)
open PIPELINING
ask a
>> 250 2.1.0 ok\n250 2.1.5 ok\n354 go\n
content
>> 250 2.0.0 taken\n
kept
= 0 delivered 250 2.0.0 taken

case continuation lines with and without text (RFC 5321 4.2.1)
open PIPELINING
ask a
> 250-\r\n250-2.1.0 x\r\n250
> 250-2.1.5 one\r\n250 2.1.5 two
> 354-go\r\n354 ahead
content
> 250-2.6.0 taken\r\n250-2.6.0\r\n250 2.6.0 as 12345
kept
= 0 delivered 250 2.6.0 taken\n\nas 12345

case lines of different codes are no reply (RFC 5321 4.2.1)
open PIPELINING
ask a
> 250-2.1.0 ok\r\n550 5.7.1 or not
closed
= 0 deferred 421 4.4.0 Remote server response was not RFC conformant

case lines of different codes behind the content (RFC 5321 4.2.1)
open PIPELINING
ask a
> 250 ok\r\n250 ok\r\n354 go
content
> 250-2.0.0 ok\r\n451 4.3.0 or not
closed
= 0 deferred 421 4.4.0 

case a code of four digits is no code (RFC 5321 4.2)
open PIPELINING
ask a
> 2500 ok
closed
= 0 deferred 421 4.4.0 

case a code of two digits is no code (RFC 5321 4.2)
open PIPELINING
ask a
> 25 ok
closed
= 0 deferred 421 4.4.0 

case an empty line is no reply (RFC 5321 4.2)
open PIPELINING
ask a
> 
closed
= 0 deferred 421 4.4.0 

case a space before the code (RFC 5321 4.2)
open PIPELINING
ask a
>  250 ok
closed
= 0 deferred 421 4.4.0 

case a binary reply (RFC 5321 4.2)
open PIPELINING
ask a
> \x00\xff\x01\x80\x1b[2J
closed
= 0 deferred 421 4.4.0 

case the text may hold any octets and is kept (RFC 5321 4.2)
open PIPELINING
ask a
> 250 ok
> 550 5.7.1 caf\xc3\xa9 "quoted" \x07 <b@c>
> 503 no
kept
= 0 failed 550 5.7.1 caf\xc3\xa9 "quoted" \x07 <b@c>

case the last line is cut off by the end of the connection (RFC 5321 4.2)
open PIPELINING
ask a
> 250 ok
> 250 ok
> 354 go
content
>> 250 2.0.0 tak
close
= 0 deferred 421 4.4.2 

case a reply of many lines without end (RFC 5321 4.5.3.1.5)
open PIPELINING
ask a
drip 1ms 250-and so on\r\n...
= 0 deferred 421 4.4.0 
within 3s

case a line without end (RFC 5321 4.5.3.1.5)
open PIPELINING
ask a
drip 1us 250 and so on...
= 0 deferred 421 4.4.0 
within 1s

case an octet a second is too slow for MAIL (RFC 5321 4.5.3.2.2)
open PIPELINING
ask a
drip 1s 250 and so on...
= 0 deferred 421 4.4.1 Connection timed out waiting for the reply to MAIL
within 5m

case an octet a second within the time (RFC 5321 4.5.3.2.2)
open PIPELINING
ask a
drip 1s 250 2.1.0 slowly, but it comes\r\n
> 250 ok
> 354 go
content
drip 1s 250 2.0.0 slowly, but it comes\r\n
kept
= 0 delivered 250 2.0.0 slowly, but it comes
within 80s

case an enhanced code of another class stays text (RFC 2034 4)
open PIPELINING
ask a
> 250 ok
> 550 4.2.1 which is it
> 503 no
kept
= 0 failed 550 4.2.1 which is it

case a positive code with a permanent enhanced code (RFC 2034 4)
open PIPELINING
ask a
> 250 5.1.0 ok
> 250 5.1.1 ok
> 354 go
content
> 250 5.6.0 taken
kept
= 0 delivered 250 5.6.0 taken

case an enhanced code of too many digits stays text (RFC 3463 2)
open PIPELINING
ask a
> 250 ok
> 550 5.1000.1 what
> 503 no
kept
= 0 failed 550 5.1000.1 what

case lines of different enhanced codes: the first counts (RFC 2034 4)
open PIPELINING
ask a
> 250 ok
> 550-5.1.1 unknown\r\n550 5.7.1 unwanted
> 503 no
kept
= 0 failed 550 5.1.1 unknown\n5.7.1 unwanted

case codes of a class are known by their first digit (RFC 5321 4.3.2)
to a b c d
open PIPELINING
ask a b c d
> 299 fine
> 298 fine
> 499 later
> 599 never
> 251 will forward
> 354 go
content
> 259 taken
kept
= 0,3 delivered 259 taken
= 1 deferred 499 later
= 2 failed 599 never

case 251 and 252 to RCPT accept (RFC 5321 3.4, 3.5.3)
to a b
open PIPELINING
ask a b
> 250 ok
> 251 2.1.5 will forward to <a@elsewhere.test>
> 252 2.1.5 will try
> 354 go
content
> 250 2.0.0 taken
kept
= 0,1 delivered 250 2.0.0 taken

case 1yz is no class of SMTP (RFC 5321 4.2.1)
open PIPELINING
ask a
> 150 wait
closed
= 0 deferred 421 4.4.0 

case 6yz is no class of SMTP (RFC 5321 4.2.1)
open PIPELINING
ask a
> 650 what
closed
= 0 deferred 421 4.4.0 

case 000 is no code (RFC 5321 4.2.1)
open PIPELINING
ask a
> 000 what
closed
= 0 deferred 421 4.4.0 

case 354 to MAIL means nothing (RFC 5321 4.3.2)
open PIPELINING
ask a
> 354 go
closed
= 0 deferred 421 4.4.0 

case 354 to RCPT means nothing (RFC 5321 4.3.2)
open PIPELINING
ask a
> 250 ok
> 354 go
closed
= 0 deferred 421 4.4.0 

case 250 to DATA is no leave to send (RFC 5321 4.3.2)
open PIPELINING
ask a
> 250 ok
> 250 ok
> 250 go
closed
= 0 deferred 421 4.4.0 

case 334 to DATA is no leave to send (RFC 5321 4.3.2)
open PIPELINING
ask a
> 250 ok
> 250 ok
> 334 Z28=
closed
= 0 deferred 421 4.4.0 

case 354 to the content accepts nothing (RFC 5321 4.3.2)
open PIPELINING
ask a
> 250 ok
> 250 ok
> 354 go
content
> 354 go on
closed
= 0 deferred 421 4.4.0 

case 221 to the content accepts nothing (RFC 5321 4.2.3)
open PIPELINING
ask a
> 250 ok
> 250 ok
> 354 go
content
> 221 2.0.0 good bye
closed
= 0 deferred 421 4.4.0 

case 220 to the content accepts nothing (RFC 5321 4.2.3)
open PIPELINING
ask a
> 250 ok
> 250 ok
> 354 go
content
> 220 mx.test ESMTP
closed
= 0 deferred 421 4.4.0 

case 221 to MAIL (RFC 5321 4.2.3)
open PIPELINING
ask a
> 221 2.0.0 good bye
closed
= 0 deferred 421 4.4.0 

case 421 to MAIL ends the session (RFC 5321 3.8)
open PIPELINING
ask a
> 421 4.3.2 going down
closed
= 0 deferred 421 4.3.2 going down

case 421 to the second RCPT keeps what was said of the first (RFC 5321 3.8)
to a b c
open PIPELINING
ask a b c
> 250 ok
> 550 5.1.1 no a
> 421 4.3.2 going down
closed
= 0 failed 550 5.1.1 no a
= 1,2 deferred 421 4.3.2 going down

case 421 to DATA (RFC 5321 3.8)
open PIPELINING
ask a
> 250 ok
> 250 ok
> 421 4.3.2 going down
closed
= 0 deferred 421 4.3.2 going down

case 421 to the content (RFC 5321 3.8)
open PIPELINING
ask a
> 250 ok
> 250 ok
> 354 go
content
> 421 4.3.2 going down
closed
= 0 deferred 421 4.3.2 going down

case 521 greets who takes no mail (RFC 7504 3)
only clear
> 521 mx.test takes no mail
closed
= 0 failed 521 mx.test takes no mail

case 554 greets who gives no service (RFC 5321 3.1)
only clear
> 554-mx.test\r\n554 5.7.1 not for you
closed
= 0 failed 554 mx.test\n5.7.1 not for you

case 556 of a domain that takes no mail (RFC 7504 4)
to a b
open PIPELINING
ask a b
> 250 ok
> 556 5.1.10 no mail for that domain
> 250 ok
> 354 go
content
> 250 2.0.0 taken
kept
= 0 failed 556 5.1.10 no mail for that domain
= 1 delivered 250 2.0.0 taken

case 555 to a parameter (RFC 5321 4.1.1.11)
open PIPELINING, SIZE
< MAIL FROM:<sender@contoso.example> SIZE=35
< RCPT TO:<a@example.test>
< DATA
> 555 5.5.4 SIZE not understood
> 503 no
> 503 no
kept
= 0 failed 555 5.5.4 SIZE not understood

case 503 to everything (RFC 5321 4.2.4)
open PIPELINING
ask a
> 503 5.5.1 bad sequence
> 503 5.5.1 bad sequence
> 503 5.5.1 bad sequence
kept
= 0 failed 503 5.5.1 bad sequence

case 452 to one of two means fewer at a time (RFC 5321 4.5.3.1.10)
to a b
open PIPELINING
ask a b
> 250 ok
> 250 ok
> 452 4.5.3 too many
> 354 go
content
> 250 2.0.0 taken a
ask b
> 250 ok
> 250 ok
> 354 go
content
> 250 2.0.0 taken b
kept
= 0 delivered 250 2.0.0 taken a
= 1 delivered 250 2.0.0 taken b

case 452 to every recipient is each one's own (RFC 5321 4.5.3.1.10)
to a b
open PIPELINING
ask a b
> 250 ok
> 452 4.5.3 no a today
> 452 4.5.3 no b today
> 503 no
kept
= 0 deferred 452 4.5.3 no a today
= 1 deferred 452 4.5.3 no b today

case 552 to the only recipient is no matter of many (RFC 5321 4.2.3)
open PIPELINING
ask a
> 250 ok
> 552 mailbox full
> 503 no
kept
= 0 failed 552 mailbox full

case 552 that says too many is temporary (RFC 5321 4.5.3.1.10)
open PIPELINING
ask a
> 250 ok
> 552 5.5.3 too many
> 503 no
kept
= 0 deferred 452 4.5.3 too many

case 552 to one of two, first too many and then a full mailbox (RFC 5321 4.5.3.1.10)
to a b
open PIPELINING
ask a b
> 250 ok
> 250 ok
> 552 no room
> 354 go
content
> 250 2.0.0 taken a
ask b
> 250 ok
> 552 no room
> 503 no
kept
= 0 delivered 250 2.0.0 taken a
= 1 failed 552 no room

case 452 of the system sends the message elsewhere (RFC 3463 3.4)
open PIPELINING
ask a
> 452 4.3.1 disk full
> 503 no
> 503 no
kept
= 0 deferred 452 4.3.1 disk full
`
