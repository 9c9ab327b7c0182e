package send

import (
	"fmt"
	"testing"
	"testing/synctest"
)

// TestProbeCodes lets a next hop answer with every kind of code at every place
// of a transaction. What must come of it is reckoned here from RFC 5321 alone:
// the first digit decides (4.2.1), 421 ends the session (3.8), 354 is the one
// leave to send content (4.3.2), and 220, 221, 1yz, 3yz and 6yz answer nothing
// that we ask.
func TestProbeCodes(t *testing.T) {
	codes := []int{0, 99, 150, 199, 200, 211, 214, 220, 221, 235, 250, 251, 252, 299, 300, 334, 354, 399, 400, 421, 432, 450, 451, 452, 454, 455, 499,
		500, 501, 502, 503, 504, 521, 530, 535, 550, 551, 552, 553, 554, 555, 556, 599, 600, 650, 999}
	server := testServerTLS(t, "mx.test")
	n := 0
	for _, place := range []string{"MAIL", "RCPT", "DATA", "content", "chunk", "RSET"} {
		for _, piped := range []bool{true, false} {
			// TLS makes a difference to how replies arrive, one by one or
			// together; step by step they arrive one by one anyway.
			variants := []bool{false, true}
			if !piped {
				variants = variants[:1]
			}
			for _, secure := range variants {
				for _, code := range codes {
					c := codeCase(place, code, piped)
					n++
					name := fmt.Sprintf("%s/%03d/piped=%v/tls=%v", place, code, piped, secure)
					t.Run(name, func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) { c.run(t, server, secure) })
					})
				}
			}
		}
	}
	t.Logf("%d cases", n)
}

// kindOf says what a code means where 2yz is wanted, or 354.
func kindOf(code int, want354 bool) string {
	switch {
	case code == 421:
		return "421"
	case code/100 == 4:
		return "deferred"
	case code/100 == 5:
		return "failed"
	case want354 && code == 354, !want354 && code/100 == 2 && code != 220 && code != 221:
		return "good"
	}
	return "amiss"
}

// codeCase writes the dialog in which a code comes at a place.
func codeCase(place string, code int, piped bool) probeCase {
	c := probeCase{name: place, to: []string{"a"}, conns: [][]string{nil}}
	kind := kindOf(code, place == "DATA")
	said := fmt.Sprintf("> %03d said", code)
	mail, rcpt := "< MAIL FROM:<sender@contoso.example>", "< RCPT TO:<a@example.test>"
	keywords := ""
	if piped {
		keywords = "PIPELINING"
	}
	end := "content"
	if place == "chunk" {
		end = "chunk"
		c.with = []string{"binarymime"}
		mail += " BODY=BINARYMIME"
		if keywords != "" {
			keywords += ", "
		}
		keywords += "CHUNKING, BINARYMIME"
	}
	script := []string{"open " + keywords}
	// Each command with the reply to it; the script ends where the code does.
	type exchange struct{ place, command, reply string }
	dialog := []exchange{{"MAIL", mail, "> 250 ok"}, {"RCPT", rcpt, "> 250 ok"}}
	if place == "RSET" {
		c.to = []string{"b", "a"}
		script[0] = "open " + keywords + ", LIMITS RCPTMAX=1"
		if !piped {
			script[0] = "open LIMITS RCPTMAX=1"
		}
		script = append(script, mail)
		if piped {
			script = append(script, "< RCPT TO:<b@example.test>", "< DATA", "> 250 ok", "> 550 5.1.1 no b", "> 503 no")
		} else {
			script = append(script, "> 250 ok", "< RCPT TO:<b@example.test>", "> 550 5.1.1 no b")
		}
		dialog = append([]exchange{{"RSET", "< RSET", "> 250 ok"}}, dialog...)
		c.want = append(c.want, "0 failed 550 5.1.1 no b")
	}
	if place != "chunk" {
		dialog = append(dialog, exchange{"DATA", "< DATA", "> 354 go"})
	}
	var commands, replies []string
	at := -1
	for i, e := range dialog {
		if e.place == place {
			e.reply, at = said, i
		} else if at >= 0 && kind != "good" {
			e.reply = "> 503 no"
		}
		commands, replies = append(commands, e.command), append(replies, e.reply)
	}
	stops := at >= 0 && kind != "good" // no content follows
	switch {
	case piped:
		script = append(script, commands...)
		if stops && (kind == "amiss" || kind == "421" || place == "RSET") {
			replies = replies[:at+1]
		}
		script = append(script, replies...)
	default:
		for i := range commands {
			script = append(script, commands[i], replies[i])
			if stops && i == at {
				break
			}
		}
	}
	if !stops {
		script = append(script, end)
		if place == "content" || place == "chunk" {
			script = append(script, said)
		} else {
			script = append(script, "> 250 2.0.0 taken")
		}
	}
	text := fmt.Sprintf("%03d said", code)
	who := fmt.Sprint(len(c.to) - 1)
	switch {
	case kind == "421":
		c.want = append(c.want, who+" deferred 421 said")
	case kind == "amiss" || place == "RSET" && kind != "good":
		c.want = append(c.want, who+" deferred 421 4.4.0 ")
	case kind != "good":
		c.want = append(c.want, who+" "+kind+" "+text)
	case place == "content" || place == "chunk":
		c.want = append(c.want, who+" delivered "+text)
	default:
		c.want = append(c.want, who+" delivered 250 2.0.0 taken")
	}
	if kind == "421" || kind == "amiss" || place == "RSET" && kind != "good" {
		script = append(script, "closed")
	} else {
		script = append(script, "kept")
	}
	if len(c.want) == 2 && c.want[1] < c.want[0] {
		c.want[0], c.want[1] = c.want[1], c.want[0]
	}
	c.conns[0] = script
	return c
}
