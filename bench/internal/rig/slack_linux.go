package rig

import (
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// slack is TimerSlackNSec= of deploy/postern.service.
const slack = time.Millisecond

// withSlack calls start, which starts a process, on a thread whose timers may
// be late: the process takes that over from it (PR_SET_TIMERSLACK of prctl(2)).
func withSlack(start func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(slack), 0, 0, 0); err != nil {
			done <- fmt.Errorf("set the slack of timers: %w", err)
			return
		}
		done <- start()
	}()
	return <-done
}
