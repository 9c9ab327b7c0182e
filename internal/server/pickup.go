package server

import (
	"errors"

	"postern/config"
	"postern/internal/eventid"
	"postern/internal/message"
	"postern/pickup"
	"postern/queue"
	"postern/queue/spool"
	"postern/routing"
)

func (s *Server) buildPickup() error {
	q := pickupQueue{Queue: s.queue, store: s.store, known: make(map[message.ID]bool)}
	for _, id := range s.store.Recovery().Stored {
		q.known[id] = true
	}
	var err error
	s.pickup, err = pickup.New(pickup.Options{Settings: pickupSettings(s.config, s.table.Load()), Queue: q, Paused: s.pressure.Paused, Logger: s.log(eventid.Pickup)})
	return err
}

func pickupSettings(cfg *config.Config, table *routing.Table) pickup.Settings {
	return pickup.Settings{
		Pickup: cfg.Pickup, FQDN: cfg.Server.FQDN, Domain: table.DefaultDomain(), MaxMessageSize: cfg.Server.MaxMessageSize,
	}
}

// pickupQueue is what package pickup needs of queue and spool.
type pickupQueue struct {
	*queue.Queue
	store *spool.Store
	known map[message.ID]bool // stored by an earlier process
}

// Stored reports whether a message was ever accepted. One that is damaged was
// lost again.
func (q pickupQueue) Stored(id message.ID) (bool, error) {
	if q.known[id] {
		return true, nil
	}
	_, err := q.store.Load(id)
	if errors.Is(err, spool.ErrNotFound) || errors.Is(err, spool.ErrDamaged) {
		return false, nil
	}
	return err == nil, err
}
