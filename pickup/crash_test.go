package pickup

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/message"
)

var errCrash = errors.New("the process is gone")

// crashing is a file system under a process that ends after so many steps: from
// then on nothing happens any more. A power cut moreover undoes what has not been
// synced.
type crashing struct {
	osFiles
	*fakeQueue
	left *int
	undo *[]func()
}

func (c crashing) step() error {
	if *c.left--; *c.left < 0 {
		return errCrash
	}
	return nil
}

func (c crashing) list(dir string, fn func(string) bool) error {
	if err := c.step(); err != nil {
		return err
	}
	return c.osFiles.list(dir, fn)
}

func (c crashing) rename(from, to string) error {
	if err := c.step(); err != nil {
		return err
	}
	err := c.osFiles.rename(from, to)
	if err == nil {
		*c.undo = append(*c.undo, func() { _ = os.Rename(to, from) })
	}
	return err
}

func (c crashing) remove(path string) error {
	if err := c.step(); err != nil {
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	*c.undo = append(*c.undo, func() { _ = os.WriteFile(path, text, 0o600) })
	return c.osFiles.remove(path)
}

func (c crashing) sync(dir string) error {
	if err := c.step(); err != nil {
		return err
	}
	*c.undo = nil
	return nil
}

func (c crashing) create() (draft, error) {
	if err := c.step(); err != nil {
		return nil, err
	}
	return c.fakeQueue.create()
}

func (c crashing) submit(ctx context.Context, d draft, e *message.Envelope) error {
	if err := c.step(); err != nil {
		return err
	}
	return c.fakeQueue.submit(ctx, d, e)
}

// TestCrash ends the process, or cuts the power, before each of its steps, and
// once more in the life after that: every file becomes one message, exactly.
func TestCrash(t *testing.T) {
	const far = 1 << 30
	for _, power := range []bool{false, true} {
		steps := 0
		for first := 0; ; first++ {
			survived := false
			for second := 0; second < 8; second++ {
				b := newBench(t)
				b.put("a.eml", plainFile)
				b.put("b.eml", plainFile)
				for _, lives := range []int{first, second, far} {
					left, undo := lives, []func(){}
					c := crashing{osFiles{}, b.fake, &left, &undo}
					b.files, b.queue = c, c
					b.start()
					b.poll()
					b.poll()
					if left >= 0 && lives == first {
						survived = true
					}
					for _, u := range slices.Backward(undo) {
						if power && left < 0 {
							u()
						}
					}
					// The next life finds the files at rest.
					for _, name := range strings.Fields(b.names()) {
						old := time.Now().Add(-time.Minute)
						if err := os.Chtimes(filepath.Join(b.path, name), old, old); err != nil {
							t.Fatal(err)
						}
					}
				}
				if got := b.names(); got != "" || len(b.fake.accepted) != 2 {
					t.Fatalf("power cut %v, steps %d and %d: %q, %d messages\n%s", power, first, second, got, len(b.fake.accepted), b.events.String())
				}
			}
			if survived {
				break
			}
			steps++
		}
		if steps < 12 {
			t.Errorf("only %d steps: the test has lost its grip", steps)
		}
	}
}
