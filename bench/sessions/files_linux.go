package main

import (
	"fmt"
	"syscall"
)

// openFiles raises the limit of open files as far as it goes, which the gateway
// inherits.
func (s *settings) openFiles() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	need := uint64(s.idle+s.tarpitted+1000) * 3 / 2 // a gateway that nears its limit refuses mail
	if limit.Max < need {
		limit.Max = need // root may
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("this needs %d open files: %w; raise the limit (ulimit -Hn), or measure with fewer sessions", need, err)
	}
	return nil
}
