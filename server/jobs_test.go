package server_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

// cleanUp runs the clean-up job now and waits for its end.
func cleanUp(s *system) {
	s.t.Helper()
	var id int64
	s.scan("INSERT INTO river_job (kind, args, max_attempts, state) VALUES ('clean_up', '{}', 25, 'available') RETURNING id", nil, &id)
	s.eventually("the clean-up", func() bool {
		return s.count("SELECT count(*) FROM river_job WHERE id = $1 AND state = 'completed'", id) == 1
	})
}

// rowsOf are the rows of every table that holds what users leave behind.
func rowsOf(s *system) map[string]int {
	s.t.Helper()
	rows := map[string]int{}
	for _, table := range []string{
		"users", "passwords", "sessions", "login_facts", "login_failures", "rate_counters", "one_time_tokens", "mails", "audit", "signing_keys", "secret_key_check",
		"idempotency_keys",
	} {
		rows[table] = s.count("SELECT count(*) FROM " + table)
	}
	return rows
}

func TestCleanUpErasesWhatIsOldAndNothingElse(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.idle()
	user := s.signedIn(query.UserRoleAUTHENTICATED)
	profile, _ := unverified(s)
	s.login(user.email, goodPassword)
	s.call(http.MethodPost, "/login", "", "username="+urlQuery(user.email)+"&password=wrong", "Content-Type", "application/x-www-form-urlencoded")
	s.exec("DELETE FROM sessions")
	s.exec("DELETE FROM one_time_tokens")
	s.exec("DELETE FROM mails")
	s.exec("DELETE FROM login_failures")
	s.exec("DELETE FROM rate_counters")
	// One row on each side of each border, by a minute.
	for _, row := range []struct{ statement, old, young string }{
		{`INSERT INTO sessions (id, user_id, expires_at) VALUES (gen_random_uuid(), $1, now() - $2::interval)`, "30 days 1 minute", "29 days 23 hours 59 minutes"},
		{
			`INSERT INTO one_time_tokens (id, user_id, purpose, address, hash, used_at, expires_at)
				VALUES (gen_random_uuid(), $1, 'verify_email', 'a@example.com', '', now(), now() - $2::interval)`,
			"30 days 1 minute", "29 days 23 hours 59 minutes",
		},
		{`INSERT INTO mails (id, user_id, kind, state, created_at) VALUES (gen_random_uuid(), $1, 'upgraded', 'sent', now() - $2::interval)`, "90 days 1 minute", "89 days 23 hours 59 minutes"},
		{
			`INSERT INTO login_failures (address_key, source, failures, last_failed_at) VALUES (uuid_send($1::uuid), $2::interval::text, 1, now() - $2::interval)`,
			"2 days 1 minute", "1 day 23 hours 59 minutes",
		},
		{
			`INSERT INTO login_failures (address_key, source, last_failed_at, succeeded_at)
				VALUES (uuid_send($1::uuid), 'seen ' || $2::interval::text, now() - interval '80 days', now() - $2::interval)`,
			"90 days 1 minute", "89 days 23 hours 59 minutes",
		},
		{`INSERT INTO rate_counters (purpose, subject, window_ends_at) VALUES ($2::interval::text, uuid_send($1::uuid), now() - $2::interval)`, "1 second", "-1 minute"},
		{
			`INSERT INTO idempotency_keys (key_hash, body_hash, user_id, status, header, body, expires_at)
				VALUES ($2::interval::text::bytea, '', $1, 201, '{}', '', now() - $2::interval)`,
			"1 second", "-1 minute",
		},
	} {
		s.exec(row.statement, profile.ID, row.old)
		s.exec(row.statement, profile.ID, row.young)
	}
	before := rowsOf(s)
	want := maps.Clone(before)
	for table, old := range map[string]int{"sessions": 1, "one_time_tokens": 1, "mails": 1, "login_failures": 2, "rate_counters": 1, "idempotency_keys": 1} {
		want[table] -= old
	}
	cleanUp(s)
	if got := rowsOf(s); !maps.Equal(got, want) {
		t.Errorf("got %v\nwant %v\nof   %v", got, want, before)
	}
	cleanUp(s) // and once more changes nothing
	if got := rowsOf(s); !maps.Equal(got, want) {
		t.Errorf("the second time: got %v\nwant %v", got, want)
	}
}

