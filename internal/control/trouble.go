package control

import (
	"time"

	"postern/logs/event"
)

// Event is an event of the event log.
type Event struct {
	Time  time.Time `json:"time"`
	Level string    `json:"level"`
	// ID is the number of the event, zero for one that has none.
	ID         int               `json:"event_id"`
	Area       string            `json:"area"`
	Text       string            `json:"text"`
	Attributes map[string]string `json:"attributes,omitempty"`
	// Repeated is how many events it stands for, within RepeatedIn seconds;
	// zero for one that stands for itself.
	Repeated   int   `json:"repeated,omitempty"`
	RepeatedIn int64 `json:"repeated_in,omitempty"`
}

// latestTrouble lists the latest events at the level of warnings and errors,
// newest first.
func latestTrouble(e Events) []Event {
	if e == nil {
		return []Event{}
	}
	trouble := e.Trouble()
	list := make([]Event, len(trouble))
	for i, t := range trouble {
		list[i] = Event{
			Time: t.Time.UTC(), Level: event.LevelName(t.Level), ID: int(t.ID), Area: string(t.Area), Text: t.Text, Attributes: t.Attributes.Map(),
			Repeated: t.Repeated, RepeatedIn: int64(t.RepeatedIn / time.Second),
		}
	}
	return list
}
