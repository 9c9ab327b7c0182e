package spool

import (
	"context"
	"errors"

	"postern/internal/message"
)

var errUnbuilt = errors.New("spool: under construction")

// Store is a durable store of messages. Its methods are safe for concurrent use.
type Store struct{}

// Entry is a stored message without its content.
type Entry struct {
	ID       message.ID
	Envelope *message.Envelope
	State    *message.State
	// Size is the content's size in octets.
	Size int64
}

// Draft is a message on its way into the store.
type Draft struct{}

// OS returns the operating system's file system.
func OS() FS { return nil }

// Open opens the spool in dir, making it if need be.
func Open(dir string, o Options) (*Store, error) { return nil, errUnbuilt }

// Recovery returns what opening the store found.
func (s *Store) Recovery() Recovery { return Recovery{} }

// Each calls fn for every stored message, in no particular order.
func (s *Store) Each(fn func(Entry) error) error { return errUnbuilt }

// Create starts a new message.
func (s *Store) Create() (*Draft, error) { return nil, errUnbuilt }

// Load returns a message.
func (s *Store) Load(id message.ID) (Entry, error) { return Entry{}, errUnbuilt }

// Content opens a message's content.
func (s *Store) Content(id message.ID) (message.Content, error) { return nil, errUnbuilt }

// Update adds an update to a message.
func (s *Store) Update(id message.ID, u *message.Update) error { return errUnbuilt }

// Flush waits until all updates handed in so far are durable.
func (s *Store) Flush(ctx context.Context) error { return errUnbuilt }

// Stats returns figures about the store.
func (s *Store) Stats() Stats { return Stats{} }

// Close flushes and closes the store.
func (s *Store) Close() error { return errUnbuilt }

// ID returns the message's id.
func (d *Draft) ID() message.ID { return 0 }

// Size returns the octets written so far.
func (d *Draft) Size() int64 { return 0 }

// Write adds content.
func (d *Draft) Write(p []byte) (int, error) { return 0, errUnbuilt }

// Commit stores the message.
func (d *Draft) Commit(ctx context.Context, e *message.Envelope) error { return errUnbuilt }

// Abort drops the draft.
func (d *Draft) Abort() {}
