package server_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/google/uuid"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

func TestFiftyRegistrationsAtOnceWithOneKeyOpenOneAccount(t *testing.T) { // I-24
	t.Parallel()
	s := newSystem(t)
	key, body := uuid.NewString(), registrationBody(nil)
	var first *response
	for _, got := range answersAtOnce(50, func(int) response { return keyed(s, "/register", "", key, body) }) {
		switch {
		case got.status != http.StatusCreated:
			if got.problem(t, api.ProblemCodeRequestInProgress); got.status != http.StatusConflict {
				t.Errorf("got %d %s, want 409", got.status, got.body)
			}
		case first == nil:
			first = &got
		default:
			isRepetition(t, *first, got)
		}
	}
	if first == nil {
		t.Fatal("nobody was told that the account is open")
	}
	isRepetition(t, *first, keyed(s, "/register", "", key, body))
	happenedOnce(s, fmt.Sprint(body["email"]))
	for _, table := range []string{"users", "passwords", "mails", "audit", "idempotency_keys"} {
		if got := s.count("SELECT count(*) FROM " + table); got != 1 {
			t.Errorf("got %d rows in %s, want 1", got, table)
		}
	}
}

// whileRunning holds the table that every creation writes to, sends a request, and does something when it stands
// there in its transaction. It returns the answer that the request got afterwards.
func whileRunning(s *system, send func() response, do func()) response {
	s.t.Helper()
	s.idle()
	tx, err := s.pool.Begin(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(s.t.Context())) }()
	if _, err := tx.Exec(s.t.Context(), "LOCK TABLE mails IN EXCLUSIVE MODE"); err != nil {
		s.t.Fatal(err)
	}
	answer := make(chan response, 1)
	go func() { answer <- send() }()
	waitForLockedQuery(s, 1)
	do()
	if err := tx.Rollback(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	return <-answer
}

func TestARequestThatIsStillRunningIsNotStartedAgain(t *testing.T) { // I-24
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	for path, token := range map[string]string{"/register": "", "/users": admin.token} {
		key, email := uuid.NewString(), uniqueEmail()
		body := map[string]any{"email": email}
		if path == "/register" {
			body["password"] = goodPassword
		}
		first := whileRunning(s, func() response { return keyed(s, path, token, key, body) }, func() {
			for range 2 {
				got := keyed(s, path, token, key, body)
				if got.problem(t, api.ProblemCodeRequestInProgress); got.status != http.StatusConflict {
					t.Errorf("%s: got %d %s, want 409", path, got.status, got.body)
				}
			}
		})
		if first.status != http.StatusCreated {
			t.Errorf("%s: got %d %s for the first, want 201", path, first.status, first.body)
		}
		isRepetition(t, first, keyed(s, path, token, key, body))
		happenedOnce(s, email)
	}
}

// F-15: the transaction begins again, and with it the claim.
func TestARegistrationThatTheDatabaseInterruptsIsKeptOnce(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.exec("CREATE SEQUENCE tries") // counts what is rolled back, too
	s.exec(`CREATE FUNCTION interrupt() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			IF nextval('tries') < 3 THEN RAISE 'induced' USING ERRCODE = '40P01'; END IF;
			RETURN NEW;
		END $$`)
	s.exec("CREATE TRIGGER interrupt BEFORE INSERT ON idempotency_keys FOR EACH ROW EXECUTE FUNCTION interrupt()")
	key, body := uuid.NewString(), registrationBody(nil)
	first := keyed(s, "/register", "", key, body)
	if first.status != http.StatusCreated {
		t.Fatalf("got %d %s", first.status, first.body)
	}
	isRepetition(t, first, keyed(s, "/register", "", key, body))
	happenedOnce(s, fmt.Sprint(body["email"]))
	if got := s.count("SELECT last_value FROM tries"); got != 3 {
		t.Errorf("got %d tries, want 3", got)
	}
}

func TestAConcealedRegistrationIsRepeatedAlikeWhetherTheAddressIsKnown(t *testing.T) { // I-24, A-01
	t.Parallel()
	s := newSystem(t, concealing)
	known := s.account(server.NewAccount{EmailVerified: true}).email
	var shapes [][]string
	for _, email := range []string{known, uniqueEmail()} {
		key, body := uuid.NewString(), registrationBody(map[string]any{"email": email})
		register := func() response { return keyed(s, "/register", "", key, body) }
		var meanwhile response
		first := whileRunning(s, register, func() { meanwhile = register() })
		meanwhile.problem(t, api.ProblemCodeRequestInProgress)
		other := keyed(s, "/register", "", key, registrationBody(map[string]any{"email": email, "bio": "x"}))
		other.problem(t, api.ProblemCodeIdempotencyKeyReused)
		again := register()
		isRepetition(t, first, again)
		if first.status != http.StatusAccepted {
			t.Errorf("%s: got %d %s, want 202", email, first.status, first.body)
		}
		shapes = append(shapes, []string{outerShape(first), outerShape(meanwhile), outerShape(other), outerShape(again)})
		s.idle()
		if got := len(s.inbox.Mails(email)); got != 1 {
			t.Errorf("%s got %d mails, want 1", email, got)
		}
	}
	if fmt.Sprint(shapes[0]) != fmt.Sprint(shapes[1]) {
		t.Errorf("a known address:\n%s\na new one:\n%s", shapes[0], shapes[1])
	}
	if got := s.count("SELECT count(*) FROM users"); got != 2 {
		t.Errorf("got %d accounts, want 2", got)
	}
}
