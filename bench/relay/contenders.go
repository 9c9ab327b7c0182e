package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"postern/bench/internal/rig"
)

// The names of the contenders that others are held against.
const (
	nameDirect  = "direct"
	namePostfix = "postfix"
	namePostern = "postern"
)

// contender is what stands between source and sink; nothing when start is nil.
type contender struct {
	name  string
	start func(ctx context.Context, addr string) (stop func() time.Duration, err error)
}

func (b *bench) contenders() []contender {
	return []contender{
		{nameDirect, nil},
		{namePostfix, b.startPostfix},
		{namePostern, func(_ context.Context, addr string) (func() time.Duration, error) {
			return b.startPostern(addr, "none", false)
		}},
		{namePostern + ", verbose logs", func(_ context.Context, addr string) (func() time.Duration, error) {
			return b.startPostern(addr, "verbose", true)
		}},
	}
}

// fresh makes an empty directory for a contender.
func (b *bench) fresh(name string) (string, error) {
	dir := filepath.Join(b.dir, name)
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	return dir, os.Mkdir(dir, 0o755)
}

// startPostern starts a gateway with its protocol logs at a level, and with all
// its other logs or none of them.
func (b *bench) startPostern(addr, logging string, logs bool) (func() time.Duration, error) {
	dir, err := b.fresh("postern.d")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "postern.toml")
	text := fmt.Sprintf(`[server]
fqdn = "gateway.contoso.example"
data_dir = %[1]q

[queue]
max_outbound_connections = "unlimited"
max_per_domain_outbound_connections = %[2]d

[[receive_connector]]
name = "In"
bindings = [%[3]q]
remote_ip_ranges = ["127.0.0.1"]
permission_groups = ["anonymous"]
grant = ["accept_any_recipient"]
auth_mechanism = ["none"]
max_inbound_connection = "unlimited"
max_inbound_connection_per_source = "unlimited"
max_inbound_connection_percentage_per_source = "unlimited"
message_rate_limit = "unlimited"
max_idle_commands = "unlimited"
protocol_logging = %[5]q

[[send_connector]]
name = "Out"
address_spaces = ["*"]
smart_hosts = [%[4]q]
tls = "ignore_starttls"
messages_per_connection = "unlimited"
protocol_logging = %[5]q
`, filepath.Join(dir, "data"), b.outbound, addr, b.sink.Addr, logging)
	for _, log := range []string{"connectivity", "message_tracking", "agent", "routing_table"} {
		text += fmt.Sprintf("[logs.%s]\nenabled = %t\n", log, logs)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return rig.Start(filepath.Join(dir, "output"), b.binary, "serve", "--config", file)
}

// startPostfix starts an instance of its own, with the limits lifted that
// would hold it back here. It writes no log: nothing listens for it.
func (b *bench) startPostfix(ctx context.Context, addr string) (func() time.Duration, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("an instance of Postfix takes root; measure without it with -only postern")
	}
	dir, err := b.fresh("postfix.d")
	if err != nil {
		return nil, err
	}
	if err := b.configurePostfix(dir, addr); err != nil {
		return nil, err
	}
	etc := filepath.Join(dir, "etc")
	postfix, err := rig.LookPath("postfix")
	if err != nil {
		return nil, err
	}
	if out, err := exec.CommandContext(ctx, postfix, "-c", etc, "check").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("postfix check: %w\n%s", err, out)
	}
	postconf, err := rig.LookPath("postconf")
	if err != nil {
		return nil, err
	}
	daemons, err := exec.CommandContext(ctx, postconf, "-c", etc, "-h", "daemon_directory").Output()
	if err != nil {
		return nil, fmt.Errorf("postconf: %w", err)
	}
	return rig.Start(filepath.Join(dir, "output"), filepath.Join(strings.TrimSpace(string(daemons)), "master"), "-c", etc, "-s")
}

func (b *bench) configurePostfix(dir, addr string) error {
	owner, err := user.Lookup("postfix")
	if err != nil {
		return err
	}
	uid, _ := strconv.Atoi(owner.Uid)
	gid, _ := strconv.Atoi(owner.Gid)
	for _, name := range []string{"etc", "queue", "data"} {
		err = errors.Join(err, os.Mkdir(filepath.Join(dir, name), 0o755))
	}
	host, port, _ := strings.Cut(b.sink.Addr, ":")
	main := fmt.Sprintf(`compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
myhostname = gateway.contoso.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
relayhost = [%[2]s]:%[3]s
disable_dns_lookups = yes
smtp_host_lookup = native
smtputf8_enable = no
smtpd_peername_lookup = no
smtpd_tls_security_level = none
smtp_tls_security_level = none
default_process_limit = 100
in_flow_delay = 0
smtpd_client_connection_count_limit = 0
smtpd_client_event_limit_exceptions = 127.0.0.0/8
qmgr_message_active_limit = 50000
initial_destination_concurrency = %[4]d
default_destination_concurrency_limit = %[4]d
message_size_limit = 0
`, dir, host, port, b.outbound)
	master := fmt.Sprintf(`%s inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
tlsmgr unix - - n 1000? 1 tlsmgr
`, addr)
	return errors.Join(err,
		os.Chown(filepath.Join(dir, "data"), uid, gid),
		os.WriteFile(filepath.Join(dir, "etc", "main.cf"), []byte(main), 0o644),
		os.WriteFile(filepath.Join(dir, "etc", "master.cf"), []byte(master), 0o644))
}
