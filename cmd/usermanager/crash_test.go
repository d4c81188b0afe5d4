package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"usermanager/server/mail/mailtest"
)

const (
	crashRegistrations = 200
	crashClients       = 4
)

// ledger is what clients know about a server that dies under them.
type ledger struct {
	mu           sync.Mutex
	acknowledged []string      // answered with 201
	unknown      []string      // no answer, or a half of one
	base         string        // where the server is; empty while it is down
	moved        chan struct{} // closed at the next change of base
	answers      chan struct{} // one for each registration that has ended
}

// server waits until there is one.
func (l *ledger) server() string {
	for {
		l.mu.Lock()
		base, moved := l.base, l.moved
		l.mu.Unlock()
		if base != "" {
			return base
		}
		<-moved
	}
}

func (l *ledger) moveTo(base string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.base = base
	close(l.moved)
	l.moved = make(chan struct{})
}

// F-02, F-04, F-20: the server is killed at random moments of 200 registrations and started again each time.
func TestAKilledServerLosesNothingThatItAcknowledged(t *testing.T) { //nolint:paralleltest // it measures, or needs the machine for itself
	relay := mailtest.Start(t)
	d := deploy(t, buildProgram(t), relay)
	begun := time.Now()
	l := &ledger{base: d.base, moved: make(chan struct{}), answers: make(chan struct{}, crashRegistrations)}
	var clients sync.WaitGroup
	clients.Go(func() { l.registerAll(t, d) })

	kills := 0
	for answered := 0; answered < crashRegistrations; kills++ {
		for range min(10+rand.IntN(30), crashRegistrations-answered) {
			<-l.answers
			answered++
		}
		<-time.After(time.Duration(rand.IntN(80)) * time.Millisecond) // about as long as one registration takes
		l.moveTo("")
		d.kill()
		d.start()
		l.moveTo(d.base)
	}
	clients.Wait()
	// Once more with mails under way. Then three minutes pass before the last start: jobs whose worker died count
	// as lost after two, and the leadership among servers ends after some seconds.
	d.kill()
	d.exec("UPDATE river_job SET attempted_at = attempted_at - interval '3 minutes' WHERE state = 'running'")
	d.exec("UPDATE river_leader SET expires_at = expires_at - interval '3 minutes', elected_at = elected_at - interval '3 minutes'")
	d.exec("UPDATE river_job SET scheduled_at = scheduled_at - interval '3 minutes' WHERE state = 'retryable'")
	d.start()
	t.Logf("%d kills in %s: %d registrations acknowledged, %d without an answer", kills+1, time.Since(begun).Round(time.Second), len(l.acknowledged), len(l.unknown))
	if kills < 3 || len(l.acknowledged) < crashRegistrations/2 || len(l.unknown) == 0 {
		t.Errorf("%d kills with %d registrations acknowledged and %d not: that proves little", kills, len(l.acknowledged), len(l.unknown))
	}
	l.check(t, d)

	relay.Wait(len(l.acknowledged)) // at least; the next check is the exact one
	d.settled(l)
	t.Logf("all mails sent after %s", time.Since(begun).Round(time.Second))
	for _, email := range l.acknowledged {
		ids := map[string]bool{}
		for _, m := range relay.MessagesTo(email) {
			ids[m.ID()] = true
		}
		if len(ids) != 1 {
			t.Errorf("%s got %d different mails, want 1", email, len(ids)) // a copy of the same one is allowed
		}
	}
	d.terminate()
}

// registerAll registers every address once, at whichever server is up.
func (l *ledger) registerAll(t *testing.T, d *deployment) {
	var clients sync.WaitGroup
	addresses := make(chan string)
	client := &http.Client{Timeout: patience}
	for range crashClients {
		clients.Go(func() {
			for email := range addresses {
				status, _ := d.register(client, l.server(), email)
				for status == http.StatusServiceUnavailable { // too many passwords at once, on a busy machine
					<-time.After(time.Second) // as Retry-After says
					status, _ = d.register(client, l.server(), email)
				}
				l.mu.Lock()
				switch status {
				case http.StatusCreated:
					l.acknowledged = append(l.acknowledged, email)
				case 0:
					l.unknown = append(l.unknown, email)
				default:
					t.Errorf("register %s: %d", email, status)
				}
				l.mu.Unlock()
				l.answers <- struct{}{}
			}
		})
	}
	for i := range crashRegistrations {
		addresses <- fmt.Sprintf("crash%d@example.com", i)
	}
	close(addresses)
	clients.Wait()
}

// check compares the database with the ledger: what was acknowledged is there, what was not is there wholly or
// not at all, and nothing else is there.
func (l *ledger) check(t *testing.T, d *deployment) {
	t.Helper()
	const whole = `FROM users AS u JOIN passwords AS p ON p.user_id = u.id
		JOIN one_time_tokens AS o ON o.user_id = u.id AND o.purpose = 'verify_email'
		JOIN mails AS m ON m.user_id = u.id AND m.token_id = o.id AND m.kind = 'verify_email'
		JOIN river_job AS j ON j.kind = 'mail' AND j.args->>'mail_id' = m.id::text
		JOIN audit AS a ON a.subject_id = u.id AND a.action = 'user_registered'
		WHERE u.email = ANY($1)`
	if n := d.count("SELECT count(*) "+whole, l.acknowledged); n != len(l.acknowledged) {
		t.Errorf("%d of %d acknowledged registrations are whole", n, len(l.acknowledged))
	}
	made := d.count("SELECT count(*) "+whole, l.unknown)
	if n := d.count("SELECT count(*) FROM users WHERE email = ANY($1)", l.unknown); n != made {
		t.Errorf("%d of the %d accounts without an answer are not whole", n-made, n)
	}
	for what, sql := range map[string]string{
		"accounts":       "SELECT count(*) FROM users",
		"mails":          "SELECT count(*) FROM mails",
		"links":          "SELECT count(*) FROM one_time_tokens",
		"jobs":           "SELECT count(*) FROM river_job WHERE kind = 'mail'",
		"mails of jobs":  "SELECT count(*) FROM river_job JOIN mails ON args->>'mail_id' = mails.id::text WHERE river_job.kind = 'mail'",
		"users of mails": "SELECT count(*) FROM mails JOIN users ON users.id = mails.user_id",
		"audit entries":  "SELECT count(*) FROM audit WHERE action = 'user_registered'",
	} {
		if n, want := d.count(sql), len(l.acknowledged)+made; n != want {
			t.Errorf("%d %s, want %d", n, what, want)
		}
	}
}

// settled waits until every mail was sent.
func (d *deployment) settled(l *ledger) {
	d.t.Helper()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	timeout := time.After(patience)
	for {
		if d.count("SELECT count(*) FROM mails WHERE state <> 'sent'") == 0 {
			return
		}
		select {
		case <-again.C:
		case <-timeout:
			d.t.Fatalf("%d of %d mails were not sent:\n%s", d.count("SELECT count(*) FROM mails WHERE state <> 'sent'"), len(l.acknowledged), d.program.stderr)
		}
	}
}
