package server

import (
	"maps"
	"runtime/debug"

	"postern/backpressure"
	"postern/internal/eventid"
)

// buildPressure makes the monitor of the gateway's resources.
func (s *Server) buildPressure() {
	spool, logs := s.config.Queue.Directory, s.config.Logs.Directory
	meters := map[backpressure.Name]backpressure.Meter{
		backpressure.Disk:            backpressure.VolumeMeter(spool),
		backpressure.LogDisk:         backpressure.VolumeMeter(logs),
		backpressure.Inodes:          backpressure.InodeMeter(spool),
		backpressure.Memory:          backpressure.MemoryMeter(),
		backpressure.FileDescriptors: backpressure.DescriptorMeter(),
		backpressure.Segments: func() (backpressure.Reading, error) {
			free, all := s.store.Room()
			return backpressure.Reading{Used: int64(all - free), Limit: int64(all), Of: spool}, nil
		},
		backpressure.SyncLatency: func() (backpressure.Reading, error) {
			return backpressure.Reading{Used: int64(s.store.Latency()), Of: spool}, nil
		},
		backpressure.Messages: func() (backpressure.Reading, error) {
			messages, _ := s.queue.Lengths()
			return backpressure.Reading{Used: int64(messages), Of: "all queues"}, nil
		},
		backpressure.SubmissionQueue: func() (backpressure.Reading, error) {
			_, submission := s.queue.Lengths()
			return backpressure.Reading{Used: int64(submission), Of: "Submission"}, nil
		},
	}
	maps.Copy(meters, s.options.Meters)
	s.pressure = backpressure.New(backpressure.Options{
		Config: s.config.BackPressure, Meters: meters, SharedVolume: backpressure.SharedVolume(spool, logs),
		Relieve: s.relieve(), Shed: s.shed, Metrics: s.metrics, Logger: s.log(eventid.BackPressure),
	})
}

// relieve lets deliveries take less of what is short: as the level rises half of
// them go on, and idle connections are closed; once it is normal all may run.
func (s *Server) relieve() func(backpressure.Level) {
	was := backpressure.Normal
	return func(level backpressure.Level) {
		switch {
		case level == backpressure.Normal:
			s.queue.Throttle(true)
		case level > was:
			s.queue.Throttle(false)
			s.sender.Shed()
		}
		was = level
	}
}

// shed gives up memory that is used only to be quick, and what the garbage
// collector keeps for itself.
func (s *Server) shed() {
	s.store.Shed()
	s.names.current.Load().Flush()
	debug.FreeOSMemory()
}

// Pressure says how short the gateway's resources are.
func (s *Server) Pressure() backpressure.Status { return s.pressure.Status() }
