package secret

import (
	"context"
	"fmt"
	"time"
)

// BusyError is returned when password work cannot start soon enough. Match it
// with errors.As and answer 503 with Retry-After.
type BusyError struct {
	// RetryAfter is when to try again: at least one second, in whole seconds.
	RetryAfter time.Duration
}

// Error says when to try again.
func (e *BusyError) Error() string {
	return fmt.Sprintf("password hashing is busy, retry after %s", e.RetryAfter)
}

// gate admits a fixed number of hashes at once and lets a fixed number wait.
// More at once than there are cores finish later, not sooner, and each holds
// its 19 MiB meanwhile; an unbounded queue would only make every login slow
// before it fails (OWASP ASVS 15.2.2).
type gate struct {
	slots   chan struct{} // running
	tickets chan struct{} // running or waiting
	maxWait time.Duration
}

func newGate(concurrency, queue int, maxWait time.Duration) *gate {
	return &gate{
		slots:   make(chan struct{}, concurrency),
		tickets: make(chan struct{}, concurrency+queue),
		maxWait: maxWait,
	}
}

// run calls work when its turn comes, first come first served. It returns a
// *BusyError when the queue is full or maxWait has passed, and the context's
// error when that ends first; work has then not run.
func (g *gate) run(ctx context.Context, work func()) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("wait for password hashing: %w", err)
	}
	select {
	case g.tickets <- struct{}{}:
		defer func() { <-g.tickets }()
	default:
		return g.busy()
	}
	timeout := time.NewTimer(g.maxWait)
	defer timeout.Stop()
	select {
	case g.slots <- struct{}{}:
		defer func() { <-g.slots }()
	case <-timeout.C:
		return g.busy()
	case <-ctx.Done():
		return fmt.Errorf("wait for password hashing: %w", ctx.Err())
	}
	work()
	return nil
}

// busy suggests the longest wait: by then the present queue is gone.
func (g *gate) busy() *BusyError {
	rounded := (g.maxWait + time.Second - 1).Truncate(time.Second) // up, for Retry-After counts seconds
	return &BusyError{RetryAfter: max(rounded, time.Second)}
}
