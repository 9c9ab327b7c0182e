package send

import "testing"

// TestProbeLimits: the limits that a next hop declares (RFC 9422), also those
// that make no sense.
func TestProbeLimits(t *testing.T) { runProbes(t, parseProbes(t, probeLimits)) }

const probeLimits = `
case RCPTMAX=1 (RFC 9422 4.2)
to a b
open PIPELINING, LIMITS RCPTMAX=1
ask a
> 250 ok
> 250 ok
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

case MAILMAX=1 (RFC 9422 4.1)
to a b
open PIPELINING, LIMITS RCPTMAX=1 MAILMAX=1
ask a
> 250 ok
> 250 ok
> 354 go
content
> 250 2.0.0 taken a
kept
connect
open PIPELINING, LIMITS RCPTMAX=1 MAILMAX=1
ask b
> 250 ok
> 250 ok
> 354 go
content
> 250 2.0.0 taken b
kept
= 0 delivered 250 2.0.0 taken a
= 1 delivered 250 2.0.0 taken b

case RCPTDOMAINMAX=1 (RFC 9422 4.3)
to a b
with domains
open PIPELINING, LIMITS RCPTDOMAINMAX=1
< MAIL FROM:<sender@contoso.example>
< RCPT TO:<a@a.test>
< DATA
> 250 ok
> 250 ok
> 354 go
content
> 250 2.0.0 taken a
< MAIL FROM:<sender@contoso.example>
< RCPT TO:<b@b.test>
< DATA
> 250 ok
> 250 ok
> 354 go
content
> 250 2.0.0 taken b
kept
= 0 delivered 250 2.0.0 taken a
= 1 delivered 250 2.0.0 taken b

case RCPTDOMAINMAX=1 and one domain in any case (RFC 9422 4.3)
to a b
open PIPELINING, limits rcptdomainmax=1
ask a b
> 250 ok
> 250 ok
> 250 ok
> 354 go
content
> 250 2.0.0 taken
kept
= 0,1 delivered 250 2.0.0 taken

case limits of zero, of no number, of seven digits, unknown (RFC 9422 4)
to a b
open PIPELINING, LIMITS RCPTMAX=0 MAILMAX=-1 RCPTDOMAINMAX=x RCPTMAX=1000000 FOO=1 BAR = =
ask a b
> 250 ok
> 250 ok
> 250 ok
> 354 go
content
> 250 2.0.0 taken
kept
= 0,1 delivered 250 2.0.0 taken

case fewer than RCPTMAX are taken all the same (RFC 5321 4.5.3.1.10)
to a b c
open PIPELINING, LIMITS RCPTMAX=3
ask a b c
> 250 ok
> 250 ok
> 452 4.5.3 two
> 452 4.5.3 two
> 354 go
content
> 250 2.0.0 taken a
ask b
> 250 ok
> 250 ok
> 354 go
content
> 250 2.0.0 taken b
ask c
> 250 ok
> 250 ok
> 354 go
content
> 250 2.0.0 taken c
kept
= 0 delivered 250 2.0.0 taken a
= 1 delivered 250 2.0.0 taken b
= 2 delivered 250 2.0.0 taken c

case the second of two transactions is cut off (RFC 5321 3.8)
to a b
open PIPELINING, LIMITS RCPTMAX=1
ask a
> 250 ok
> 250 ok
> 354 go
content
> 250 2.0.0 taken a
ask b
> 250 ok
> 250 ok
> 354 go
content
close
= 0 delivered 250 2.0.0 taken a
= 1 deferred 421 4.4.2 

case the first of two transactions is cut off behind its content (RFC 5321 4.5.3.2.6)
to a b
open PIPELINING, LIMITS RCPTMAX=1
ask a
> 250 ok
> 250 ok
> 354 go
content
close
= 0,1 deferred 421 4.4.2 

case a stray reply between two transactions (RFC 5321 4.3.1)
to a b
open PIPELINING, LIMITS RCPTMAX=1
ask a
> 250 ok
> 250 ok
> 354 go
content
> 250 2.0.0 taken a
> 250 2.0.0 taken, I said
closed
= 0 delivered 250 2.0.0 taken a
= 1 deferred 421 4.4.0 

case 421 between two transactions (RFC 5321 3.8)
to a b
open PIPELINING, LIMITS RCPTMAX=1
ask a
> 250 ok
> 250 ok
> 354 go
content
> 250 2.0.0 taken a
> 421 4.4.2 enough
closed
= 0 delivered 250 2.0.0 taken a
= 1 deferred 421 4.4.2 enough
`
