package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"postern/config"
	ptls "postern/tls"
)

// seenCertificate is the certificate that clients of a Receive connector see.
type seenCertificate struct {
	// By is what decided: tls_certificate, assignment, server_name, fqdn or
	// self_signed.
	By         string `json:"by"`
	Thumbprint string `json:"thumbprint,omitempty"`
	// FriendlyName, Names, Subject and the times are the certificate's.
	FriendlyName string     `json:"friendly_name,omitempty"`
	Subject      string     `json:"subject,omitempty"`
	Names        []string   `json:"names"`
	NotAfter     *time.Time `json:"not_after,omitempty"`
	Reason       string     `json:"reason"`
	Problem      string     `json:"problem,omitempty"`
	Remedy       string     `json:"remedy,omitempty"`
}

// seenBy is what a client sees that asks for a name, or for none. It is nil
// where nobody can start TLS, and where there is no certificate store to look
// at: the administrator may be at another desk.
func seenBy(cfg *config.Config, c *config.ReceiveConnector, serverName string) *seenCertificate {
	if !ptls.OffersTLS(c) {
		return nil
	}
	if _, err := os.Stat(ptls.StoreDirectory(cfg)); errors.Is(err, fs.ErrNotExist) && c.TLSCertificate == "" {
		return nil
	}
	chooser, _ := ptls.ReadChooser(cfg)
	choice := chooser.Choose(c, serverName, time.Now())
	out := &seenCertificate{By: string(choice.By), Names: []string{}, Reason: choice.Reason, Remedy: choice.Remedy}
	if choice.Problem != nil {
		out.Problem = strings.ReplaceAll(choice.Problem.Error(), "\n", "; ")
	}
	if e := choice.Entry; e != nil {
		leaf := e.Leaf()
		end := leaf.NotAfter.UTC()
		out.Thumbprint, out.FriendlyName, out.Subject, out.Names, out.NotAfter = e.Thumbprint(), e.FriendlyName, leaf.Subject.String(), ptls.Names(leaf), &end
	}
	return out
}

// printSeen prints it in a line or two.
func (a *app) printSeen(heading string, c *seenCertificate) {
	if c == nil {
		return
	}
	const shown = 5
	text := "a self-signed one, which the gateway makes at its start"
	if c.Thumbprint != "" {
		names := strings.Join(c.Names[:min(shown, len(c.Names))], ", ")
		if n := len(c.Names) - shown; n > 0 {
			names += fmt.Sprintf(" and %d more", n)
		}
		text = fmt.Sprintf("%q (%s...) for %s, until %s", c.FriendlyName, c.Thumbprint[:16], names, c.NotAfter.Local().Format(time.DateOnly))
	}
	a.printField(heading, clean(text+": "+c.Reason))
	if c.Problem != "" {
		a.printField(strings.Repeat(" ", len(heading)), styleFor(a.out).yellow(clean(c.Problem))+". "+clean(c.Remedy))
	}
}
