package secret

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

func TestRead(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no such permissions here")
	}
	dir := t.TempDir()
	for _, tt := range []struct {
		mode os.FileMode
		want string // part of the error; empty for none
	}{
		{0o600, ""}, {0o640, ""}, {0o400, ""}, {0o440, ""}, {0o750, ""},
		{0o644, "open to everybody"}, {0o604, "open to everybody"}, {0o606, "open to everybody"}, {0o601, "open to everybody"},
		{0o660, "written by its group"}, {0o666, "open to everybody"},
	} {
		path := filepath.Join(dir, tt.mode.String())
		if err := os.WriteFile(path, []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, tt.mode); err != nil {
			t.Fatal(err)
		}
		b, err := Read(path, 6)
		if tt.want == "" && (err != nil || string(b) != "secret") {
			t.Errorf("%v: %q, %v", tt.mode, b, err)
		}
		if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret ") || b != nil) {
			t.Errorf("%v: %q, %v; want an error with %q", tt.mode, b, err, tt.want)
		}
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ path, want string }{
		{filepath.Join(dir, "missing"), "no such file"}, {dir, "is a directory"}, {pipe, "no regular file"},
	} {
		if _, err := Read(tt.path, 6); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.path, err, tt.want)
		}
	}
	long := filepath.Join(dir, "long")
	if err := os.WriteFile(long, make([]byte, 7), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(long, 6); err == nil || !strings.Contains(err.Error(), "more than 6 octets") {
		t.Errorf("too long: %v", err)
	}
}
