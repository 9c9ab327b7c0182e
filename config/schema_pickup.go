package config

import (
	"fmt"
	"path/filepath"
)

// pickupTable has the parameters of reference 2.5 under their own names.
func pickupTable() *table {
	return single(table{
		name: "pickup",
		doc:  "Directories from which files are taken as messages. Whoever can write into one can send as anybody, to anybody.",
		keys: []key{
			{
				Name: "pickup_directory_path", Type: optionalPath(), Default: "",
				Doc:   "The Pickup directory: new messages, whose envelope is read from From, To, Cc and Bcc. When empty, there is none.",
				Field: in(func(p *Pickup) any { return &p.PickupDirectoryPath }),
			},
			{
				Name: "replay_directory_path", Type: optionalPath(), Default: "",
				Doc:   "The Replay directory: messages that bring their envelope in X-Sender and X-Receiver fields. When empty, there is none.",
				Field: in(func(p *Pickup) any { return &p.ReplayDirectoryPath }),
			},
			{
				Name: "pickup_directory_max_messages_per_minute", Type: count(1, 20000), Default: int64(100),
				Doc:   "The most files that are taken from each of the two directories in a minute.",
				Field: in(func(p *Pickup) any { return &p.PickupDirectoryMaxMessagesPerMinute }),
			},
			{
				Name: "pickup_directory_max_header_size", Type: size(32*kilobyte, maxCount), Default: "64KB",
				Doc:   "The largest header of a message in the Pickup directory.",
				Field: in(func(p *Pickup) any { return &p.PickupDirectoryMaxHeaderSize }),
			},
			{
				Name: "pickup_directory_max_recipients_per_message", Type: count(1, 10000), Default: int64(100),
				Doc:   "The most recipients of a message in the Pickup directory.",
				Field: in(func(p *Pickup) any { return &p.PickupDirectoryMaxRecipientsPerMessage }),
			},
		},
	}, func(c *Config) *Pickup { return &c.Pickup })
}

// checkPickup wants each directory to be for one thing alone.
func (d *decoder) checkPickup(c *Config) {
	const pickup, replay = "pickup.pickup_directory_path", "pickup.replay_directory_path"
	taken := []struct{ key, path string }{
		{"server.data_dir", c.Server.DataDir}, {"queue.directory", c.Queue.Directory}, {"logs.directory", c.Logs.Directory},
		{pickup, c.Pickup.PickupDirectoryPath}, {replay, c.Pickup.ReplayDirectoryPath},
	}
	for i, one := range taken {
		if one.path == "" || one.key != pickup && one.key != replay || d.failed[one.key] {
			continue
		}
		for _, other := range taken[:i] {
			if other.path != "" && !d.failed[other.key] && sameDirectory(one.path, other.path) {
				d.fail(one.key, fmt.Sprintf("%s is already %s", quote(one.path), other.key), "write a directory of its own")
				break
			}
		}
	}
}

func sameDirectory(a, b string) bool {
	x, errX := filepath.Abs(a)
	y, errY := filepath.Abs(b)
	return errX == nil && errY == nil && x == y
}
