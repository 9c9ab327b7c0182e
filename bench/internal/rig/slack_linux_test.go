package rig

import (
	"os/exec"
	"strings"
	"testing"
)

// TestSlack: a program begins with the slack that it is given.
func TestSlack(t *testing.T) {
	cmd := exec.Command("cat", "/proc/self/timerslack_ns")
	var out strings.Builder
	cmd.Stdout = &out
	if err := withSlack(cmd.Start); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || out.String() != "1000000\n" {
		t.Errorf("the slack is %q: %v", out.String(), err)
	}
}
