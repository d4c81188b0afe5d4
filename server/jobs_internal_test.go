package server

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/riverqueue/river/rivertype"
)

func TestRetryPolicyTriesEachMinuteForHoursAndGoesOnForDays(t *testing.T) { // F-01
	t.Parallel()
	var waited time.Duration
	var lastEager time.Duration
	for tries := 1; tries < mailTries; tries++ {
		asked := time.Now()
		next := (retryPolicy{}).NextRetry(&rivertype.JobRow{Attempt: tries, Errors: make([]rivertype.AttemptError, tries-1)})
		pause := next.Sub(asked)
		if pause <= 0 || pause > mailLazyPause+time.Second {
			t.Fatalf("try %d: got a pause of %s, want one of up to ten minutes", tries+1, pause)
		}
		if waited < 5*time.Hour && pause > time.Minute+time.Second {
			t.Fatalf("try %d: got a pause of %s in the first hours, want a minute at most", tries+1, pause)
		}
		if tries > 10 && pause < 50*time.Second {
			t.Fatalf("try %d: got a pause of %s, want no storm", tries+1, pause)
		}
		waited += pause
		if pause < 2*time.Minute {
			lastEager = waited
		}
	}
	if lastEager < 5*time.Hour {
		t.Errorf("eager for %s, want hours", lastEager)
	}
	if waited < undeliveredTTL || waited > 10*24*time.Hour {
		t.Errorf("gives up after %s, want it to outlast the token's life (%s) and to end", waited, undeliveredTTL)
	}
	if got := (mailArgs{}).InsertOpts().MaxAttempts; got != mailTries {
		t.Errorf("a mail is tried %d times, want %d", got, mailTries)
	}
}

func TestRetryPolicyGrowsFromSecondsAndSpreadsJobs(t *testing.T) { // F-01, F-03
	t.Parallel()
	for tries, want := range map[int]time.Duration{
		1: 4 * time.Second, 2: 8 * time.Second, 3: 16 * time.Second, 4: 32 * time.Second, 5: time.Minute, 64: time.Minute, 370: time.Minute,
		371: 10 * time.Minute, 5000: 10 * time.Minute,
	} {
		pauses := map[time.Duration]bool{}
		for id := range int64(10) {
			asked := time.Now()
			pause := (retryPolicy{}).NextRetry(&rivertype.JobRow{ID: id, Errors: make([]rivertype.AttemptError, tries-1)}).Sub(asked)
			if pause < want*9/10-time.Millisecond || pause > want+time.Second {
				t.Fatalf("try %d: got %s, want %s less a tenth at most", tries+1, pause, want)
			}
			pauses[pause.Round(5*time.Millisecond)] = true
		}
		if len(pauses) < 8 {
			t.Errorf("try %d: got %d different pauses of 10 jobs, want them spread", tries+1, len(pauses))
		}
	}
}

func TestJobTimesLeaveRoomForEachOther(t *testing.T) { // F-04
	t.Parallel()
	if jobRescue > 3*time.Minute-30*time.Second { // the library looks every 30 s
		t.Errorf("a killed job is taken up after %s, want within three minutes", jobRescue)
	}
	if jobTimeout >= jobRescue {
		t.Errorf("a job may run %s and is taken for dead after %s", jobTimeout, jobRescue)
	}
	if restoreWindow != 30*24*time.Hour {
		t.Errorf("deleted accounts are erased after %s, want 30 days", restoreWindow)
	}
	opts := (cleanUpArgs{}).InsertOpts()
	if opts.UniqueOpts.ByPeriod != cleanUpInterval { // one of all servers together
		t.Errorf("got %+v, want one clean-up per %s", opts, cleanUpInterval)
	}
}

func TestJobLibraryLogsTroubleOnly(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	logger := slog.New(quietHandler{slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})})
	logger.Debug("chatter")
	logger.Info("chatter")
	logger.With("a", 1).WithGroup("g").Info("chatter")
	logger.Warn("trouble")
	logger.Error("trouble")
	if got := out.String(); strings.Contains(got, "chatter") || strings.Count(got, "trouble") != 2 {
		t.Errorf("got %q, want the warnings and errors alone", got)
	}
}