func TestCleanUpErasesWhoWasDeletedThirtyDaysAgo(t *testing.T) { // H-10
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	erased, restorable := s.signedIn(query.UserRoleMANAGER), s.signedIn(query.UserRoleMANAGER)
	waiting, _ := unverified(s)
	for _, user := range []account{erased, restorable} {
		s.login(user.email, goodPassword)
		s.call(http.MethodPost, "/users/"+user.id.String()+"/upgrade", admin.token, nil)
		s.mailTo(user.email, "professional")
		if got := s.call(http.MethodDelete, "/users/"+user.id.String(), admin.token, nil, "If-Match", `"3"`); got.status != http.StatusNoContent {
			t.Fatalf("got %d: %s", got.status, got.body)
		}
	}
	s.call(http.MethodDelete, "/users/"+waiting.ID.String(), admin.token, nil, "If-Match", `"1"`)
	s.idle()
	s.exec("UPDATE users SET deleted_at = now() - interval '30 days 1 minute' WHERE id IN ($1, $2)", erased.id, waiting.ID)
	s.exec("UPDATE users SET deleted_at = now() - interval '29 days 23 hours 59 minutes' WHERE id = $1", restorable.id)
	cleanUp(s)
	for _, id := range []string{erased.id.String(), waiting.ID.String()} {
		for _, column := range []string{"users.id", "passwords.user_id", "sessions.user_id", "login_facts.user_id", "one_time_tokens.user_id", "mails.user_id"} {
			table, _, _ := strings.Cut(column, ".")
			if got := s.count("SELECT count(*) FROM "+table+" WHERE "+column+" = $1", id); got != 0 {
				t.Errorf("got %d rows in %s of an erased account, want none", got, table)
			}
		}
		if got := s.count("SELECT count(*) FROM audit WHERE action = 'user_erased' AND subject_id = $1 AND actor_id IS NULL", id); got != 1 {
			t.Errorf("got %d audit rows of the erasure, want 1", got)
		}
		s.call(http.MethodPost, "/users/"+id+"/restore", admin.token, nil).problem(t, api.ProblemCodeNotFound)
	}
	dump := dumpOf(s) // nothing personal is left anywhere, jobs and audit included
	for _, personal := range []string{erased.email, erased.nickname, waiting.Email, waiting.Nickname} {
		if strings.Contains(dump, personal) {
			t.Errorf("found %q after the erasure", personal)
		}
	}
	if got := s.call(http.MethodPost, "/users/"+restorable.id.String()+"/restore", admin.token, nil); got.status != http.StatusOK {
		t.Errorf("got %d: %s", got.status, got.body)
	}
	s.login(restorable.email, goodPassword)
}

func TestCleanUpRunsWhenAServerStarts(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.eventually("the first clean-up", func() bool {
		return s.count("SELECT count(*) FROM river_job WHERE kind = 'clean_up' AND state = 'completed'") == 1
	})
	s.stop()
	second := newSystemOn(t, s.pool) // of the same hour: it does not do it again
	second.eventually("the second server to lead", func() bool { return second.count("SELECT count(*) FROM river_leader") == 1 })
	cleanUp(second)
	if got := s.count("SELECT count(*) FROM river_job WHERE kind = 'clean_up'"); got != 2 {
		t.Errorf("got %d clean-ups, want that of the hour and the test's own", got)
	}
}

func TestMailOfAKilledWorkerIsTakenUp(t *testing.T) { // F-04
	t.Parallel()
	s := newSystem(t)
	profile := registered(s, nil)
	s.mailTo(profile.Email, "confirm")
	s.idle()
	s.stop()
	// As a worker leaves it that was killed while it spoke with the mail server.
	s.exec("UPDATE mails SET state = 'queued'")
	s.exec(`UPDATE river_job SET state = 'running', finalized_at = NULL, attempt = 1, attempted_at = now() - interval '2 minutes 1 second',
		attempted_by = '{killed}' WHERE kind = 'mail'`)
	next := newSystemOn(t, s.pool)
	second, first := next.mailTo(profile.Email, "confirm"), s.inbox.Mails(profile.Email)[0]
	if second.MessageID != first.MessageID || linkToken(t, second, "/verify-email/") != linkToken(t, first, "/verify-email/") {
		t.Error("the second copy is another mail than the first")
	}
}

func TestMailOfARunningWorkerIsLeftToIt(t *testing.T) { // F-04
	t.Parallel()
	s := newSystem(t)
	profile := registered(s, nil)
	s.mailTo(profile.Email, "confirm")
	s.idle()
	s.stop()
	s.exec("UPDATE mails SET state = 'queued'")
	s.exec(`UPDATE river_job SET state = 'running', finalized_at = NULL, attempt = 1, attempted_at = now() - interval '70 seconds',
		attempted_by = '{alive}' WHERE kind = 'mail'`)
	next := newSystemOn(t, s.pool)
	cleanUp(next) // its maintenance has begun by then
	other := registered(next, nil)
	next.mailTo(other.Email, "confirm")
	if got := len(next.inbox.Mails(profile.Email)); got != 0 {
		t.Errorf("got %d copies of a mail that somebody is sending, want none", got)
	}
}
