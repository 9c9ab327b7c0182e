package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/spf13/cobra"

	"postern/config"
	"postern/internal/server"
	ptls "postern/tls"
)

// demoTimeout bounds the whole demo, and demoWait the wait for one message.
const (
	demoTimeout = 30 * time.Second
	demoWait    = 10 * time.Second
)

func (a *app) demo() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Show a gateway at work, without a file and without a network",
		Long: `Demo starts a gateway and two next hops on free ports of 127.0.0.1, one with TLS
and one without, sends a handful of messages through it, and prints what happened
to each: the Receive connector that took it, the route with its reasons, the Send
connector, what TLS was negotiated, and the lines of the protocol log. Everything
it writes is in a temporary directory that it removes at the end.`,
		Example: "  postern demo",
		Args:    a.noArguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			// What was begun is cleaned up whoever ends it: a reader of the
			// output that goes away must not end the program.
			signal.Ignore(syscall.SIGPIPE)
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			ctx, cancel := context.WithTimeout(ctx, demoTimeout)
			defer cancel()
			return a.runDemo(ctx)
		},
	}
}

// demoConfig is the gateway's file. The ports are those of the two Receive
// connectors and of the two next hops.
const demoConfig = `[server]
fqdn = "edge.contoso.example"
data_dir = %q

[[accepted_domain]]
domain = "contoso.example"
type = "internal_relay"

[[receive_connector]]
name = "From Internet"
bindings = ["127.0.0.1:%d"]
permission_groups = ["anonymous"]
deny = ["accept_authoritative_domain_sender"]   # no stranger sends as us
tarpit_interval = "0s"
max_inbound_connection_per_source = "unlimited"
max_inbound_connection_percentage_per_source = "unlimited"
message_rate_limit = "unlimited"
protocol_logging = "verbose"

[[receive_connector]]
name = "From applications"
bindings = ["127.0.0.1:%d"]
remote_ip_ranges = ["127.0.0.1"]
permission_groups = ["anonymous"]
grant = ["accept_any_recipient"]                # these may relay
max_inbound_connection_per_source = "unlimited"
max_inbound_connection_percentage_per_source = "unlimited"
message_rate_limit = "unlimited"
protocol_logging = "verbose"

[[send_connector]]
name = "To organization"
address_spaces = ["--"]                         # our own domains
smart_hosts = ["127.0.0.1:%d"]
tls = "required"
protocol_logging = "verbose"

[[send_connector]]
name = "Partner"
address_spaces = ["*.fabrikam.example"]
smart_hosts = ["127.0.0.1:%d"]
tls = "required"
blocked_senders = ["intern@contoso.example"]
max_message_size = "10MB"
protocol_logging = "verbose"

[[send_connector]]
name = "Everyone else"
address_spaces = ["*"]
smart_hosts = ["127.0.0.1:%d"]
tls = "opportunistic"
protocol_logging = "verbose"
`

// demoMessage is one message of the demo and what it shows.
type demoMessage struct {
	title     string
	inside    bool // through "From applications", else "From Internet"
	from, to  string
	subject   string
	reports   bool // its failure makes a notification, which is shown too
	undecided bool // refused in the session: nothing reaches the router
}

func demoMessages() []demoMessage {
	return []demoMessage{
		{title: "A stranger writes to us", from: "bob@fabrikam.example", to: "kim@contoso.example", subject: "Offer"},
		{title: "A stranger tries to relay through us", from: "eve@nowhere.example", to: "bob@fabrikam.example", subject: "Cheap watches", undecided: true},
		{title: "An application writes to a partner", inside: true, from: "billing@contoso.example", to: "bob@mail.fabrikam.example", subject: "Invoice 4711"},
		{title: "The intern writes to the partner: the partner's connector does not take it", inside: true, from: "intern@contoso.example", to: "bob@fabrikam.example", subject: "Hello"},
		{title: "An application writes to somebody the next hop does not know: a notification goes back", inside: true, from: "billing@contoso.example", to: "nobody@elsewhere.example", subject: "Reminder", reports: true},
	}
}

