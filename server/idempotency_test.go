package server_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

// keyed sends a request with an Idempotency-Key.
func keyed(s *system, path, token, key string, body any) response {
	s.t.Helper()
	return s.call(http.MethodPost, path, token, body, "Idempotency-Key", key)
}

// isRepetition fails unless an answer is the first one again, byte for byte but for the request id.
func isRepetition(t testing.TB, first, again response) {
	t.Helper()
	if got, want := maskedAnswer(again), maskedAnswer(first); got != want {
		t.Errorf("the repetition got\n%s, the first request\n%s", got, want)
	}
	if first.header.Get("X-Request-Id") == again.header.Get("X-Request-Id") {
		t.Error("both requests have one id")
	}
}

// happenedOnce fails unless one account was opened, with all that belongs to it, beyond those of the test itself.
func happenedOnce(s *system, email string) {
	s.t.Helper()
	s.idle()
	for _, sql := range []string{
		"SELECT count(*) FROM users WHERE email = $1",
		"SELECT count(*) FROM one_time_tokens JOIN users ON users.id = user_id WHERE email = $1",
		"SELECT count(*) FROM mails JOIN users ON users.id = user_id WHERE email = $1",
		"SELECT count(*) FROM audit JOIN users ON users.id = subject_id WHERE email = $1 AND action IN ('user_registered', 'user_created')",
	} {
		if got := s.count(sql, email); got != 1 {
			s.t.Errorf("%s: got %d, want 1", sql, got)
		}
	}
	if got := len(s.inbox.Mails(email)); got != 1 {
		s.t.Errorf("got %d mails, want 1", got)
	}
}

// sendAndHangUp registers over a connection of its own and leaves, once the server has done its work, without
// having read a byte of the answer.
func sendAndHangUp(s *system, key string, body map[string]any) {
	s.t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	host := strings.TrimPrefix(s.url, "http://")
	conn, err := (&net.Dialer{}).DialContext(s.t.Context(), "tcp", host)
	if err != nil {
		s.t.Fatal(err)
	}
	_, err = fmt.Fprintf(conn, "POST /register HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nIdempotency-Key: %s\r\nContent-Length: %d\r\n\r\n%s",
		host, key, len(data), data)
	if err != nil {
		s.t.Fatal(err)
	}
	s.eventually("the registration", func() bool { return s.count("SELECT count(*) FROM idempotency_keys") == 1 })
	if err := conn.Close(); err != nil {
		s.t.Fatal(err)
	}
}

func TestARegistrationWhoseAnswerWasLostIsRetriedWithItsKey(t *testing.T) { // I-24
	t.Parallel()
	s := newSystem(t)
	key, body := uuid.NewString(), registrationBody(map[string]any{"nickname": "countess"})
	email := fmt.Sprint(body["email"])
	sendAndHangUp(s, key, body)
	got := keyed(s, "/register", "", key, body)
	var profile api.OwnProfile
	if err := json.Unmarshal(got.body, &profile); err != nil || got.status != http.StatusCreated {
		t.Fatalf("got %d %s, want the account", got.status, got.body)
	}
	if profile.ID != userIDOf(s, email) || profile.Nickname != "countess" || got.header.Get("Location") != s.url+"/users/"+profile.ID.String() {
		t.Errorf("got %s at %s, want the account that was opened", got.body, got.header.Get("Location"))
	}
	token := mailedToken(s, email, "confirm")
	if got := verifyByToken(s, token); got.status != http.StatusOK {
		t.Errorf("the one link: got %d %s", got.status, got.body)
	}
	s.login(email, goodPassword)
	isRepetition(t, got, keyed(s, "/register", "", key, body)) // of the account as it was then
	happenedOnce(s, email)
	s.call(http.MethodPost, "/register", "", body).problem(t, api.ProblemCodeEmailTaken) // without a key
}

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

