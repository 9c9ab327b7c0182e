package resolver

import "fmt"

// Kind is what a failed look-up means for mail.
type Kind uint8

const (
	// Temporary says that no answer could be had now: a timeout, SERVFAIL, a
	// server that is not responsible, or the caller's context ended.
	Temporary Kind = iota
	// NXDomain says that the name does not exist, or can't: it is no domain
	// name at all.
	NXDomain
	// NoData says that the name exists, but has no record of the type.
	NoData
)

// String returns the words used in error messages.
func (k Kind) String() string {
	switch k {
	case NXDomain:
		return "no such domain"
	case NoData:
		return "no such record"
	}
	return "temporary failure"
}

// Error is the error of every look-up. Err, when there is one, is the cause
// of a temporary failure or the reason why a name is no domain name.
type Error struct {
	Name string
	// Type is the record type asked for: "MX", "A", "A+AAAA", ...
	Type string
	Kind Kind
	// Server is the server that gave the answer, or the last one asked, as
	// "ip:port"; empty when none was asked.
	Server string
	Err    error
}

// Error says what was looked up, what came of it, and at which server.
func (e *Error) Error() string {
	s := fmt.Sprintf("%s of %q: %s", e.Type, e.Name, e.Kind)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Server != "" {
		s += " (asked " + e.Server + ")"
	}
	return s
}

// Unwrap returns the cause, so that errors.Is finds an ended context.
func (e *Error) Unwrap() error { return e.Err }
