package config

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestNotificationKeys(t *testing.T) {
	c := parseOne(t, receiveHead)
	if c.Server.PostmasterAddress != "postmaster@edge.contoso.example" || !reflect.DeepEqual(c.Notifications, Notifications{10 << 20, 100, []string{}}) || len(c.RemoteDomains) != 0 {
		t.Errorf("defaults: %q, %+v, %+v", c.Server.PostmasterAddress, c.Notifications, c.RemoteDomains)
	}
	c = parseOne(t, `[server]
fqdn = "out.contoso.example"
postmaster_address = "mail+help@contoso.example"
[notifications]
max_message_attach_size = 0
max_per_sender_per_hour = "unlimited"
copy_dsn_to_postmaster_for = ["5.4.6", "4.4.7"]
[[remote_domain]]
domain = "*"
ndr_diagnostic_info = false
[[remote_domain]]
domain = "*.fabrikam.example"
ndr_enabled = false
delivery_report_enabled = false
`+receiveHead)
	if c.Server.PostmasterAddress != "mail+help@contoso.example" || !reflect.DeepEqual(c.Notifications, Notifications{0, Unlimited, []string{"5.4.6", "4.4.7"}}) {
		t.Errorf("%q, %+v", c.Server.PostmasterAddress, c.Notifications)
	}
	if want := []RemoteDomain{{"*", true, false, true}, {"*.fabrikam.example", false, true, false}}; !reflect.DeepEqual(c.RemoteDomains, want) {
		t.Errorf("%+v", c.RemoteDomains)
	}
	if got := parseOne(t, "[server]\nfqdn = \"out.contoso.example\"\n"+receiveHead).Server.PostmasterAddress; got != "postmaster@out.contoso.example" {
		t.Errorf("postmaster follows the name: %q", got)
	}
}

func TestDelayNever(t *testing.T) {
	for text, want := range map[string]time.Duration{`0`: Unlimited, `"0"`: Unlimited, `"0s"`: Unlimited, `"2h"`: 2 * time.Hour, `90`: 90 * time.Second} {
		if got := parseOne(t, "[queue]\ndelay_notification = "+text+"\n"+receiveHead).Queue.DelayNotification; got != want {
			t.Errorf("%s gives %s", text, got)
		}
	}
	_, findings := parseText(t, "[queue]\ndelay_notification = \"0h\"\n"+receiveHead)
	if len(findings) != 1 || !strings.Contains(findings[0].Format(Position{}), "or 0 for never") {
		t.Errorf("findings %q", lines(findings))
	}
}

func TestBadNotificationKeys(t *testing.T) {
	for text, want := range map[string]string{
		"[server]\npostmaster_address = \"postmaster\"":                                                  "has no @",
		"[server]\npostmaster_address = \"a b@contoso.example\"":                                         "no local part",
		"[server]\npostmaster_address = \"a\\r\\n@contoso.example\"":                                     "no local part",
		"[server]\npostmaster_address = \".a@contoso.example\"":                                          "no local part",
		"[server]\npostmaster_address = \"a@b@contoso.example\"":                                         "no domain behind its @",
		"[server]\npostmaster_address = \"a@\"":                                                          "no domain behind its @",
		"[notifications]\nmax_message_attach_size = \"-1\"":                                              "negative",
		"[notifications]\nmax_per_sender_per_hour = 0":                                                   "out of range",
		"[notifications]\ncopy_dsn_to_postmaster_for = [\"2.0.0\"]":                                      "is not the enhanced status code of a failure",
		"[notifications]\ncopy_dsn_to_postmaster_for = [\"5.4\"]":                                        "is not the enhanced status code of a failure",
		"[notifications]\ncopy_dsn_to_postmaster_for = [\"5.04.6\"]":                                     "is not the enhanced status code of a failure",
		"[notifications]\ncopy_dsn_to_postmaster_for = [\"5.4.6\", \"5.4.6\"]":                           "stands here twice",
		"[[remote_domain]]\nndr_enabled = false":                                                         "domain is missing",
		"[[remote_domain]]\ndomain = \"*x.example\"":                                                     "is not a domain",
		"[[remote_domain]]\ndomain = \"x.example\"\nndr_diagnostic_info_enabled = true":                  "ndr_diagnostic_info",
		"[[remote_domain]]\ndomain = \"x.example\"\n[[remote_domain]]\ndomain = \"X.example\"":           "already",
		"[[remote_domain]]\ndomain = \"*.ü.example\"\n[[remote_domain]]\ndomain = \"*.xn--tda.example\"": "already",
	} {
		_, findings := parseText(t, text+"\n"+receiveHead)
		if got := strings.Join(lines(findings), "\n"); !strings.Contains(got, want) || !HasErrors(findings) {
			t.Errorf("%q: %q lacks %q", text, got, want)
		}
	}
}
