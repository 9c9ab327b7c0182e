//go:build race

package tcp

import "syscall"

// The race detector knows nothing of calls of our own, and that who reads what
// another goroutine has written comes after it.

func read(fd uintptr, p []byte) (int, syscall.Errno) { return result(syscall.Read(int(fd), p)) }

func write(fd uintptr, p []byte) (int, syscall.Errno) { return result(syscall.Write(int(fd), p)) }

func writeMore(fd uintptr, p []byte) (int, syscall.Errno) {
	return result(syscall.SendmsgN(int(fd), p, nil, nil, msgMore|syscall.MSG_NOSIGNAL))
}

func result(n int, err error) (int, syscall.Errno) {
	if errno, ok := err.(syscall.Errno); ok {
		return 0, errno
	}
	return n, 0
}
