package secret

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// These tests run in a bubble with its own clock: a wait of a second takes none.

// occupy holds one slot of the gate until release is called.
func occupy(t *testing.T, g *gate) (release func()) {
	t.Helper()
	running, done := make(chan struct{}), make(chan struct{})
	go func() {
		if err := g.run(context.Background(), func() { close(running); <-done }); err != nil {
			t.Errorf("occupy a slot: %v", err)
			close(running)
		}
	}()
	<-running
	return func() { close(done) }
}

// F-40
func TestTheGateRunsNoMoreThanItsConcurrency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const callers = 50
		g := newGate(3, 100, time.Hour)
		var running, ran atomic.Int64
		finish := make(chan struct{})
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				err := g.run(t.Context(), func() {
					running.Add(1)
					<-finish
					running.Add(-1)
					ran.Add(1)
				})
				if err != nil {
					t.Errorf("run: %v", err)
				}
			})
		}
		for left := callers; left > 0; left-- {
			synctest.Wait() // until everybody works or queues
			if got, want := running.Load(), int64(min(left, 3)); got != want {
				t.Errorf("%d run while %d are left, want %d", got, left, want)
			}
			finish <- struct{}{}
		}
		wg.Wait()
		if ran.Load() != callers {
			t.Errorf("%d ran, want %d", ran.Load(), callers)
		}
	})
}

// F-40
func TestAFullQueueRefusesAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 2, time.Second)
		release := occupy(t, g)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if err := g.run(t.Context(), func() {}); err != nil {
					t.Errorf("a queued caller: %v", err)
				}
			})
		}
		synctest.Wait() // both are queued now
		start := time.Now()
		err := g.run(t.Context(), func() { t.Error("work ran beyond the queue") })
		if _, busy := errors.AsType[*BusyError](err); !busy {
			t.Fatalf("run with a full queue = %v, want BusyError", err)
		}
		if waited := time.Since(start); waited != 0 {
			t.Errorf("refused after %s, want at once", waited)
		}
		release()
		wg.Wait()
		if err := g.run(t.Context(), func() {}); err != nil {
			t.Errorf("after the wave: %v", err)
		}
	})
}

// F-40
func TestNobodyWaitsLongerThanMaxWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 10, 1500*time.Millisecond)
		release := occupy(t, g)
		defer release()
		start := time.Now()
		err := g.run(t.Context(), func() { t.Error("work ran") })
		var busy *BusyError
		if !errors.As(err, &busy) {
			t.Fatalf("run = %v, want BusyError", err)
		}
		if waited := time.Since(start); waited != 1500*time.Millisecond {
			t.Errorf("waited %s, want 1.5s", waited)
		}
		if busy.RetryAfter != 2*time.Second {
			t.Errorf("RetryAfter = %s, want whole seconds: 2s", busy.RetryAfter)
		}
		if want := "password hashing is busy, retry after 2s"; err.Error() != want {
			t.Errorf("Error() = %q, want %q", err, want)
		}
	})
}

func TestALeavingCallerFreesItsPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 1, time.Hour)
		release := occupy(t, g)
		for range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			err := g.run(ctx, func() { t.Error("work ran for nobody") })
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("run = %v, want the context's error", err)
			}
		}
		release()
		ran := false
		if err := g.run(t.Context(), func() { ran = true }); err != nil || !ran {
			t.Errorf("after 20 left: %v, ran %v", err, ran)
		}
	})
}

func TestACancelledCallerDoesNotStart(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := newGate(1, 1, time.Hour).run(ctx, func() { t.Error("work ran") })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("run = %v, want context.Canceled", err)
	}
}

func TestAPanicInTheWorkFreesItsSlot(t *testing.T) {
	t.Parallel()
	g := newGate(1, 0, time.Hour)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_ = g.run(t.Context(), func() { panic("work") })
	}()
	if err := g.run(t.Context(), func() {}); err != nil {
		t.Errorf("after a panic: %v", err)
	}
}

func TestRetryAfterIsAtLeastOneSecond(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ maxWait, want time.Duration }{
		{time.Nanosecond, time.Second},
		{time.Second, time.Second},
		{time.Second + 1, 2 * time.Second},
		{5 * time.Second, 5 * time.Second},
	} {
		if got := newGate(1, 1, tc.maxWait).busy().RetryAfter; got != tc.want {
			t.Errorf("MaxWait %s: RetryAfter = %s, want %s", tc.maxWait, got, tc.want)
		}
	}
}

// the dummy must cost what a real hash costs, so it must have its parameters.
func TestTheDummyHashLooksLikeARealOne(t *testing.T) {
	t.Parallel()
	for _, params := range []Params{DefaultParams(), {MemoryKiB: 64, Iterations: 1, Parallelism: 2}} {
		h, err := NewHasher(HasherOptions{Params: params})
		if err != nil {
			t.Fatalf("NewHasher: %v", err)
		}
		genuine := params.format(randomBytes(saltSize), randomBytes(tagSize))
		for name, phc := range map[string]string{"dummy": h.dummy, "real": genuine} {
			stored, err := parseHash(phc)
			if err != nil || !stored.isCurrent(params) {
				t.Errorf("%s %s: current = %v, %v", name, phc, stored.isCurrent(params), err)
			}
		}
		if len(h.dummy) != len(genuine) {
			t.Errorf("dummy has %d characters, a real hash %d", len(h.dummy), len(genuine))
		}
	}
}

func TestHasherOptionsHaveDefaults(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name      string
		options   HasherOptions
		slots     int
		tickets   int
		maxWait   time.Duration
		wantError bool
	}{
		{"all set", HasherOptions{Concurrency: 3, Queue: 5, MaxWait: time.Minute}, 3, 8, time.Minute, false},
		{"no queue", HasherOptions{Concurrency: 3, Queue: -1}, 3, 3, time.Second, false},
		{"default queue", HasherOptions{Concurrency: 4}, 4, 36, time.Second, false},
		{"too much memory", HasherOptions{Params: Params{1 << 20, 1, 1}}, 0, 0, 0, true},
		{"half a parameter set", HasherOptions{Params: Params{MemoryKiB: 19456}}, 0, 0, 0, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h, err := NewHasher(tc.options)
			if (err != nil) != tc.wantError {
				t.Fatalf("NewHasher error = %v", err)
			}
			if err != nil {
				return
			}
			if cap(h.gate.slots) != tc.slots || cap(h.gate.tickets) != tc.tickets || h.gate.maxWait != tc.maxWait {
				t.Errorf("slots %d, tickets %d, wait %s; want %d, %d, %s", cap(h.gate.slots),
					cap(h.gate.tickets), h.gate.maxWait, tc.slots, tc.tickets, tc.maxWait)
			}
			if h.params != DefaultParams() {
				t.Errorf("params = %+v, want the default", h.params)
			}
		})
	}
}
