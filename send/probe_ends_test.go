package send

import "testing"

// TestProbeEnds: next hops that fall silent, close or reset at every place.
// Each wait is bounded by its phase (RFC 5321 3.8, 4.5.3.2).
func TestProbeEnds(t *testing.T) { runProbes(t, parseProbes(t, probeEnds)) }

const probeEnds = `
case hangs at the greeting (RFC 5321 4.5.3.2.1)
only clear
hang
= 0 deferred 421 4.4.1 
= unreachable
within 2m

case hangs at EHLO (RFC 5321 4.5.3.2)
only clear
> 220 mx.test
< EHLO out.contoso.example
hang
= 0 deferred 421 4.4.1 
= unreachable
within 2m

case hangs at MAIL (RFC 5321 4.5.3.2.2)
open PIPELINING
ask a
hang
= 0 deferred 421 4.4.1 Connection timed out waiting for the reply to MAIL
within 5m

case hangs at the second RCPT (RFC 5321 4.5.3.2.3)
to a b
open PIPELINING
ask a b
> 250 ok
> 550 5.1.1 no a
hang
= 0 failed 550 5.1.1 no a
= 1 deferred 421 4.4.1 Connection timed out waiting for the reply to RCPT
within 5m

case hangs at DATA (RFC 5321 4.5.3.2.4)
open PIPELINING
ask a
> 250 ok
> 250 ok
hang
= 0 deferred 421 4.4.1 Connection timed out waiting for the reply to DATA
within 2m

case hangs behind the content (RFC 5321 4.5.3.2.6)
open PIPELINING
ask a
> 250 ok
> 250 ok
> 354 go
content
hang
= 0 deferred 421 4.4.1 Connection timed out waiting for the reply to the content
within 10m

case hangs behind a chunk (RFC 5321 4.5.3.2.6)
with binarymime
open PIPELINING, CHUNKING, BINARYMIME
< MAIL FROM:<sender@contoso.example> BODY=BINARYMIME
< RCPT TO:<a@example.test>
> 250 ok
> 250 ok
chunk
hang
= 0 deferred 421 4.4.1 
within 10m

case hangs in the middle of a reply of many lines (RFC 5321 4.5.3.2.6)
open PIPELINING
ask a
> 250 ok
> 250 ok
> 354 go
content
> 250-2.0.0 taken
hang
= 0 deferred 421 4.4.1 
within 10m

case hangs at QUIT (RFC 5321 4.1.1.10)
open PIPELINING
ask a
> 250 ok
> 250 ok
> 354 go
content
> 250 2.0.0 taken
< QUIT
hang
= 0 delivered 250 2.0.0 taken

case refuses QUIT (RFC 5321 4.1.1.10)
open PIPELINING
ask a
> 250 ok
> 250 ok
> 354 go
content
> 250 2.0.0 taken
< QUIT
> 500 never heard of it
closed
= 0 delivered 250 2.0.0 taken

case closes without a greeting (RFC 5321 3.8)
only clear
close
= 0 deferred 421 4.4.2 
= unreachable

case closes at EHLO (RFC 5321 3.8)
only clear
> 220 mx.test
< EHLO out.contoso.example
close
= 0 deferred 421 4.4.2 
= unreachable

case closes at MAIL (RFC 5321 3.8)
open PIPELINING
ask a
close
= 0 deferred 421 4.4.2 

case closes at the first of two RCPT (RFC 5321 3.8)
to a b
open PIPELINING
ask a b
> 250 ok
> 550 5.1.1 no a
close
= 0 failed 550 5.1.1 no a
= 1 deferred 421 4.4.2 

case closes at DATA (RFC 5321 3.8)
open PIPELINING
ask a
> 250 ok
> 250 ok
close
= 0 deferred 421 4.4.2 

case closes behind the content (RFC 5321 4.5.3.2.6)
open PIPELINING
ask a
> 250 ok
> 250 ok
> 354 go
content
close
= 0 deferred 421 4.4.2 

case closes behind 250 (RFC 5321 3.8)
open PIPELINING
ask a
> 250 ok
> 250 ok
> 354 go
content
> 250 2.0.0 taken
close
= 0 delivered 250 2.0.0 taken

case resets behind the content (RFC 5321 4.5.3.2.6)
open PIPELINING
ask a
> 250 ok
> 250 ok
> 354 go
content
reset
= 0 deferred 421 4.4.2 

case resets at RCPT (RFC 5321 3.8)
open PIPELINING
ask a
> 250 ok
pause 1s
reset
= 0 deferred 421 4.4.2 
within 1s

case resets at the greeting (RFC 5321 3.8)
only clear
reset
= 0 deferred 421 4.4.2 
= unreachable
`
