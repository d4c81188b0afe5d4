package server_test

import (
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

// answersAtOnce sends n requests at the same moment and returns their answers in the order of their numbers.
func answersAtOnce(n int, send func(i int) response) []response {
	answers := make([]response, n)
	start := make(chan struct{})
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			<-start
			answers[i] = send(i)
		})
	}
	close(start)
	group.Wait()
	return answers
}

func TestRegisterAtOnceOpensOneAccount(t *testing.T) {
	t.Parallel()
	const rivals = 100
	for name, c := range map[string]struct {
		shared map[string]any
		code   api.ProblemCode
	}{
		"one address":  {map[string]any{"email": "ada@example.com"}, api.ProblemCodeEmailTaken},
		"one nickname": {map[string]any{"nickname": "countess"}, api.ProblemCodeNicknameTaken},
		"both":         {map[string]any{"email": "ada@example.com", "nickname": "countess"}, api.ProblemCodeEmailTaken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t)
			bodies := make([]map[string]any, rivals)
			for i := range bodies {
				bodies[i] = registrationBody(c.shared)
			}
			register := func(i int) response { return s.call(http.MethodPost, "/register", "", bodies[i]) }
			opened := 0
			for i, got := range answersAtOnce(rivals, register) {
				if got.status == http.StatusServiceUnavailable && got.header.Get("Retry-After") != "" {
					got = register(i)
				}
				if got.status == http.StatusCreated {
					opened++
				} else if problem := got.problem(t, c.code); got.status != http.StatusConflict || len(problem.Errors) != len(c.shared) {
					t.Errorf("got %s, want 409 naming %d fields", got.body, len(c.shared))
				}
			}
			if opened != 1 {
				t.Errorf("%d registrations were told that they opened the account, want 1", opened)
			}
			s.idle()
			for _, table := range []string{"users", "passwords", "one_time_tokens", "mails", "audit"} {
				if got := s.count("SELECT count(*) FROM " + table); got != 1 {
					t.Errorf("got %d rows in %s, want 1", got, table)
				}
			}
			if got := len(s.inbox.Mails("")); got != 1 {
				t.Errorf("got %d mails, want 1", got)
			}
		})
	}
}

// seedCollisions makes the first tries of each new account use a nickname that is taken.
func seedCollisions(s *system, tries int) {
	s.t.Helper()
	s.account(server.NewAccount{Nickname: "occupied"})
	s.exec("CREATE TABLE tries (user_id uuid)")
	s.exec("CREATE TABLE allowed (collisions integer)")
	s.exec("INSERT INTO allowed VALUES ($1)", tries)
	s.exec(`CREATE FUNCTION collide() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			INSERT INTO tries VALUES (NEW.id);
			IF (SELECT count(*) FROM tries WHERE user_id = NEW.id) <= (SELECT collisions FROM allowed) THEN
				NEW.nickname := 'Occupied';
			END IF;
			RETURN NEW;
		END $$`)
	s.exec("CREATE TRIGGER collide BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION collide()")
}

func TestRegisterTriesAGeneratedNicknameAgainWhenItIsTaken(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	seedCollisions(s, 9)
	generated := regexp.MustCompile(`_\d{6}"`)
	for _, got := range answersAtOnce(20, func(int) response {
		return s.call(http.MethodPost, "/register", "", registrationBody(nil))
	}) {
		if got.status != http.StatusCreated || !generated.Match(got.body) {
			t.Errorf("got %d: %s, want an account with a generated nickname", got.status, got.body)
		}
	}
	admin := s.signedIn(query.UserRoleADMIN)
	if got := s.call(http.MethodPost, "/users", admin.token, map[string]any{"email": uniqueEmail()}); got.status != http.StatusCreated {
		t.Errorf("invitation: got %d: %s", got.status, got.body)
	}
	if got := s.count("SELECT count(*) FROM tries"); got != 22*10 {
		t.Errorf("got %d tries of 22 accounts, want ten each", got)
	}
}

