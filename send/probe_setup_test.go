package send

import "testing"

// TestProbeSetup: what can go wrong before MAIL: greeting, EHLO, HELO,
// STARTTLS and AUTH (RFC 3207, 4954, 5321 3.1, 3.2, 4.1.4).
func TestProbeSetup(t *testing.T) { runProbes(t, parseProbes(t, probeSetup)) }

const probeSetup = `
case a greeting of many lines (RFC 5321 4.2)
only clear
> 220-mx.test ESMTP\r\n220-no spam\r\n220
< EHLO out.contoso.example
> 250 mx.test
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

case a greeting in two halves (RFC 5321 4.5.3.2.1)
only clear
>> 220 mx
pause 100s
>> .test\r
pause 10s
>> \n
< EHLO out.contoso.example
> 250 mx.test
< MAIL FROM:<sender@contoso.example>
> 451 4.7.1 greylisted
kept
= 0 deferred 451 4.7.1 greylisted
within 110s

case a greeting an octet a second, too long (RFC 5321 4.5.3.2.1)
only clear
drip 1s 220-welcome to the server mx.test\r\n...
= 0 deferred 421 4.4.1 Connection timed out waiting for the greeting
= unreachable
within 2m

case a greeting with our own name (RFC 5321 6.3)
only clear
> 220 edge.contoso.example ESMTP
kept
= 0 failed 554 5.4.6 Mail loop

case EHLO says 421 (RFC 5321 3.8)
only clear
> 220 mx.test
< EHLO out.contoso.example
> 421 4.3.2 too busy
closed
= 0 deferred 421 4.3.2 too busy
= unreachable

case EHLO says 451 (RFC 5321 4.5.4.1)
only clear
> 220 mx.test
< EHLO out.contoso.example
> 451 4.7.0 wait
closed
= 0 deferred 451 4.7.0 wait
= unreachable

case EHLO is not known, HELO is (RFC 5321 3.2)
only clear
> 220 mx.test
< EHLO out.contoso.example
> 500 what
< HELO out.contoso.example
> 250 mx.test
< MAIL FROM:<sender@contoso.example>
> 250 ok
< RCPT TO:<a@example.test>
> 250 ok
< DATA
> 354 go
content
> 250 taken
kept
= 0 delivered 250 taken

case HELO's reply offers nothing, whatever it lists (RFC 5321 3.2)
only clear
with dsn 8bitmime
> 220 mx.test
< EHLO out.contoso.example
> 502 5.5.1 not here
< HELO out.contoso.example
> 250-mx.test\r\n250-SIZE 10\r\n250-DSN\r\n250-STARTTLS\r\n250 PIPELINING
< MAIL FROM:<sender@contoso.example>
> 250 ok
< RCPT TO:<a@example.test>
> 250 ok
< DATA
> 354 go
content
> 250 taken
kept
= 0 delivered 250 taken

case EHLO and HELO are refused (RFC 5321 4.1.4)
only clear
> 220 mx.test
< EHLO out.contoso.example
> 550 5.7.1 I don't like your name
< HELO out.contoso.example
> 550 5.7.1 nor now
closed
= 0 failed 550 5.7.1 nor now

case EHLO refused where TLS is required (RFC 3207 5)
only clear
with required
> 220 mx.test
< EHLO out.contoso.example
> 502 5.5.1 not here
closed
= 0 deferred 451 4.7.4 TLS is required

case TLS is required and not offered (RFC 3207 5)
only clear
with required
open PIPELINING
kept
= 0 deferred 451 4.7.4 TLS is required

case EHLO twice: over TLS it is refused (RFC 3207 4.2)
only clear
> 220 mx.test
< EHLO out.contoso.example
> 250-mx.test\r\n250 STARTTLS
< STARTTLS
> 220 ready
starttls
< EHLO out.contoso.example
> 451 4.7.0 not now
closed
= 0 deferred 451 4.7.0 not now
= unreachable

case over TLS only HELO is known (RFC 3207 4.2)
only clear
with required
> 220 mx.test
< EHLO out.contoso.example
> 250-mx.test\r\n250-PIPELINING\r\n250 STARTTLS
< STARTTLS
> 220 ready
starttls
< EHLO out.contoso.example
> 500 what
< HELO out.contoso.example
> 250 mx.test
< MAIL FROM:<sender@contoso.example>
> 250 ok
< RCPT TO:<a@example.test>
> 250 ok
< DATA
> 354 go
content
> 250 taken
kept
= 0 delivered 250 taken

case STARTTLS offered again over TLS is not asked for again (RFC 3207 4.2)
only clear
> 220 mx.test
< EHLO out.contoso.example
> 250-mx.test\r\n250 STARTTLS
< STARTTLS
> 220 ready
starttls
< EHLO out.contoso.example
> 250-mx.test\r\n250-PIPELINING\r\n250 STARTTLS
ask a
> 250 ok
> 250 ok
> 354 go
content
> 250 taken
kept
= 0 delivered 250 taken

case STARTTLS refused, in clear over another connection (RFC 3207 4.1)
only clear
> 220 mx.test
< EHLO out.contoso.example
> 250-mx.test\r\n250 STARTTLS
< STARTTLS
> 454 4.7.0 not today
closed
connect
> 220 mx.test
< EHLO out.contoso.example
> 250-mx.test\r\n250-PIPELINING\r\n250 STARTTLS
ask a
> 250 ok
> 250 ok
> 354 go
content
> 250 taken
kept
= 0 delivered 250 taken

case STARTTLS refused, TLS required (RFC 3207 4.1)
only clear
with required
> 220 mx.test
< EHLO out.contoso.example
> 250-mx.test\r\n250 STARTTLS
< STARTTLS
> 502 5.5.1 offered by mistake
closed
= 0 deferred 454 4.7.4 The host refuses STARTTLS: 502 5.5.1 offered by mistake

case 250 to STARTTLS is no leave (RFC 3207 4)
only clear
with required
> 220 mx.test
< EHLO out.contoso.example
> 250-mx.test\r\n250 STARTTLS
< STARTTLS
> 250 fine
closed
= 0 deferred 454 4.7.4 

case a reply in clear behind 220 of STARTTLS (RFC 3207 6)
only clear
with required
> 220 mx.test
< EHLO out.contoso.example
> 250-mx.test\r\n250 STARTTLS
< STARTTLS
> 220 ready
> 250-mx.test\r\n250 PIPELINING
closed
= 0 deferred 421 4.7.5 

case the greeting again over TLS (RFC 3207 4.2)
only clear
with required
> 220 mx.test
< EHLO out.contoso.example
> 250-mx.test\r\n250 STARTTLS
< STARTTLS
> 220 ready
starttls
< EHLO out.contoso.example
> 220 mx.test ESMTP
closed
= 0 deferred 421 4.4.0 
= unreachable

case STARTTLS is left alone where the connector says so (RFC 3207 4)
only clear
with ignore
open STARTTLS, PIPELINING
ask a
> 250 ok
> 250 ok
> 354 go
content
> 250 taken
kept
= 0 delivered 250 taken

case AUTH PLAIN (RFC 4954 4)
with auth
open PIPELINING, AUTH PLAIN LOGIN
< AUTH PLAIN AGVkZ2UAc2VjcmV0
> 235 2.7.0 welcome
< MAIL FROM:<sender@contoso.example> AUTH=<>
< RCPT TO:<a@example.test>
< DATA
> 250 ok
> 250 ok
> 354 go
content
> 250 taken
kept
= 0 delivered 250 taken

case AUTH LOGIN (RFC 4954 4)
with auth
open PIPELINING, auth login
< AUTH LOGIN
> 334 VXNlcm5hbWU6
< ZWRnZQ==
> 334 UGFzc3dvcmQ6
< c2VjcmV0
> 235 2.7.0 welcome
< MAIL FROM:<sender@contoso.example> AUTH=<>
< RCPT TO:<a@example.test>
< DATA
> 250 ok
> 250 ok
> 354 go
content
> 250 taken
kept
= 0 delivered 250 taken

case AUTH is refused (RFC 4954 6)
with auth
open PIPELINING, AUTH PLAIN
< AUTH PLAIN AGVkZ2UAc2VjcmV0
> 535 5.7.8 wrong
kept
= 0 deferred 454 4.7.0 Authentication with the smart host failed (AUTH PLAIN): 535 5.7.8 wrong

case AUTH asks for more than there is (RFC 4954 4)
with auth
open PIPELINING, AUTH PLAIN
< AUTH PLAIN AGVkZ2UAc2VjcmV0
> 334 more
closed
= 0 deferred 454 4.7.0 Authentication with the smart host failed (AUTH PLAIN): 334 more

case AUTH LOGIN asks three times (RFC 4954 4)
with auth
open PIPELINING, AUTH LOGIN
< AUTH LOGIN
> 334 VXNlcm5hbWU6
< ZWRnZQ==
> 334 UGFzc3dvcmQ6
< c2VjcmV0
> 334 UGFzc3dvcmQ6
closed
= 0 deferred 454 4.7.0 

case AUTH is answered 250 (RFC 4954 4)
with auth
open PIPELINING, AUTH PLAIN
< AUTH PLAIN AGVkZ2UAc2VjcmV0
> 250 ok
closed
= 0 deferred 454 4.7.0 

case AUTH says 421 (RFC 4954 6)
with auth
open PIPELINING, AUTH PLAIN
< AUTH PLAIN AGVkZ2UAc2VjcmV0
> 421 4.3.2 enough
closed
= 0 deferred 421 4.3.2 enough

case AUTH hangs (RFC 5321 4.5.3.2)
with auth
open PIPELINING, AUTH PLAIN
< AUTH PLAIN AGVkZ2UAc2VjcmV0
hang
= 0 deferred 421 4.4.1 Connection timed out authenticating
within 2m

case AUTH is not offered (RFC 4954 3)
with auth
open PIPELINING
kept
= 0 deferred 454 4.7.0 The host offers neither

case a stray reply behind that to AUTH (RFC 5321 4.3.1)
with auth
open PIPELINING, AUTH PLAIN
< AUTH PLAIN AGVkZ2UAc2VjcmV0
> 235 2.7.0 welcome
> 250 and more
closed
= 0 deferred 421 4.4.0 
`