// Whoever declares the header keeps its promise, whatever the operation: the document's own example, sent twice.
func TestEveryOperationThatTakesAKeyHappensOnce(t *testing.T) { // I-24
	t.Parallel()
	var taking []string
	for _, op := range contractOperations() {
		if op.Parameters.GetByInAndName("header", "Idempotency-Key") == nil {
			continue
		}
		taking = append(taking, op.OperationID)
		t.Run(op.OperationID, func(t *testing.T) {
			t.Parallel()
			w := newExampleWorld(t)
			w.before(op.OperationID)()
			w.idle()
			before := w.count("SELECT count(*) FROM audit")
			first := w.send(op)
			w.idle()
			after := rowsOf(w.system)
			isRepetition(t, first, w.send(op))
			w.idle()
			if got := rowsOf(w.system); fmt.Sprint(got) != fmt.Sprint(after) {
				t.Errorf("the repetition left %v, the first request %v", got, after)
			}
			if first.status >= 300 || after["audit"] != before+1 {
				t.Errorf("got %d and %d audit rows, want a success and its one row", first.status, after["audit"]-before)
			}
		})
	}
	if got := fmt.Sprint(taking); got != "[createUser register]" {
		t.Errorf("got %s, want those that create, and none that answers a secret", got)
	}
}

func TestAKeyIsForOneBody(t *testing.T) { // I-24
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	fields := map[string]any{"email": uniqueEmail(), "bio": "1 < 2", "first_name": "Ada"}
	others := []map[string]any{
		{"email": uniqueEmail()}, {"bio": nil}, {"last_name": "Lovelace"}, {"bio": "1 > 2"}, {"first_name": "1 < 2", "bio": "Ada"},
	}
	for _, c := range []struct {
		path, token, more string
		body              map[string]any
		others            []map[string]any
	}{
		{"/register", "", `,"password":"` + goodPassword + `"`, changed(fields, map[string]any{"password": goodPassword}), append(others, map[string]any{"password": goodPassword + "x"})},
		{"/users", admin.token, "", changed(fields, map[string]any{"email": uniqueEmail()}), others},
	} {
		key := uuid.NewString()
		first := keyed(s, c.path, c.token, key, c.body)
		if first.status != http.StatusCreated {
			t.Fatalf("%s: got %d %s", c.path, first.status, first.body)
		}
		for _, other := range c.others {
			got := keyed(s, c.path, c.token, key, changed(c.body, other))
			if got.problem(t, api.ProblemCodeIdempotencyKeyReused); got.status != http.StatusUnprocessableEntity {
				t.Errorf("%s with %v: got %d %s, want 422", c.path, other, got.status, got.body)
			}
		}
		spelled := fmt.Sprintf("\n{ \"first_name\":\"\\u0041da\", \"bio\": \"1 \\u003C 2\",\t\"email\":%q%s }", c.body["email"], c.more)
		isRepetition(t, first, keyed(s, c.path, c.token, key, spelled)) // the same in other bytes
		happenedOnce(s, fmt.Sprint(c.body["email"]))
	}
	if got := s.count("SELECT count(*) FROM users"); got != 3 {
		t.Errorf("got %d accounts, want the administrator's and one for each key", got)
	}
}

// changed is a body with some fields changed; a nil one is left out.
func changed(body, changes map[string]any) map[string]any {
	body = maps.Clone(body)
	maps.Copy(body, changes)
	maps.DeleteFunc(body, func(_ string, value any) bool { return value == nil })
	return body
}