func TestRegisterNeverBlamesTheCallerForAGeneratedNickname(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	seedCollisions(s, 1000)
	s.call(http.MethodPost, "/register", "", registrationBody(nil)).problem(t, api.ProblemCodeInternalError)
	if got := s.count("SELECT count(*) FROM mails"); got != 0 {
		t.Errorf("got %d mails, want none", got)
	}
	s.exec("UPDATE allowed SET collisions = 0")
	registered(s, nil)
}

// TestRegisterAndItsMailExistTogetherOrNotAtAll breaks each half of the transaction in turn.
func TestRegisterAndItsMailExistTogetherOrNotAtAll(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	unverified := s.account(server.NewAccount{})
	s.idle()
	s.exec(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused by CANARY'; END $$`)
	left := func() (rows [5]int) {
		s.scan(`SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM mails), (SELECT count(*) FROM one_time_tokens),
			(SELECT count(*) FROM audit), (SELECT count(*) FROM river_job WHERE kind = 'mail')`, nil, &rows[0], &rows[1], &rows[2], &rows[3], &rows[4])
		return rows
	}
	before := left()
	requests := map[string]func() response{
		"register": func() response { return s.call(http.MethodPost, "/register", "", registrationBody(nil)) },
		"invite": func() response {
			return s.call(http.MethodPost, "/users", admin.token, map[string]any{"email": uniqueEmail()})
		},
		"invite again": func() response {
			return s.call(http.MethodPost, "/users/"+unverified.id.String()+"/invitation", admin.token, nil)
		},
		"resend": func() response {
			return s.call(http.MethodPost, "/verify-email/resend", "", map[string]any{"email": unverified.email})
		},
	}
	for _, table := range []string{"river_job", "mails", "one_time_tokens", "audit"} {
		s.exec("CREATE TRIGGER refuse BEFORE INSERT ON " + table + " FOR EACH ROW EXECUTE FUNCTION refuse()")
		for name, send := range requests {
			got := send()
			if got.problem(t, api.ProblemCodeInternalError); got.status != http.StatusInternalServerError {
				t.Errorf("%s without %s: got %d, want 500", name, table, got.status)
			}
			if strings.Contains(string(got.body), "CANARY") || strings.Contains(string(got.body), table) {
				t.Errorf("%s without %s: the answer tells about the database: %s", name, table, got.body)
			}
		}
		s.exec("DROP TRIGGER refuse ON " + table)
		if got := left(); got != before {
			t.Errorf("without %s: got %v users, mails, tokens, audit rows, jobs; want %v as before", table, got, before)
		}
	}
	if !strings.Contains(s.logs.String(), "refused by CANARY") {
		t.Error("the log does not say why")
	}
	for name, send := range requests { // and with everything in place each works, its limits unspent
		if got := send(); got.status >= http.StatusBadRequest {
			t.Errorf("%s: got %d: %s", name, got.status, got.body)
		}
	}
	if got := s.count("SELECT count(*) FROM mails WHERE token_id IS NULL"); got != 0 {
		t.Errorf("got %d mails without a link, want none", got)
	}
	for mailID := range s.mailIDs() {
		if got := s.count("SELECT count(*) FROM river_job WHERE args->>'mail_id' = $1", mailID.String()); got != 1 {
			t.Errorf("got %d jobs for a mail, want 1", got)
		}
	}
}

// mailIDs are the ids of all mails, with their states.
func (s *system) mailIDs() map[uuid.UUID]query.MailState {
	s.t.Helper()
	rows, err := s.pool.Query(s.t.Context(), "SELECT id, state FROM mails")
	if err != nil {
		s.t.Fatal(err)
	}
	defer rows.Close()
	states := map[uuid.UUID]query.MailState{}
	for rows.Next() {
		var id uuid.UUID
		var state query.MailState
		if err := rows.Scan(&id, &state); err != nil {
			s.t.Fatal(err)
		}
		states[id] = state
	}
	if err := rows.Err(); err != nil {
		s.t.Fatal(err)
	}
	return states
}
