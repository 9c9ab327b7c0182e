package receive

import (
	"fmt"
	"slices"
	"strings"

	"postern/config"
)

// Rights are what a session may do, a set of bits (reference 1.6). The zero
// value may nothing.
type Rights uint16

// The rights, by their names in grant and deny.
const (
	// Submit: MAIL is taken at all.
	Submit Rights = 1 << iota
	// AcceptAnyRecipient: relay, that is recipients beyond the accepted domains.
	AcceptAnyRecipient
	// AcceptAnySender: any reverse path. Without it a session sends only as
	// addresses that are proven to be its own, which before authentication is
	// the null reverse path alone.
	AcceptAnySender
	// AcceptAuthoritativeDomainSender: reverse paths in our own domains, those
	// of type authoritative and internal_relay.
	AcceptAuthoritativeDomainSender
	// AcceptAuthenticationFlag: AUTH= of MAIL is believed.
	AcceptAuthenticationFlag
	// BypassAntiSpam: filters are not asked.
	BypassAntiSpam
	// BypassMessageSizeLimit: max_message_size of the connector does not hold.
	BypassMessageSizeLimit
	// AcceptHeadersRouting: Received and Resent-* fields are kept.
	AcceptHeadersRouting
	// AcceptHeadersOrganization: X-MS-Exchange-Organization-* fields are kept.
	AcceptHeadersOrganization

	rightsEnd
)

var rightNames = [...]string{
	"submit",
	"accept_any_recipient",
	"accept_any_sender",
	"accept_authoritative_domain_sender",
	"accept_authentication_flag",
	"bypass_anti_spam",
	"bypass_message_size_limit",
	"accept_headers_routing",
	"accept_headers_organization",
}

// Has reports whether all of the rights are there.
func (r Rights) Has(all Rights) bool { return r&all == all }

// Names returns the rights by name, in a fixed order.
func (r Rights) Names() []string {
	var names []string
	for i, n := range rightNames {
		if r&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return names
}

// String returns the names with spaces between, "none" for no rights.
func (r Rights) String() string {
	if r&(rightsEnd-1) == 0 {
		return "none"
	}
	return strings.Join(r.Names(), " ")
}

// ParseRight returns the right of that name.
func ParseRight(name string) (Rights, error) {
	i := slices.Index(rightNames[:], name)
	if i < 0 {
		return 0, fmt.Errorf("right %q is not known: use one of %s", name, strings.Join(rightNames[:], ", "))
	}
	return 1 << i, nil
}

// Principals are what a session has shown itself to be, a set of bits. The zero
// value is a session that has shown nothing.
type Principals uint8

// The principals, one for each permission group.
const (
	// Anonymous: not authenticated.
	Anonymous Principals = 1 << iota
	// Users: authenticated by AUTH.
	Users
	// Partners: authenticated by a client certificate.
	Partners
	// Servers: trusted servers, by authentication or, on a connector with
	// external_authoritative, by address.
	Servers
)

// The rights of each permission group (reference 1.6).
const (
	anonymousRights = Submit | AcceptAnySender | AcceptAuthoritativeDomainSender | AcceptHeadersRouting
	usersRights     = Submit | AcceptAnyRecipient | BypassAntiSpam | AcceptHeadersRouting
	partnersRights  = Submit | AcceptHeadersRouting
	// externalRights are those of externally secured servers: without the
	// organisation's own header fields.
	externalRights = Submit | AcceptAnyRecipient | AcceptAnySender | AcceptAuthoritativeDomainSender |
		AcceptAuthenticationFlag | BypassAntiSpam | BypassMessageSizeLimit | AcceptHeadersRouting
	serversRights = externalRights | AcceptHeadersOrganization
)

// PrincipalsOf returns what a session is on a connector: what it has proven, or
// Anonymous when it has proven nothing; and Servers besides, by its address
// alone, on a connector with external_authoritative.
func PrincipalsOf(c *config.ReceiveConnector, proven Principals) Principals {
	if proven == 0 {
		proven = Anonymous
	}
	if hasMechanism(c, "external_authoritative") {
		proven |= Servers
	}
	return proven
}

// RightsOf returns the rights of a session on a connector: those of the
// permission groups that it belongs to, then what the connector grants to every
// session, less what it denies. Names that are not known count for nothing; the
// configuration's reader refuses them.
func RightsOf(c *config.ReceiveConnector, proven Principals) Rights { return rightsWith(c, proven, 0) }

// rightsWith is RightsOf for a session that has more rights for the domain of its
// certificate (tls_domain_capabilities).
func rightsWith(c *config.ReceiveConnector, proven Principals, more Rights) Rights {
	who := PrincipalsOf(c, proven)
	var r Rights
	for _, group := range c.PermissionGroups {
		switch {
		case group == "anonymous" && who&Anonymous != 0:
			r |= anonymousRights
		case group == "users" && who&Users != 0:
			r |= usersRights
		case group == "partners" && who&Partners != 0:
			r |= partnersRights
		case group == "servers" && proven&Servers != 0:
			r |= serversRights
		case group == "servers" && who&Servers != 0:
			r |= externalRights
		}
	}
	return (r | more | rightSet(c.Grant)) &^ rightSet(c.Deny)
}

func rightSet(names []string) Rights {
	var r Rights
	for _, n := range names {
		one, _ := ParseRight(n)
		r |= one
	}
	return r
}

func hasMechanism(c *config.ReceiveConnector, name string) bool {
	return slices.Contains(c.AuthMechanism, name)
}