func (a *app) runDemo(ctx context.Context) (err error) {
	began := time.Now()
	dir, err := os.MkdirTemp("", "postern-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	a.demoSays("Starting a gateway and two next hops on 127.0.0.1 ...")

	withTLS, without, err := startHops(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, withTLS.close(), without.close()) }()

	ports, err := freePorts(2)
	if err != nil {
		return err
	}
	text := fmt.Sprintf(demoConfig, filepath.Join(dir, "data"), ports[0], ports[1], withTLS.port(), withTLS.port(), without.port())
	cfg, findings, err := config.Parse("demo", []byte(text))
	if err != nil || config.HasErrors(findings) {
		return fmt.Errorf("the demo's configuration: %v %v", err, findings)
	}
	rec := newRecorder()
	g, err := server.Build(server.Options{
		Config: cfg, Logger: slog.New(slog.DiscardHandler), Line: rec.line, OnEvent: rec.event,
	})
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), demoWait)
		defer cancel()
		err = errors.Join(err, g.Stop(ctx))
	}()
	if err := g.Start(ctx); err != nil {
		return err
	}
	show := demoShow{Messages: []demoResult{}}
	for i, m := range demoMessages() {
		port := ports[0]
		if m.inside {
			port = ports[1]
		}
		r, err := rec.follow(ctx, cfg, m, port)
		if err != nil {
			return err
		}
		show.Messages = append(show.Messages, *r)
		if !a.json() {
			a.printResult(i+1, r)
		}
	}
	show.WithTLS, show.WithoutTLS = withTLS.messages(), without.messages()
	if a.json() {
		return a.printJSON(show)
	}
	a.printHops(&show)
	fmt.Fprintln(a.out)
	a.demoSays(fmt.Sprintf("Done in %.1f s. Every decision above can be asked for: postern explain route SENDER RECIPIENT.", time.Since(began).Seconds()))
	return nil
}

// demoSays prints what is no result.
func (a *app) demoSays(text string) {
	if a.json() {
		return
	}
	s := styleFor(a.out)
	width, _ := terminal(a.out)
	for _, line := range wrap(text, width) {
		fmt.Fprintln(a.out, s.dim(line))
	}
}

// startHops starts the organization's hub, which has TLS, and the rest of the
// world, which has not.
func startHops(dir string) (hub, world *nextHop, err error) {
	store, err := ptls.OpenStore(ptls.StoreOptions{Directory: filepath.Join(dir, "hub"), Names: []string{"hub1.corp.contoso.example"}})
	if err != nil {
		return nil, nil, err
	}
	hub, err = startNextHop("hub1.corp.contoso.example", &tls.Config{Certificates: []tls.Certificate{*store.Current()}, MinVersion: tls.VersionTLS12})
	if err != nil {
		return nil, nil, err
	}
	world, err = startNextHop("mx.elsewhere.example", nil)
	if err != nil {
		return nil, nil, errors.Join(err, hub.close())
	}
	return hub, world, nil
}

// freePorts finds ports of 127.0.0.1 on which nobody listens.
func freePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}

// submit sends a message as any mail program would, and returns the reply that
// refused it, if one did.
func (m demoMessage) submit(ctx context.Context, port int) (refusal *smtp.SMTPError, err error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, err
	}
	c := smtp.NewClient(conn)
	defer c.Close()
	err = c.Hello("client.example")
	if err == nil {
		text := fmt.Sprintf("From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <%d@client.example>\r\n\r\nThis is a message of the demo.\r\n",
			m.from, m.to, m.subject, time.Now().Format(time.RFC1123Z), time.Now().UnixNano())
		err = c.SendMail(m.from, []string{m.to}, strings.NewReader(text))
	}
	if errors.As(err, &refusal) {
		return refusal, c.Quit()
	}
	if err != nil {
		return nil, err
	}
	return nil, c.Quit()
}
