package spool_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/message"
	"postern/queue/spool"
	"postern/queue/spool/faultfs"
)

// brim fills a volume to its last octet and tries all messages again and again,
// until the power goes. Every outcome must become durable. It returns the
// messages that were accepted.
func brim(fsys *faultfs.FS, size int) (ids []message.ID, full int, err error) {
	s, err := spool.Open("/spool", small(fsys))
	if err != nil {
		return nil, 0, nil
	}
	defer s.Close()
	for refused := 0; refused < 3 && !fsys.PowerIsCut(); {
		id, err := commit(s, text(uint64(len(ids)), size), envelope(1))
		if err == nil {
			ids = append(ids, id)
		} else if errors.Is(err, spool.ErrNoSpace) {
			refused++
		}
	}
	fsys.Fill(0)
	full = fsys.Ops()
	for round := 0; round < 6 && !fsys.PowerIsCut(); round++ {
		for _, id := range ids {
			_ = s.Update(id, deferral(0, round))
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		if err := s.Flush(ctx); err != nil && !fsys.PowerIsCut() {
			cancel()
			return ids, full, fmt.Errorf("round %d: %w: %+v", round, err, s.Stats())
		}
		cancel()
	}
	return ids, full, nil
}

// TestKilledAtBrim kills the process anywhere on a full volume. The next one
// must be able to record that everything has been delivered, and to be closed
// at once.
func TestKilledAtBrim(t *testing.T) {
	t.Parallel()
	for _, size := range []int{200, 1500, 4000} {
		life := func(n int) (fsys *faultfs.FS, ids []message.ID, full int) {
			fsys = faultfs.New(1 << 20)
			fsys.SetHook(func(op faultfs.Op) faultfs.Fault {
				return faultfs.Fault{Cut: n > 0 && op.N >= n && op.Kind != faultfs.Read}
			})
			ids, full, err := brim(fsys, size)
			if err != nil {
				t.Errorf("%d octets: %v", size, err)
			}
			return fsys, ids, full
		}
		var total, full int
		synctest.Test(t, func(t *testing.T) {
			fsys, _, f := life(0)
			total, full = fsys.Ops(), f
		})
		if t.Failed() {
			return
		}
		for n := full - 50; n < total; n += 2*step(t) - 1 {
			var err error
			synctest.Test(t, func(t *testing.T) {
				fsys, ids, _ := life(n)
				fsys = fsys.Kill()
				fsys.Fill(0)
				err = deliver(fsys, ids)
			})
			if err != nil {
				t.Fatalf("%d octets, killed at operation %d of %d: %v", size, n, total, err)
			}
		}
	}
}

// deliver finishes all messages in a life of their own.
func deliver(fsys *faultfs.FS, ids []message.ID) error {
	s, err := spool.Open("/spool", small(fsys))
	if err != nil {
		return err
	}
	for _, id := range ids {
		_ = s.Update(id, &message.Update{Done: true})
	}
	if err := s.Close(); err != nil {
		return fmt.Errorf("%w: %+v", err, s.Stats())
	}
	return nil
}