func TestNobodyMeetsAnAnswerOfSomeoneElse(t *testing.T) { // I-24
	t.Parallel()
	s := newSystem(t)
	one, two, admin := s.signedIn(query.UserRoleMANAGER), s.signedIn(query.UserRoleMANAGER), s.signedIn(query.UserRoleADMIN)
	const key = "1" // a client that counts
	invitation := map[string]any{"email": uniqueEmail()}
	first := keyed(s, "/users", one.token, key, invitation)
	if first.status != http.StatusCreated {
		t.Fatalf("got %d %s", first.status, first.body)
	}
	// With the same key and body, another caller is refused as without a key; with another body it is a new request.
	keyed(s, "/users", two.token, key, invitation).problem(t, api.ProblemCodeEmailTaken)
	if got := keyed(s, "/users", two.token, key, map[string]any{"email": uniqueEmail()}); got.status != http.StatusCreated {
		t.Errorf("another manager: got %d %s, want an account", got.status, got.body)
	}
	if got := keyed(s, "/register", "", key, registrationBody(nil)); got.status != http.StatusCreated {
		t.Errorf("somebody who registers: got %d %s, want an account", got.status, got.body)
	}
	isRepetition(t, first, keyed(s, "/users", one.token, key, invitation))
	again, err := s.server.AccessToken(t.Context(), one.email) // the caller counts, not the session
	if err != nil {
		t.Fatal(err)
	}
	isRepetition(t, first, keyed(s, "/users", again, key, invitation))
	if got := staffSetRole(s, admin.token, one.id, "AUTHENTICATED"); got.status != http.StatusOK {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	keyed(s, "/users", one.token, key, invitation).problem(t, api.ProblemCodeMissingPermission) // whoever may not do it may not see it
	keyed(s, "/users", "", key, invitation).problem(t, api.ProblemCodeAuthenticationRequired)
}

func TestAKeyIsNewAgainAfterADay(t *testing.T) { // I-24
	t.Parallel()
	s := newSystem(t)
	key, body := uuid.NewString(), registrationBody(nil)
	first := keyed(s, "/register", "", key, body)
	if got := s.count("SELECT count(*) FROM idempotency_keys WHERE expires_at BETWEEN now() + interval '23 hours 59 minutes' AND now() + interval '24 hours'"); got != 1 {
		t.Errorf("got %d answers that are kept for a day, want 1", got)
	}
	s.exec("UPDATE idempotency_keys SET expires_at = expires_at - interval '23 hours 59 minutes'")
	isRepetition(t, first, keyed(s, "/register", "", key, body))
	s.exec("UPDATE idempotency_keys SET expires_at = expires_at - interval '1 minute'")
	keyed(s, "/register", "", key, body).problem(t, api.ProblemCodeEmailTaken)
	next := registrationBody(nil) // the clean-up has not run, and need not
	second := keyed(s, "/register", "", key, next)
	if second.status != http.StatusCreated {
		t.Fatalf("got %d %s, want another account", second.status, second.body)
	}
	isRepetition(t, second, keyed(s, "/register", "", key, next))
	keyed(s, "/register", "", key, body).problem(t, api.ProblemCodeIdempotencyKeyReused)
}

func TestARefusedRegistrationIsCorrectedUnderItsKey(t *testing.T) { // I-24
	t.Parallel()
	s := newSystem(t)
	taken := s.account(server.NewAccount{Nickname: "countess"})
	key, body := uuid.NewString(), registrationBody(nil)
	keyed(s, "/register", "", key, registrationBody(map[string]any{"password": "short"})).problem(t, api.ProblemCodeValidationFailed)
	keyed(s, "/register", "", key, registrationBody(map[string]any{"email": taken.email})).problem(t, api.ProblemCodeEmailTaken)
	keyed(s, "/register", "", key, registrationBody(map[string]any{"nickname": "countess"})).problem(t, api.ProblemCodeNicknameTaken)
	keyed(s, "/register", "", key, `{"email":`).problem(t, api.ProblemCodeMalformedRequest)
	s.exec("ALTER TABLE audit RENAME TO elsewhere") // the last thing that a registration needs
	keyed(s, "/register", "", key, body).problem(t, api.ProblemCodeInternalError)
	s.exec("ALTER TABLE elsewhere RENAME TO audit")
	if got := s.count("SELECT count(*) FROM idempotency_keys"); got != 0 {
		t.Errorf("got %d kept answers of refused requests, want none", got)
	}
	first := keyed(s, "/register", "", key, body)
	if first.status != http.StatusCreated {
		t.Fatalf("got %d %s, want an account", first.status, first.body)
	}
	isRepetition(t, first, keyed(s, "/register", "", key, body))
	happenedOnce(s, fmt.Sprint(body["email"]))
}

func TestADumpHoldsNeitherKeysNorPasswords(t *testing.T) { // I-24, A-23
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	key, body := "key-"+uuid.NewString(), registrationBody(nil)
	data, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	for path, token := range map[string]string{"/register": "", "/users": admin.token} {
		sent := string(data)
		if path == "/users" {
			sent = `{"email":"` + uniqueEmail() + `"}`
		}
		if got := keyed(s, path, token, key, sent); got.status != http.StatusCreated {
			t.Fatalf("%s: got %d %s", path, got.status, got.body)
		}
	}
	s.idle()
	dump, logs := dumpOf(s), s.logs.String()
	if s.count("SELECT count(*) FROM idempotency_keys") != 2 || !strings.Contains(dump, hex.EncodeToString([]byte(fmt.Sprint(body["email"])))) {
		t.Fatal("the dump does not hold the kept answers: this proves nothing")
	}
	for name, secret := range map[string]string{"key": key, "password": goodPassword, "body": string(data)} {
		sum := sha256.Sum256([]byte(secret))
		for form, text := range map[string]string{"text": secret, "hex": hex.EncodeToString([]byte(secret)), "SHA-256": hex.EncodeToString(sum[:])} {
			if strings.Contains(dump, text) {
				t.Errorf("the dump holds the %s as %s", name, form)
			}
		}
		if strings.Contains(logs, secret) {
			t.Errorf("the log holds the %s", name)
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

func TestTheRegistrationLimitCountsARepetitionOnce(t *testing.T) { // I-24, A-51
	t.Parallel()
	s := newSystem(t, func(o *server.Options) { o.RegistrationLimit = 2 })
	key, body := uuid.NewString(), registrationBody(nil)
	first := keyed(s, "/register", "", key, body)
	for range 5 {
		isRepetition(t, first, keyed(s, "/register", "", key, body))
	}
	registered(s, nil)
	s.call(http.MethodPost, "/register", "", registrationBody(nil)).problem(t, api.ProblemCodeTooManyRequests)
	isRepetition(t, first, keyed(s, "/register", "", key, body)) // also when the limit is reached
}

func TestAKeyIsVisibleASCII(t *testing.T) { // I-24, I-03
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	for _, key := range []string{"", strings.Repeat("k", 256), "two words", "tab\tinside", "naïve", "\u200b", "🔑"} {
		for path, token := range map[string]string{"/register": "", "/users": admin.token} {
			got := keyed(s, path, token, key, map[string]any{"email": uniqueEmail(), "password": goodPassword})
			problem := got.problem(t, api.ProblemCodeValidationFailed)
			at := problem.Errors[0]
			if got.status != http.StatusUnprocessableEntity || at.Location != api.FieldLocationHeader || at.Pointer != "/Idempotency-Key" {
				t.Errorf("key %q: got %d %s, want 422 that names the header", key, got.status, got.body)
			}
			if len(key) > 1 && strings.Contains(string(got.body), key) {
				t.Errorf("key %q is in the answer: %s", key, got.body)
			}
		}
	}
	if got := staffRepeatHeader(s, http.MethodPost, "/users", admin.token, `{"email": "`+uniqueEmail()+`"}`, "Idempotency-Key", []string{"a", "b"}); got != http.StatusUnprocessableEntity {
		t.Errorf("two keys: got %d, want 422", got)
	}
	if got := s.count("SELECT count(*) FROM users"); got != 1 {
		t.Errorf("got %d accounts, want the administrator's only", got)
	}
	for _, key := range []string{"k", strings.Repeat("k", 255), "!~", `"quoted"`, `quoted`} {
		body := registrationBody(nil)
		first := keyed(s, "/register", "", key, body)
		if first.status != http.StatusCreated {
			t.Errorf("key %q: got %d %s, want an account", key, first.status, first.body)
		}
		isRepetition(t, first, keyed(s, "/register", "", key, body))
	}
}

func TestAKeptAnswerGoesWithItsUser(t *testing.T) { // I-24, H-10
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	email := uniqueEmail()
	key, body := uuid.NewString(), map[string]any{"email": email}
	first := keyed(s, "/users", admin.token, key, body)
	id := userIDOf(s, email)
	s.idle()
	if got := s.call(http.MethodDelete, "/users/"+id.String(), admin.token, nil, "If-Match", "*"); got.status != http.StatusNoContent {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	isRepetition(t, first, keyed(s, "/users", admin.token, key, body)) // of what was done, not of what is
	s.exec("UPDATE users SET deleted_at = now() - interval '31 days' WHERE id = $1", id)
	cleanUp(s)
	if strings.Contains(dumpOf(s), hex.EncodeToString([]byte(email))) {
		t.Error("the kept answer outlives the account")
	}
	if got := s.count("SELECT count(*) FROM idempotency_keys"); got != 0 {
		t.Errorf("got %d kept answers, want none", got)
	}
	if got := keyed(s, "/users", admin.token, key, body); got.status != http.StatusCreated {
		t.Errorf("got %d %s, want a new account", got.status, got.body)
	}
}

func TestWithoutAKeyNothingIsKept(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	user := s.signedIn(query.UserRoleAUTHENTICATED)
	registered(s, nil)
	s.call(http.MethodPatch, "/users/me", user.token, map[string]any{"bio": "x"}, "Idempotency-Key", uuid.NewString()) // takes none
	got := s.call(http.MethodPost, "/login", "", "username="+urlQuery(user.email)+"&password="+urlQuery(goodPassword),
		"Content-Type", formType, "Idempotency-Key", strings.Repeat("k", 300))
	mustSignIn(t, got) // nor does this, so that a key is not even looked at
	if got := s.count("SELECT count(*) FROM idempotency_keys"); got != 0 {
		t.Errorf("got %d kept answers, want none", got)
	}
}
