package config

import (
	"strings"
	"testing"
)

// receiveHead and sendHead are rows that lack nothing; what follows them
// stands in line 4.
const (
	receiveHead = "[[receive_connector]]\nname = \"a\"\nbindings = [\"0.0.0.0:25\"]\n"
	sendHead    = "[[send_connector]]\nname = \"s\"\naddress_spaces = [\"*\"]\n"
)

// TestFindings gives for each text the findings, in full, that it must have.
func TestFindings(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		// Keys and tables that don't exist.
		{"unknown key", receiveHead + `banne = "220 x"`, []string{
			`edge.toml:4:1: unknown key "banne" in [[receive_connector]]; did you mean "banner"?`}},
		{"unknown key far from any", receiveHead + `colour = 1`, []string{
			`edge.toml:4:1: unknown key "colour" in [[receive_connector]]; take it out, or see the reference for the keys of [[receive_connector]]`}},
		{"key of Exchange", receiveHead + `  MaxMessageSize = "1MB"`, []string{
			`edge.toml:4:3: unknown key "MaxMessageSize" in [[receive_connector]]; did you mean "max_message_size"?`}},
		{"key with hyphens", receiveHead + `require-tls = true`, []string{
			`edge.toml:4:1: unknown key "require-tls" in [[receive_connector]]; did you mean "require_tls"?`}},
		{"key of another table", receiveHead + `smart_hosts = []`, []string{
			`edge.toml:4:1: unknown key "smart_hosts" in [[receive_connector]]; it belongs to [[send_connector]]`}},
		{"key of several others", receiveHead + sendHead + `directory = "x"`, []string{
			`edge.toml:7:1: unknown key "directory" in [[send_connector]]; it belongs to [queue], [logs], [logs.receive_protocol], [logs.send_protocol], [logs.connectivity], [logs.message_tracking], [logs.agent], [logs.routing_table] or [logs.event]`}},
		{"key before its table", "data_dir = \"x\"\n" + receiveHead, []string{
			`edge.toml:1:1: "data_dir" stands outside its table; it belongs to [server]`}},
		{"unknown table", receiveHead + "[servr]\nfqdn = \"a.example\"", []string{
			`edge.toml:4:1: unknown table [servr]; did you mean [server]?`}},
		{"unknown repeated table", receiveHead + "[[recieve_connector]]\nname = \"b\"", []string{
			`edge.toml:4:1: unknown table [[recieve_connector]]; did you mean [[receive_connector]]?`}},
		{"unknown table far from any", receiveHead + "[\"a b\".c]\n", []string{
			`edge.toml:4:1: unknown table ["a b"]; the tables are [server], [dns], [[accepted_domain]], [[receive_connector]], [[user]], [[send_connector]], [[dkim]], [routing], [queue], [notifications], [[remote_domain]], [back_pressure], [logs], [pickup], [control] and [metrics]`}},
		{"unknown key at the top", "zzzz = 1\n" + receiveHead, []string{
			`edge.toml:1:1: unknown key "zzzz" outside any table; take it out, or see the reference for what there is`}},
		{"unknown key in an inline table", sendHead + `smart_hosts = ["h"]` + "\n" + `smart_host_auth = { mechanism = "none", user = "x" }` + "\n" + receiveHead, []string{
			`edge.toml:5:41: unknown key "user" in [send_connector.smart_host_auth]; did you mean "username"?`}},
		{"unknown table within a table", receiveHead + "[back_pressure.dsk]\nhigh = \"96%\"", []string{
			`edge.toml:4:1: unknown key "dsk" in [back_pressure]; did you mean "disk"?`}},
		{"dotted key", receiveHead + "[back_pressure]\ndisk.hihg = \"96%\"", []string{
			`edge.toml:5:6: unknown key "hihg" in [back_pressure.disk]; did you mean "high"?`}},
		{"one bracket too few", "[receive_connector]\nname = \"a\"\nbindings = [\"0.0.0.0:25\"]\nbanne = 1", []string{
			`edge.toml:1:1: receive_connector is written as a single table; write [[receive_connector]] with two brackets`,
			`edge.toml:4:1: unknown key "banne" in [[receive_connector]]; did you mean "banner"?`}},
		{"one bracket too many", receiveHead + "[[server]]\nfqdn = \"a.example\"", []string{
			`edge.toml:4:1: server is not written as one table; write [server] once`}},
		{"a value for a table", receiveHead + "[send_connector]\n[queue]\n[back_pressure]\ndisk = 5", []string{
			`edge.toml:4:1: send_connector is written as a single table; write [[send_connector]] with two brackets`,
			`edge.toml:4:1: name is missing in [[send_connector]]; write name = ...`,
			`edge.toml:4:1: address_spaces is missing in [[send_connector]]; write address_spaces = ..., or address_spaces_file = ...; only what another connector names as its fallback needs neither`,
			`edge.toml:7:1: disk is not written as one table; write [back_pressure.disk] once`}},

		// Syntax.
		{"not UTF-8", "[server]\nfqdn = \"\xff\"", []string{
			`edge.toml:2:9: the file is not UTF-8; save it as UTF-8`}},
		{"nested without end", "x = " + strings.Repeat("[", 100), []string{
			`edge.toml:1:38: keys or values nest more than 32 deep, or are longer than 1024 octets; no key there is needs that`}},
		{"dotted without end", "\n[" + strings.Repeat("a.", 100) + "b]", []string{
			`edge.toml:2:66: keys or values nest more than 32 deep, or are longer than 1024 octets; no key there is needs that`}},
		{"long key", "[" + strings.Repeat("a", 1025) + "]", []string{
			`edge.toml:1:2: keys or values nest more than 32 deep, or are longer than 1024 octets; no key there is needs that`}},
		{"long path", "[" + strings.Repeat("a", 600) + "]\n" + strings.Repeat("b", 600) + " = 1", []string{
			`edge.toml:2:1: keys or values nest more than 32 deep, or are longer than 1024 octets; no key there is needs that`}},

		// Types.
		{"number in quotes", receiveHead + `max_hop_count = "30"`, []string{
			`edge.toml:4:1: max_hop_count: "30" stands in quotes; write a whole number, from 1 to 500`}},
		{"boolean in quotes", receiveHead + `enabled = "true"`, []string{
			`edge.toml:4:1: enabled: "true" is a string; write true or false, without quotes`}},
		{"string for a list", receiveHead + `deny = "submit"`, []string{
			`edge.toml:4:1: deny: "submit" is a string; write a list: ["submit"]`}},
		{"list for a string", receiveHead + `comment = ["x"]`, []string{
			`edge.toml:4:1: comment: what is written here is a list; write a string in quotes`}},
		{"number for a string", receiveHead + `comment = 5`, []string{
			`edge.toml:4:1: comment: 5 is a number; write a string in quotes`}},
		{"table for a number", receiveHead + `max_hop_count = { x = 1 }`, []string{
			`edge.toml:4:1: max_hop_count: what is written here is a table; write a whole number, from 1 to 500`}},
		{"date for a number", receiveHead + `max_hop_count = 2026-01-01`, []string{
			`edge.toml:4:1: max_hop_count: what is written here is a date; write a whole number, from 1 to 500`}},
		{"fraction", receiveHead + `connection_timeout = 1.5`, []string{
			`edge.toml:4:1: connection_timeout: 1.5 is a fraction; write a duration such as "5s" or "1h30m", from 1s to 1d`}},
		{"number in a list of words", receiveHead + `deny = ["submit", 5]`, []string{
			`edge.toml:4:19: deny: 5 is a number; write a string in quotes`}},

		{"an extension without what it needs", receiveHead + `chunking_enabled = false`, []string{
			`edge.toml:4:1: chunking_enabled: binary_mime_enabled needs chunking_enabled; write binary_mime_enabled = false too, or chunking_enabled = true`}},
		{"an extension without what it needs, written", receiveHead + "chunking_enabled = false\nbinary_mime_enabled = true", []string{
			`edge.toml:5:1: binary_mime_enabled: binary_mime_enabled needs chunking_enabled; write binary_mime_enabled = false too, or chunking_enabled = true`}},
		{"SMTPUTF8 without 8BITMIME", receiveHead + "eight_bit_mime_enabled = false", []string{
			`edge.toml:4:1: eight_bit_mime_enabled: smtp_utf8_enabled needs eight_bit_mime_enabled; write smtp_utf8_enabled = false too, or eight_bit_mime_enabled = true`}},
		{"an extension and what it needs off", receiveHead + "chunking_enabled = false\nbinary_mime_enabled = false", nil},

		// Ranges.
		{"too small", receiveHead + `max_hop_count = 0`, []string{
			`edge.toml:4:1: max_hop_count: 0 is out of range; write a whole number, from 1 to 500`}},
		{"too large", receiveHead + `max_inbound_connection = 2147483648`, []string{
			`edge.toml:4:1: max_inbound_connection: 2147483648 is out of range; write a whole number, from 1 to 2147483647, or "unlimited"`}},
		{"negative", receiveHead + `max_inbound_connection = -1`, []string{
			`edge.toml:4:1: max_inbound_connection: -1 is out of range; write a whole number, from 1 to 2147483647, or "unlimited"`}},
		{"unlimited where there must be a limit", receiveHead + `max_hop_count = "unlimited"`, []string{
			`edge.toml:4:1: max_hop_count: "unlimited" is not a number; write a whole number, from 1 to 500`}},
		{"size too small", receiveHead + `max_message_size = "1KB"`, []string{
			`edge.toml:4:1: max_message_size: "1KB" is out of range; write a size such as "36MB", from 64KB to 2147483647B`}},
		{"size without end", "[server]\nfqdn = \"e.example\"\nmax_message_size = \"99999999999TB\"\n" + receiveHead, []string{
			`edge.toml:3:1: max_message_size: "99999999999TB" is too large a number; write a size such as "36MB", from 64KB to 2147483647B`}},
		{"seconds without end", receiveHead + `connection_timeout = 9223372036854775807`, []string{
			`edge.toml:4:1: connection_timeout: 9223372036854775807 seconds is out of range; write a duration such as "5s" or "1h30m", from 1s to 1d`}},
		{"port", sendHead + "port = 0\n" + receiveHead, []string{
			`edge.toml:4:1: port: 0 is out of range; write a whole number, from 1 to 65535`}},
		{"retry", receiveHead + "[queue]\nretry = [\"1m\", \"30d\", \"1m x0\", \"1m x 4\", \"x4\"]", []string{
			`edge.toml:5:16: retry: "30d" is out of range; write an interval from 1s to 20d with how often it is waited, from 1 to 1000: "10m x6"`,
			`edge.toml:5:23: retry: "1m x0" is out of range; write an interval from 1s to 20d with how often it is waited, from 1 to 1000: "10m x6"`,
			`edge.toml:5:32: retry: "1m x 4" is not a retry step; write an interval from 1s to 20d with how often it is waited, from 1 to 1000: "10m x6"`,
			`edge.toml:5:42: retry: "x4" is not a retry step; write an interval from 1s to 20d with how often it is waited, from 1 to 1000: "10m x6"`}},
		{"message retry", receiveHead + "[queue]\nmessage_retry_interval = \"10ms\"", []string{
			`edge.toml:5:1: message_retry_interval: "10ms" is out of range; write 1s or more, or 0s to leave it to retry`}},
		{"no retry", receiveHead + "[queue]\nretry = []", []string{
			`edge.toml:5:1: retry: the list is empty; write at least one retry step`}},

		// Words.
		{"unknown group", receiveHead + `permission_groups = ["anonymus"]`, []string{
			`edge.toml:4:22: permission_groups: "anonymus" is not known here; did you mean "anonymous"? Write "anonymous", "users", "partners" or "servers"`}},
		{"unknown right", receiveHead + `grant = ["AcceptAnyRecipient"]`, []string{
			`edge.toml:4:10: grant: "AcceptAnyRecipient" is not known here; did you mean "accept_any_recipient"? Write "submit", "accept_any_recipient", ` +
				`"accept_any_sender", "accept_authoritative_domain_sender", "accept_authentication_flag", "bypass_anti_spam", "bypass_message_size_limit", ` +
				`"accept_headers_routing" or "accept_headers_organization"`}},
		{"word twice", receiveHead + `permission_groups = ["users", "users"]`, []string{
			`edge.toml:4:31: permission_groups: "users" stands here twice; take one of them out`}},
		{"domain type", "[[accepted_domain]]\ndomain = \"contoso.example\"\ntype = \"internal\"\n" + receiveHead, []string{
			`edge.toml:3:1: type: "internal" is not known here; did you mean "internal_relay"? Write "authoritative", "internal_relay" or "external_relay"`}},

		// Names.
		{"no name", "[[receive_connector]]\nbindings = [\"0.0.0.0:25\"]", []string{
			`edge.toml:1:1: name is missing in [[receive_connector]]; write name = ...`}},
		{"empty name", "[[receive_connector]]\nname = \"\"\nbindings = [\"0.0.0.0:25\"]", []string{
			`edge.toml:2:1: name: the name is empty; write a name of 1 to 64 characters`}},
		{"long name", "[[receive_connector]]\nname = \"" + strings.Repeat("é", 65) + "\"\nbindings = [\"0.0.0.0:25\"]", []string{
			`edge.toml:2:1: name: "` + strings.Repeat("é", 30) + `"... has 65 characters; write a name of 1 to 64 characters`}},
		{"control character in a name", "[[receive_connector]]\nname = \"a\\tb\"\nbindings = [\"0.0.0.0:25\"]", []string{
			`edge.toml:2:1: name: "a\tb" holds the control character '\t'; write it without`}},
		{"space around a name", "[[receive_connector]]\nname = \"a \"\nbindings = [\"0.0.0.0:25\"]", []string{
			`edge.toml:2:1: name: "a " begins or ends with a space; write it without`}},
		{"the same name but for case", receiveHead + "[[receive_connector]]\nname = \"A\"\nbindings = [\"0.0.0.0:26\"]", []string{
			`edge.toml:5:1: name: "A" is already the name of the [[receive_connector]] in line 1; write another name; case makes no difference`}},
		{"the same name of two kinds", receiveHead + strings.Replace(sendHead, `"s"`, `"a"`, 1), nil},
		{"comma in a name", strings.Replace(receiveHead, `"a"`, `"a, \"b\""`, 1), nil},

		// Bindings and ranges.
		{"no bindings", "[[receive_connector]]\nname = \"a\"", []string{
			`edge.toml:1:1: bindings is missing in [[receive_connector]]; write bindings = ...`}},
		{"empty bindings", "[[receive_connector]]\nname = \"a\"\nbindings = []", []string{
			`edge.toml:3:1: bindings: the list is empty; write at least one binding`}},
		{"binding without port", "[[receive_connector]]\nname = \"a\"\nbindings = [\"0.0.0.0:25\", \"::\", \"[::]:0\", \"localhost:25\"]", []string{
			`edge.toml:3:27: bindings: "::" is not a binding; write "address:port", such as "0.0.0.0:25" or "[::]:25", with a port from 1 to 65535`,
			`edge.toml:3:33: bindings: "[::]:0" is not a binding; write "address:port", such as "0.0.0.0:25" or "[::]:25", with a port from 1 to 65535`,
			`edge.toml:3:43: bindings: "localhost:25" is not a binding; write "address:port", such as "0.0.0.0:25" or "[::]:25", with a port from 1 to 65535`}},
		{"ranges", receiveHead + "remote_ip_ranges = [\n  \"10.0.0.0/33\",\n  \"10.0.0.9-10.0.0.1\",\n  \"10.0.0.1-::1\", \"x\", # comment\n  \"fe80::1%eth0\",\n]", []string{
			`edge.toml:5:3: remote_ip_ranges: "10.0.0.0/33" is not an address range; write a prefix, an address or two addresses of one family, the lower first: "10.0.0.0/8", "10.0.0.1", "10.0.0.1-10.0.0.9"`,
			`edge.toml:6:3: remote_ip_ranges: "10.0.0.9-10.0.0.1" ends before it begins; write a prefix, an address or two addresses of one family, the lower first: "10.0.0.0/8", "10.0.0.1", "10.0.0.1-10.0.0.9"`,
			`edge.toml:7:3: remote_ip_ranges: the ends of "10.0.0.1-::1" are of different families; write a prefix, an address or two addresses of one family, the lower first: "10.0.0.0/8", "10.0.0.1", "10.0.0.1-10.0.0.9"`,
			`edge.toml:7:19: remote_ip_ranges: "x" is not an address range; write a prefix, an address or two addresses of one family, the lower first: "10.0.0.0/8", "10.0.0.1", "10.0.0.1-10.0.0.9"`,
			`edge.toml:8:3: remote_ip_ranges: "fe80::1%eth0" has a scope, which ranges can't tell apart; write a prefix, an address or two addresses of one family, the lower first: "10.0.0.0/8", "10.0.0.1", "10.0.0.1-10.0.0.9"`}},
		{"binding and range twice", receiveHead + "remote_ip_ranges = [\"10.0.0.0/8\"]\n[[receive_connector]]\nname = \"b\"\nbindings = [\"127.0.0.1:25\", \"0.0.0.0:25\"]\nremote_ip_ranges = [\"192.0.2.1\", \"10.0.0.0-10.255.255.255\"]", []string{
			`edge.toml:8:34: remote_ip_ranges: 10.0.0.0/8 on 0.0.0.0:25 belongs to "a" already; write another range or another binding`}},
		{"binding twice with no ranges", receiveHead + "[[receive_connector]]\nname = \"b\"\nbindings = [\"0.0.0.0:25\"]", []string{
			`edge.toml:4:1: remote_ip_ranges: 0.0.0.0/0 on 0.0.0.0:25 belongs to "a" already; write another range or another binding`}},
		{"ranges that overlap in part", receiveHead + "remote_ip_ranges = [\"10.0.0.1-10.0.0.20\"]\n[[receive_connector]]\nname = \"b\"\nbindings = [\"0.0.0.0:25\"]\nremote_ip_ranges = [\"10.0.0.10-10.0.0.30\"]", []string{
			`edge.toml:8:21: remote_ip_ranges: 10.0.0.10-10.0.0.30 overlaps in part with 10.0.0.1-10.0.0.20 of "a" on 0.0.0.0:25; write ranges that lie apart or one within the other`}},
		{"nested ranges", receiveHead + "[[receive_connector]]\nname = \"b\"\nbindings = [\"0.0.0.0:25\"]\nremote_ip_ranges = [\"10.0.0.0/24\", \"2001:db8::/32\"]\n[[receive_connector]]\nname = \"c\"\nbindings = [\"0.0.0.0:25\"]\nremote_ip_ranges = [\"10.0.0.9\"]", nil},
		{"hosts written as prefixes", receiveHead + "remote_ip_ranges = [\"10.0.0.0/8\", \"192.0.2.5/24\", \"192.0.2.5/32\", \"2001:db8::1/64\"]\nproxy_protocol_from = [\"198.51.100.9/30\"]", []string{
			`edge.toml:4:35: warning: remote_ip_ranges: "192.0.2.5/24" is a host, and stands for its whole network 192.0.2.0/24; write "192.0.2.5" for the host alone, or "192.0.2.0/24" for the network`,
			`edge.toml:4:67: warning: remote_ip_ranges: "2001:db8::1/64" is a host, and stands for its whole network 2001:db8::/64; write "2001:db8::1" for the host alone, or "2001:db8::/64" for the network`,
			`edge.toml:5:24: warning: proxy_protocol_from: "198.51.100.9/30" is a host, and stands for its whole network 198.51.100.8/30; write "198.51.100.9" for the host alone, or "198.51.100.8/30" for the network`}},
		{"the same of a disabled connector", receiveHead + "[[receive_connector]]\nname = \"b\"\nenabled = false\nbindings = [\"0.0.0.0:25\"]", nil},
		{"another port", receiveHead + "[[receive_connector]]\nname = \"b\"\nbindings = [\"0.0.0.0:26\"]", nil},

		// Sessions.
		{"banner", receiveHead + `banner = "221 x"`, []string{
			`edge.toml:4:1: banner: "221 x" does not begin with 220; write a text that begins with "220 " and the server's name, such as "220 edge.contoso.example ESMTP"`}},
		{"nobody to refuse", receiveHead + "early_talker = \"reject\"", []string{
			`edge.toml:4:1: warning: early_talker: nobody is refused without a greeting_delay; write a greeting_delay, of a few seconds`}},
		{"somebody to refuse", receiveHead + "early_talker = \"reject\"\ngreeting_delay = 3", nil},
		{"banner of two lines", receiveHead + `banner = "220 a\r\n220-b\nc {fqdn} {session} {date}\n"`, nil},
		{"banner of many lines", receiveHead + `banner = "220 a\n\n\n\n\n\n\n\n\n\nb"`, []string{
			`edge.toml:4:1: banner: the banner has 11 lines, at most 10 are sent; write a text that begins with "220 " and the server's name, such as "220 edge.contoso.example ESMTP"`}},
		{"banner without a text", receiveHead + `banner = "220-\nb"`, []string{
			`edge.toml:4:1: banner: "220-\nb" is not "220", a space and a text; write a text that begins with "220 " and the server's name, such as "220 edge.contoso.example ESMTP"`}},
		{"banner with CR", receiveHead + `banner = "220 a\r"`, []string{
			`edge.toml:4:1: banner: "220 a\r" holds the control character '\r'; write it without`}},
		{"banner with an unknown placeholder", receiveHead + `banner = "220 {host} x"`, []string{
			`edge.toml:4:1: banner: {host} is no placeholder of a banner; write one of {fqdn}, {session}, {date}`}},
		{"banner with a long line", receiveHead + `banner = "220 a\n` + strings.Repeat("x", 507) + `"`, []string{
			`edge.toml:4:1: banner: a line of the banner has 511 octets, a reply line at most 510; write a text that begins with "220 " and the server's name, such as "220 edge.contoso.example ESMTP"`}},
		{"banner with an escape", receiveHead + `banner = "220 \u001b[31m"`, []string{
			`edge.toml:4:1: banner: "220 \x1b[31m" holds the control character '\x1b'; write it without`}},
		{"timeouts", receiveHead + `connection_timeout = "1m"`, []string{
			`edge.toml:4:1: connection_timeout: connection_timeout = 1m is not longer than connection_inactivity_timeout = 1m; write a longer connection_timeout`}},
		{"timeouts the other way", receiveHead + `connection_inactivity_timeout = "10m"`, []string{
			`edge.toml:4:1: connection_inactivity_timeout: connection_timeout = 5m is not longer than connection_inactivity_timeout = 10m; write a longer connection_timeout`}},

		// Security of Receive connectors.
		{"require_tls without tls", receiveHead + "auth_mechanism = [\"none\"]\nrequire_tls = true", []string{
			`edge.toml:5:1: require_tls: nobody can start TLS without "tls" in auth_mechanism; write "tls" into auth_mechanism`}},
		{"require_tls with implicit TLS", receiveHead + "auth_mechanism = [\"none\"]\nrequire_tls = true\nimplicit_tls = true", nil},
		{"none and another", receiveHead + `auth_mechanism = ["tls", "none"]`, []string{
			`edge.toml:4:1: auth_mechanism: "none" stands alone; take it out, or the others`}},
		{"no mechanism", receiveHead + `auth_mechanism = []`, []string{
			`edge.toml:4:1: auth_mechanism: the list is empty; write ["none"] for none`}},
		{"external_authoritative without servers", receiveHead + `auth_mechanism = ["external_authoritative"]`, []string{
			`edge.toml:4:1: auth_mechanism: "external_authoritative" trusts clients as servers, which permission_groups does not name; write permission_groups = ["servers"]`}},
		{"external_authoritative with scram", receiveHead + "permission_groups = [\"servers\"]\nauth_mechanism = [\"external_authoritative\", \"tls\", \"scram\"]", []string{
			`edge.toml:5:1: auth_mechanism: "external_authoritative" does not go together with "scram"; write ["external_authoritative"] or ["tls", "external_authoritative"]`}},
		{"external_authoritative", receiveHead + "permission_groups = [\"servers\"]\nauth_mechanism = [\"tls\", \"external_authoritative\"]", nil},
		{"basic_require_tls alone", receiveHead + `auth_mechanism = ["tls", "basic_require_tls"]`, []string{
			`edge.toml:4:1: auth_mechanism: "basic_require_tls" needs "basic" and "tls" beside it; write ["tls", "basic", "basic_require_tls"]`}},
		{"client_certificate without tls", receiveHead + `auth_mechanism = ["client_certificate"]`, []string{
			`edge.toml:4:1: auth_mechanism: "client_certificate" needs "tls" beside it; write ["tls", "client_certificate"]`}},
		{"grant and deny", receiveHead + "grant = [\"submit\"]\ndeny = [\"accept_any_sender\", \"submit\"]", []string{
			`edge.toml:5:30: warning: deny: "submit" stands in grant too, and deny wins; take it out of one of them`}},

		// Send connectors.
		{"no address spaces", receiveHead + "[[send_connector]]\nname = \"s\"\n[[send_connector]]\nname = \"t\"\naddress_spaces = []\n[[send_connector]]\nname = \"u\"\naddress_spaces = [\"\"]", []string{
			`edge.toml:4:1: address_spaces is missing in [[send_connector]]; write address_spaces = ..., or address_spaces_file = ...; only what another connector names as its fallback needs neither`,
			`edge.toml:8:1: address_spaces: the list is empty; write at least one address space`,
			`edge.toml:11:19: address_spaces: the address space is empty; write one`}},
		{"smart hosts", receiveHead + sendHead + `smart_hosts = ["ok.example:2525", "a b", "x.example:0", "[10.0.0.1", "10.0.0.300", "--", "OK.example:2525"]`, []string{
			`edge.toml:7:35: smart_hosts: "a b" is not a smart host: ' ' can't stand in a name; SMARTHOST`,
			`edge.toml:7:42: smart_hosts: "x.example:0" is not a smart host: its port is not a number from 1 to 65535; SMARTHOST`,
			`edge.toml:7:57: smart_hosts: "[10.0.0.1" is not a smart host; SMARTHOST`,
			`edge.toml:7:70: smart_hosts: "10.0.0.300" is not a smart host: it looks like an address; SMARTHOST`,
			`edge.toml:7:84: smart_hosts: "--" is not a smart host: the label "--" begins or ends with a hyphen; SMARTHOST`,
			`edge.toml:7:90: smart_hosts: "ok.example:2525" stands here twice; take one of them out`}},
		{"external addresses", "[server]\nexternal_ip_address = [\"203.0.113.1\", \"2001:db8::1\", \"203.0.113.2\", \"0.0.0.0\"]\n" + receiveHead, []string{
			`edge.toml:2:54: external_ip_address: 203.0.113.2 is a second address of its family; write at most one IPv4 and one IPv6 address`,
			`edge.toml:2:69: external_ip_address: 0.0.0.0 is no address of a host; write the address at which this host is reached from outside`}},
		{"source addresses", receiveHead + sendHead + `source_ip_address = ["192.0.2.1", "2001:db8::1", "192.0.2.1", "::", "x"]`, []string{
			`edge.toml:7:50: source_ip_address: "192.0.2.1" stands here twice; take one of them out`,
			`edge.toml:7:63: source_ip_address: :: is no address to send from; write an address of this host, or leave the key out to let the system choose`,
			`edge.toml:7:69: source_ip_address: "x" is not an address; write an address, such as "192.0.2.12" or "2001:db8::12"`}},
		{"HELO and what needs EHLO", receiveHead + sendHead + "smart_hosts = [\"hub.example\"]\nforce_helo = true\ntls = \"required\"\nsmart_host_auth = { mechanism = \"basic\", username = \"edge\", password_file = \"p\" }", []string{
			`edge.toml:8:1: force_helo: tls = "required" needs EHLO, without which no host offers STARTTLS; take force_helo out`,
			`edge.toml:8:1: force_helo: smart_host_auth needs EHLO, without which no host offers AUTH; take force_helo out`}},
		{"HELO and TLS by default", receiveHead + sendHead + "force_helo = true", []string{
			`edge.toml:7:1: warning: force_helo: without EHLO no host offers STARTTLS, so that all mail goes in clear; write tls = "ignore_starttls" as well`}},
		{"names of next hops", receiveHead + sendHead + "dns_servers = [\"ns.example\", \"::1\", \"[::1]:53\"]\ndns_protocol = \"tls\"\nip_preference = \"ipv5\"\nmasquerade_domain = \"a b\"", []string{
			`edge.toml:7:16: dns_servers: "ns.example" is not the address of a name server; write "address" or "address:port", such as "127.0.0.1:53" or "[::1]:53"`,
			`edge.toml:7:37: dns_servers: "[::1]:53" stands here twice; take one of them out`,
			`edge.toml:8:1: dns_protocol: "tls" is not known here; write "any", "udp" or "tcp"`,
			`edge.toml:9:1: ip_preference: "ipv5" is not known here; write "prefer_ipv4", "prefer_ipv6", "ipv4_only" or "ipv6_only"`,
			`edge.toml:10:1: masquerade_domain: "a b" is not a domain name: ' ' can't stand in a name; write a domain name, such as "edge.contoso.example"`}},
		{"TLS keys without required", receiveHead + sendHead + "tls_auth_level = \"domain_validation\"\ntls_domain = \"hub.example\"", []string{
			`edge.toml:7:1: tls_auth_level has no effect with tls = "opportunistic"; write tls = "required", or take tls_auth_level out`,
			`edge.toml:8:1: tls_domain has no effect with tls = "opportunistic"; write tls = "required", or take tls_domain out`}},
		{"tls_domain without domain validation", receiveHead + sendHead + "tls = \"required\"\ntls_domain = \"hub.example\"", []string{
			`edge.toml:8:1: tls_domain has no effect without domain validation; write tls_auth_level = "domain_validation", or take tls_domain out`}},
		{"domain validation of smart hosts", receiveHead + sendHead + "smart_hosts = [\"h.example\"]\ntls = \"required\"\ntls_auth_level = \"domain_validation\"", []string{
			`edge.toml:9:1: tls_auth_level: "domain_validation" of smart hosts needs a name to ask for; write tls_domain = "..."`}},
		{"domain validation by MX", receiveHead + sendHead + "tls = \"required\"\ntls_auth_level = \"domain_validation\"", nil},
		{"tls_domain", receiveHead + sendHead + "tls = \"required\"\ntls_auth_level = \"domain_validation\"\ntls_domain = \"hub..example\"", []string{
			`edge.toml:9:1: tls_domain: "hub..example" is not a domain name: a label is empty; write a domain name, such as "edge.contoso.example", or "*.contoso.example" for any name below`}},
		{"authentication without smart hosts", receiveHead + sendHead + "tls = \"ignore_starttls\"\n[send_connector.smart_host_auth]\nmechanism = \"basic_require_tls\"\nusername = \"u\"", []string{
			`edge.toml:8:1: password_file is missing in smart_host_auth, for mechanism = "basic_require_tls"; write password_file = ...`,
			`edge.toml:9:1: mechanism: there are no smart hosts to authenticate to; write smart_hosts, or take smart_host_auth out`,
			`edge.toml:9:1: mechanism: "basic_require_tls" needs TLS, which tls = "ignore_starttls" never asks for; write tls = "required"`}},
		{"credentials without a mechanism", receiveHead + sendHead + "smart_hosts = [\"h\"]\nsmart_host_auth = { username = \"u\" }", []string{
			`edge.toml:8:21: username: without a mechanism it is never sent; write mechanism = "basic_require_tls"`}},

		// Domains.
		{"accepted domains", receiveHead + "[[accepted_domain]]\ndomain = \"*contoso.example\"\n[[accepted_domain]]\ndomain = \"*\"\n[[accepted_domain]]\ndomain = \"a..b\"\n[[accepted_domain]]\ndomain = \"a.b.*\"\n[[accepted_domain]]\ndomain = \"[10.0.0.1]\"\n[[accepted_domain]]\ndomain = \"contoso.example.\"", []string{
			`edge.toml:5:1: domain: "*contoso.example" is not a domain: an asterisk stands only before a dot; write "contoso.example" for the domain or "*.contoso.example" for its subdomains`,
			`edge.toml:7:1: domain: "*" is not a domain: an asterisk stands only before a dot; DOMAIN`,
			`edge.toml:9:1: domain: "a..b" is not a domain: a label is empty; DOMAIN`,
			`edge.toml:11:1: domain: "a.b.*" is not a domain: '*' can't stand in a name; DOMAIN`,
			`edge.toml:13:1: domain: "[10.0.0.1]" is not a domain: '[' can't stand in a name; DOMAIN`,
			`edge.toml:15:1: domain: "contoso.example." is not a domain: the name has a final dot; DOMAIN`}},
		{"accepted domain twice", receiveHead + "[[accepted_domain]]\ndomain = \"bücher.example\"\n[[accepted_domain]]\ndomain = \"*.bücher.example\"\n[[accepted_domain]]\ndomain = \"XN--Bcher-KVA.example\"", []string{
			`edge.toml:9:1: domain: "XN--Bcher-KVA.example" is accepted already; take one of them out`}},
		{"two default domains", receiveHead + "[[accepted_domain]]\ndomain = \"a.example\"\ndefault = true\n[[accepted_domain]]\ndomain = \"b.example\"\ndefault = true", []string{
			`edge.toml:9:1: default: "a.example" is marked as the default already; mark one domain only`}},
		{"default domain with an asterisk", receiveHead + "[[accepted_domain]]\ndomain = \"*.a.example\"\ndefault = true", []string{
			`edge.toml:6:1: default: "*.a.example" stands for many domains; mark a domain without an asterisk`}},
		{"recipients of authenticated senders", receiveHead + "[[accepted_domain]]\ndomain = \"a.example\"\nrequire_sender_authentication_for = [\"all@A.example\", \"all@b.a.example\"]\n[[accepted_domain]]\ndomain = \"*.a.example\"\nrequire_sender_authentication_for = [\"x@a.example\", \"x@b.a.example\", \"x\"]", []string{
			`edge.toml:6:55: require_sender_authentication_for: "all@b.a.example" is no recipient in a.example; write it with the [[accepted_domain]] that it belongs to`,
			`edge.toml:9:70: require_sender_authentication_for: "x" has no @; write an address, such as "postmaster@contoso.example"`}},
		{"recipients of authenticated senders below", receiveHead + "[[accepted_domain]]\ndomain = \"*.a.example\"\nrequire_sender_authentication_for = [\"x@a.example\", \"x@b.a.example\"]", []string{
			`edge.toml:6:38: require_sender_authentication_for: "x@a.example" is no recipient in *.a.example; write it with the [[accepted_domain]] that it belongs to`}},
		{"all recipients and some", receiveHead + "[[accepted_domain]]\ndomain = \"a.example\"\nrequire_sender_authentication = true\nrequire_sender_authentication_for = [\"all@a.example\"]", []string{
			`edge.toml:7:1: warning: require_sender_authentication_for adds nothing where require_sender_authentication = true; take it out`}},
		{"secure domains", receiveHead + "domain_secure_enabled = true\n" + "default_domain = \"\"", []string{
			`edge.toml:4:1: domain_secure_enabled has no effect without tls_receive_domain_secure_list; write tls_receive_domain_secure_list = ["fabrikam.example"], or take domain_secure_enabled out`}},
		{"secure domains of everybody", receiveHead + "permission_groups = [\"servers\"]\nauth_mechanism = [\"tls\", \"external_authoritative\"]\ndomain_secure_enabled = true", []string{
			`edge.toml:6:1: domain_secure_enabled does not go together with "external_authoritative" in auth_mechanism; take one of them out`}},
		{"secure domains with their key", receiveHead + "auth_mechanism = [\"tls\", \"client_certificate\"]\ntls_receive_domain_secure_list = [\"fabrikam.example\"]\ndomain_secure_enabled = true", nil},
		{"fqdn", receiveHead + "fqdn = \"bücher.example\"\n" + sendHead + "fqdn = \"10.0.0.1\"\n[server]\nfqdn = \"-a.example\"", []string{
			`edge.toml:4:1: fqdn: "bücher.example" is not a domain name: 'ü' can't stand in a name; write its A-labels, "xn--bcher-kva.example"`,
			`edge.toml:8:1: fqdn: "10.0.0.1" is not a domain name: it looks like an address; write a domain name, such as "edge.contoso.example"`,
			`edge.toml:10:1: fqdn: "-a.example" is not a domain name: the label "-a" begins or ends with a hyphen; write a domain name, such as "edge.contoso.example"`}},

		// DNS.
		{"static hosts", receiveHead + "[dns]\nservers = [\"127.0.0.1\", \"[::1]:53\", \"dns.example\"]\n[dns.hosts]\nhub.example = [\"10.0.0.1\"]\n\"a b\" = [\"10.0.0.1\"]\n\"x.example\" = [\"10.0.0.x\"]\n\"y.example\" = []\n\"Z.example\" = [\"10.0.0.1\"]\n\"z.example.\" = [\"10.0.0.1\"]", []string{
			`edge.toml:5:37: servers: "dns.example" is not the address of a name server; write "address" or "address:port", such as "127.0.0.1:53" or "[::1]:53"`,
			`edge.toml:7:1: hosts: "hub" is a table here; write the whole name in quotes: "hub1.contoso.example" = ["10.0.0.11"]`,
			`edge.toml:8:1: hosts: "a b" is not a host name: ' ' can't stand in a name; write the name in quotes: "hub1.contoso.example" = ["10.0.0.11"]`,
			`edge.toml:9:16: hosts: "10.0.0.x" is not an address; write an address, such as "192.0.2.12" or "2001:db8::12"`,
			`edge.toml:10:1: hosts: the list is empty; write at least one address`,
			`edge.toml:12:1: hosts: "z.example." stands here twice; write all its addresses in one list`}},

		// Queue, logs, pressure.
		{"outbound connections", receiveHead + "[queue]\nmax_outbound_connections = 10", []string{
			`edge.toml:5:1: max_outbound_connections: one domain may have more connections (max_per_domain_outbound_connections) than all together (max_outbound_connections); write max_per_domain_outbound_connections no larger than max_outbound_connections`}},
		{"delay after expiry", receiveHead + "[queue]\nmessage_expiration = \"1h\"", []string{
			`edge.toml:5:1: warning: message_expiration: messages expire after 1h, before any delay is notified; write delay_notification shorter than message_expiration`}},
		{"log sizes", receiveHead + "[logs]\nmax_file_size = \"1GB\"", []string{
			`edge.toml:5:1: max_file_size: one file (1GB) may be larger than all of a log together (250MB); write max_file_size no larger than max_directory_size`}},
		{"event log", receiveHead + "[logs.event]\nlevel = \"inof\"\nlevels = { routnig = \"debug\", queue = \"loud\", dns = 3 }\nsyslog = \"tcp://host:0\"\nsyslog_facility = \"post\"\nmax_file_size = \"1GB\"", []string{
			`edge.toml:5:1: level: "inof" is not known here; did you mean "info"? Write "debug", "info", "warn" or "error"`,
			`edge.toml:6:12: levels: "routnig" is no area of the event log; did you mean routing? The areas are server, config, control, logs, receive, queue, spool, send, routing, tls, backpressure, pickup, dns`,
			`edge.toml:6:31: levels: "loud" is not known here; write "debug", "info", "warn" or "error"`,
			`edge.toml:6:47: levels: 3 is a number; write a string in quotes`,
			`edge.toml:7:1: syslog: "tcp://host:0" is no syslog server: its port is not a number from 1 to 65535; write "unix:/dev/log", "udp://host:514" or "tcp://host:601"`,
			`edge.toml:8:1: syslog_facility: "post" is not known here; write "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp", "security", "console", "solaris-cron", "local0", "local1", "local2", "local3", "local4", "local5", "local6" or "local7"`,
			`edge.toml:9:1: max_file_size: one file (1GB) may be larger than all of a log together (250MB); write max_file_size no larger than max_directory_size`}},
		{"thresholds", receiveHead + "[back_pressure.disk]\nmedium = \"1 GB\"\nhigh = \"101%\"", []string{
			`edge.toml:5:1: medium: "1 GB" is not a threshold here; write the free space, "500MB free" or "5% free", the part in use from 1% to 100%, "96%", or "auto"`,
			`edge.toml:6:1: high: "101%" is not a threshold here; write the free space, "500MB free" or "5% free", the part in use from 1% to 100%, "96%", or "auto"`}},
		{"thresholds of another kind", receiveHead + "[back_pressure]\nmessages.high = \"96%\"\nmemory.medium = 10\nsegments.high = 3.5", []string{
			`edge.toml:5:10: high: "96%" is not a threshold here; write a number of messages, 15000, or "auto"`,
			`edge.toml:6:8: medium: 10 is not a threshold here; write the memory in use, "2GB", its part of the limit from 1% to 100%, "75%", or "auto"`,
			`edge.toml:7:10: high: 3.5 is a fraction; write the free ones, "1 free", or "auto"`}},
		{"thresholds the wrong way", receiveHead + "[back_pressure.disk]\nmedium = \"1GB free\"\nhigh = \"2GB free\"", []string{
			`edge.toml:6:1: high = 2GB free comes no later than medium = 1GB free; write them so that high is reached after medium`}},
		{"thresholds that fall too late", receiveHead + "[back_pressure.submission_queue]\nmedium = 100\nhigh = 200\nhigh_to_medium = 300\nmedium_to_normal = 150", []string{
			`edge.toml:5:1: medium = 100 comes no later than medium_to_normal = 150; write them so that medium is reached after medium_to_normal`,
			`edge.toml:6:1: high = 200 comes no later than high_to_medium = 300; write them so that high is reached after high_to_medium`}},
		{"figures at home", receiveHead + "[metrics]\naddress = \"127.0.0.1:9187\"", nil},
		{"figures on a private network", receiveHead + "[metrics]\naddress = \"[fd00::1]:9187\"", nil},
		{"no figures", receiveHead + "[metrics]\naddress = \"\"", nil},
		{"figures for everybody", receiveHead + "[metrics]\naddress = \"0.0.0.0:9187\"", []string{
			`edge.toml:5:1: warning: address: 0.0.0.0 stands for all of this host's, so that whoever reaches it reads the gateway's figures; write one of the loopback or of a private network, such as "127.0.0.1:9187"`}},
		{"figures in public", receiveHead + "[metrics]\naddress = \"[2001:db8::1]:9187\"", []string{
			`edge.toml:5:1: warning: address: 2001:db8::1 is a public one, so that whoever reaches it reads the gateway's figures; write one of the loopback or of a private network, such as "127.0.0.1:9187"`}},
		{"figures where mail is", receiveHead + "[metrics]\naddress = \"127.0.0.1:25\"", []string{
			`edge.toml:5:1: address: 127.0.0.1:25 is in use by binding 0.0.0.0:25 of Receive connector "a"; write another port`}},
		{"figures nowhere", receiveHead + "[metrics]\naddress = \"9187\"", []string{
			`edge.toml:5:1: address: "9187" is not a binding; write "address:port", such as "0.0.0.0:25" or "[::]:25", with a port from 1 to 65535`}},
		{"long socket path", receiveHead + "[control]\nsocket = \"/" + strings.Repeat("x", 107) + "\"", []string{
			`edge.toml:5:1: warning: socket: the path has 108 octets, of which most systems take 107; write a shorter one`}},
		{"empty path", receiveHead + "[server]\nfqdn = \"e.example\"\ndata_dir = \"\"", []string{
			`edge.toml:6:1: data_dir: the path is empty; write one`}},

		// Users.
		{"user", receiveHead + "[[user]]\nname = \"u\"\npassword_hash = \"$argon2id$v=19$x\"", nil},
		{"user who can't prove it", receiveHead + "[[user]]\nname = \"u\"", []string{
			`edge.toml:4:1: password_hash: user "u" has neither a password nor a certificate; write password_hash with what ` + "`postern user hash` prints"}},
		{"thumbprint", receiveHead + "[[user]]\nname = \"u\"\ncertificate_thumbprint = [\"AB:CD\"]", []string{
			`edge.toml:6:27: certificate_thumbprint: "AB:CD" is not the SHA-256 digest of a certificate; write the 64 digits that ` + "`openssl x509 -noout -fingerprint -sha256` prints"}},
		{"TLS for nobody", receiveHead + "auth_mechanism = [\"none\"]\ntls_certificate = \"x\"\ntls_ciphers = \"modern\"\nsession_tickets = false", []string{
			`edge.toml:5:1: tls_certificate has no effect where nobody can start TLS; write "tls" into auth_mechanism, or take tls_certificate out`,
			`edge.toml:6:1: tls_ciphers has no effect where nobody can start TLS; write "tls" into auth_mechanism, or take tls_ciphers out`,
			`edge.toml:7:1: session_tickets has no effect where nobody can start TLS; write "tls" into auth_mechanism, or take session_tickets out`}},
		{"resumed sessions that can't bind", receiveHead + "auth_mechanism = [\"tls\", \"scram\"]\nsession_tickets = true", []string{
			`edge.toml:5:1: session_tickets does not go together with "scram" in auth_mechanism: SCRAM-SHA-256-PLUS binds to the certificate, which resumed sessions don't show; take one of them out`}},
		{"rights by domain", receiveHead + "auth_mechanism = [\"tls\", \"client_certificate\"]\ntls_domain_capabilities = { \"Mail.fabrikam.example\" = [\"submit\"], \"*.b.example\" = [\"bypass_anti_spam\", \"submit\"] }", nil},
		{"rights by domain for nobody", receiveHead + "tls_domain_capabilities = { \"a.example\" = [\"submit\"] }", []string{
			`edge.toml:4:1: tls_domain_capabilities has no effect without "client_certificate" in auth_mechanism; write auth_mechanism = ["tls", "client_certificate"], or take tls_domain_capabilities out`}},
		{"rights of no domain", receiveHead + "auth_mechanism = [\"tls\", \"client_certificate\"]\ntls_domain_capabilities = { \"NO-TLS\" = [\"submit\"], \"a b\" = [\"submit\"], \"\" = [\"submit\"] }", []string{
			`edge.toml:5:29: tls_domain_capabilities: "NO-TLS": clients without TLS have no certificate that would name a domain; write rights for every client into grant, of a connector whose remote_ip_ranges name the hosts that are meant`,
			`edge.toml:5:52: tls_domain_capabilities: "a b" is not a domain name: ' ' can't stand in a name; write a domain name, such as "edge.contoso.example", or "*.contoso.example" for any name below`,
			`edge.toml:5:72: tls_domain_capabilities: "" is not a domain name; write the name in quotes: "mail.fabrikam.example" = ["bypass_anti_spam"]`}},
		{"a domain without quotes", receiveHead + "auth_mechanism = [\"tls\", \"client_certificate\"]\ntls_domain_capabilities = { a.example = [\"submit\"] }", []string{
			`edge.toml:5:29: tls_domain_capabilities: "a" is a table here; write the whole name in quotes: "mail.fabrikam.example" = ["bypass_anti_spam"]`}},
		{"no rights", receiveHead + "auth_mechanism = [\"tls\", \"client_certificate\"]\ntls_domain_capabilities = { \"a.example\" = [\"relay\"], \"b.example\" = [], \"B.example\" = [\"submit\"] }", []string{
			`edge.toml:5:44: tls_domain_capabilities: "relay" is not known here; write "submit", "accept_any_recipient", "accept_any_sender", "accept_authoritative_domain_sender", "accept_authentication_flag", "bypass_anti_spam", "bypass_message_size_limit", "accept_headers_routing" or "accept_headers_organization"`,
			`edge.toml:5:54: tls_domain_capabilities: "b.example" stands here twice; write all its rights in one list`}},
		{"a list of domains", receiveHead + "auth_mechanism = [\"tls\", \"client_certificate\"]\ntls_domain_capabilities = [\"a.example\"]", []string{
			`edge.toml:5:1: tls_domain_capabilities: what is written here is a list; write a table of domains with lists of rights: { "mail.fabrikam.example" = ["bypass_anti_spam"] }`}},
		{"authorities nobody is held against", receiveHead + "client_ca_file = \"ca.pem\"", []string{
			`edge.toml:4:1: client_ca_file has no effect without "client_certificate" in auth_mechanism; write auth_mechanism = ["tls", "client_certificate"], or take client_ca_file out`}},
		{"password for a hash", receiveHead + "[[user]]\nname = \"u\"\npassword_hash = \"hunter2\"", []string{
			`edge.toml:6:1: password_hash: this is not the hash of a password; write what ` + "`postern user hash`" + ` prints, or another hash that begins with $argon2id$, $2a$, $2b$, $2y$ or SCRAM-SHA-256$`}},
		{"number for a hash", receiveHead + "[[user]]\nname = \"u\"\npassword_hash = 4711", []string{
			`edge.toml:6:1: password_hash: this is not the hash of a password; write a string in quotes`}},

		{"one directory for two things", receiveHead + "[pickup]\npickup_directory_path = \"drop\"\nreplay_directory_path = \"./drop\"", []string{
			`edge.toml:6:1: "./drop" is already pickup.pickup_directory_path; write a directory of its own`}},
		{"nothing", "", []string{`edge.toml: warning: there is no [[receive_connector]], so that no mail comes in; write one`}},
		{"byte order mark", "\ufeff[servr]\n" + receiveHead, []string{`edge.toml:1:4: unknown table [servr]; did you mean [server]?`}},
		{"CRLF", strings.ReplaceAll(receiveHead+"banne = 1", "\n", "\r\n"), []string{
			`edge.toml:4:1: unknown key "banne" in [[receive_connector]]; did you mean "banner"?`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, findings := parseText(t, tt.text)
			got := lines(findings)
			for i, w := range tt.want {
				w = strings.ReplaceAll(w, "SMARTHOST", `write a name, an address or an address in brackets, with ":port" if need be: "hub1.contoso.example", "10.0.0.11", "[2001:db8::11]:2525"`)
				tt.want[i] = strings.ReplaceAll(w, "DOMAIN", `write a domain, "contoso.example", or "*.contoso.example" for its subdomains`)
			}
			if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}
