package routing

import (
	"encoding/json"

	"postern/config"
)

// decisionJSON is a Decision as the commands print it.
type decisionJSON struct {
	Connector    *string         `json:"connector"`
	AddressSpace *string         `json:"address_space"`
	NextHop      *nextHopJSON    `json:"next_hop"`
	FallbackOf   string          `json:"fallback_of,omitempty"`
	Fallback     *fallbackJSON   `json:"fallback,omitempty"`
	Problem      *string         `json:"problem"`
	Reply        *string         `json:"reply"`
	Reason       string          `json:"reason"`
	Candidates   []candidateJSON `json:"candidates"`
}

type nextHopJSON struct {
	Kind   string `json:"kind"`
	Domain string `json:"domain"`
	Queue  string `json:"queue"`
}

// fallbackJSON has null for what never comes about, and seconds.
type fallbackJSON struct {
	Connector string   `json:"connector"`
	After     *float64 `json:"after"`
	Failures  *int64   `json:"failures"`
}

func (f Fallback) json() *fallbackJSON {
	out := &fallbackJSON{Connector: f.Connector}
	if f.After != config.Unlimited {
		s := f.After.Seconds()
		out.After = &s
	}
	if f.Failures != config.Unlimited {
		out.Failures = &f.Failures
	}
	return out
}

type candidateJSON struct {
	Name         string  `json:"name"`
	AddressSpace string  `json:"address_space"`
	Cost         int     `json:"cost"`
	EliminatedBy *string `json:"eliminated_by"`
	Detail       string  `json:"detail"`
}

// orNull is the JSON null for an empty string.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// MarshalJSON writes the decision as one object. What does not apply is null, or left
// out where it has to do with fallbacks; candidates is always a list, empty when the decision was not explained.
func (d Decision) MarshalJSON() ([]byte, error) {
	out := decisionJSON{
		Connector: orNull(d.Connector), AddressSpace: orNull(d.AddressSpace),
		FallbackOf: d.FallbackOf, Reason: d.Reason, Candidates: make([]candidateJSON, 0, len(d.Candidates)),
	}
	if d.Connector != "" {
		out.NextHop = &nextHopJSON{Kind: d.NextHop.Kind.String(), Domain: d.NextHop.Domain, Queue: d.NextHop.String()}
	}
	if d.Fallback.Connector != "" {
		out.Fallback = d.Fallback.json()
	}
	if d.Problem != ProblemNone {
		out.Problem, out.Reply = orNull(d.Problem.String()), orNull(d.Reply.String())
	}
	for _, c := range d.Candidates {
		out.Candidates = append(out.Candidates, candidateJSON{
			Name: c.Name, AddressSpace: c.AddressSpace, Cost: c.Cost, EliminatedBy: orNull(c.EliminatedBy), Detail: c.Detail,
		})
	}
	return json.Marshal(out)
}
