package queue

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"postern/internal/message"
)

// maxHosts and maxHostList bound what a message is redirected to.
const (
	maxHosts    = 8
	maxHostList = 512
)

// hostList reads a list of hosts, each a name or an address with or without
// port, separated by commas, and writes it in the canonical form of
// routing.NextHop.Domain: sorted, addresses in brackets, each with its port.
func hostList(text string) (string, error) {
	var hosts []string
	for part := range strings.SplitSeq(text, ",") {
		h, err := hostPort(strings.TrimSpace(part))
		if err != nil {
			return "", fmt.Errorf("%w: redirect to %q: %w; write a name or address, with or without port, such as hub2.corp.contoso.example, 10.0.0.11:25 or [2001:db8::1]:25", ErrBadOrder, text, err)
		}
		hosts = append(hosts, h)
	}
	slices.Sort(hosts)
	hosts = slices.Compact(hosts)
	list := strings.Join(hosts, ",")
	if len(hosts) > maxHosts || len(list) > maxHostList {
		return "", fmt.Errorf("%w: redirect to %d hosts: name at most %d, in %d octets together", ErrBadOrder, len(hosts), maxHosts, maxHostList)
	}
	return list, nil
}

// hostPort reads one host.
func hostPort(s string) (string, error) {
	host, port := s, "25"
	switch i := strings.LastIndexByte(s, ':'); {
	case s == "":
		return "", fmt.Errorf("a host is missing")
	case strings.HasPrefix(s, "["):
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return "", fmt.Errorf("%q has no closing bracket", s)
		}
		host = strings.TrimPrefix(s[1:end], "IPv6:")
		if rest := s[end+1:]; rest != "" {
			var ok bool
			if port, ok = strings.CutPrefix(rest, ":"); !ok {
				return "", fmt.Errorf("%q is no port", rest)
			}
		}
		if _, err := netip.ParseAddr(host); err != nil {
			return "", fmt.Errorf("%q is no address", host)
		}
	case i >= 0 && strings.Count(s, ":") == 1:
		host, port = s[:i], s[i+1:]
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || port[0] == '+' {
		return "", fmt.Errorf("%q is no port between 1 and 65535", port)
	}
	if a, err := netip.ParseAddr(host); err == nil {
		if a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() {
			return "", fmt.Errorf("%s is no address of one host", a)
		}
		return "[" + a.Unmap().String() + "]:" + strconv.FormatUint(n, 10), nil
	}
	name := message.DomainKey(host)
	if err := message.CheckDomain(name, false); err != nil {
		return "", fmt.Errorf("%q: %w", host, err)
	}
	return name + ":" + strconv.FormatUint(n, 10), nil
}
