package server_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"usermanager/gen/query"
	"usermanager/server"
	"usermanager/server/secret"
)

func hashedWith(t testing.TB, params secret.Params, password string) string {
	t.Helper()
	hasher, err := secret.NewHasher(secret.HasherOptions{Params: params})
	if err != nil {
		t.Fatal(err)
	}
	hash, err := hasher.Hash(context.Background(), password)
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

func bcryptOfGood(t testing.TB) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(goodPassword), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

//
func TestStoredPasswordsAreSaltedArgon2id(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	for range 20 {
		registerWith(s, goodPassword)
	}
	email := uniqueEmail()
	s.call(http.MethodPost, "/users", admin.token, map[string]any{"email": email})
	token := linkToken(t, s.mailTo(email, "invit"), "/invitations/")
	s.call(http.MethodPost, "/invitations/accept", "", map[string]any{"token": token, "password": goodPassword})
	phc := regexp.MustCompile(`^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=1\$([A-Za-z0-9+/]{22})\$[A-Za-z0-9+/]{43}$`)
	rows, err := s.pool.Query(t.Context(), "SELECT hash FROM passwords")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	salts := map[string]bool{}
	for rows.Next() {
		var hash string
		if err := rows.Scan(&hash); err != nil {
			t.Fatal(err)
		}
		parts := phc.FindStringSubmatch(hash)
		if parts == nil {
			t.Fatalf("got %s, want an argon2id string with 16 bytes of salt and 32 of tag", hash)
		}
		salts[parts[3]] = true
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if len(salts) != 22 {
		t.Errorf("got %d salts for 22 equal passwords", len(salts))
	}
	if parts := phc.FindStringSubmatch(hashedWith(t, secret.Params{}, goodPassword)); len(parts) != 4 || parts[1] != "19456" || parts[2] != "2" {
		t.Errorf("got default parameters %v, want those of OWASP: m=19456, t=2", parts)
	}
}

//
func TestOldHashesAreReplacedAtTheNextLogin(t *testing.T) {
	t.Parallel()
	strong := secret.Params{MemoryKiB: 32, Iterations: 2, Parallelism: 1}
	s := newSystem(t, func(o *server.Options) {
		hasher, err := secret.NewHasher(secret.HasherOptions{Params: strong, Queue: 1000, MaxWait: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		o.Hasher = hasher
	})
	for name, old := range map[string]string{
		"bcrypt":         bcryptOfGood(t),
		"less memory":    hashedWith(t, secret.Params{MemoryKiB: 16, Iterations: 2, Parallelism: 1}, goodPassword),
		"fewer passes":   hashedWith(t, secret.Params{MemoryKiB: 32, Iterations: 1, Parallelism: 1}, goodPassword),
		"from Django":    "bcrypt$" + bcryptOfGood(t),
		"stronger, even": hashedWith(t, secret.Params{MemoryKiB: 64, Iterations: 2, Parallelism: 1}, goodPassword),
	} {
		user := s.account(verifiedUser)
		plantPasswordHash(s, user.id, old)
		if got := signInAttempt(s, user.email, "wrong"); got.status != http.StatusUnauthorized || passwordHash(s, user.id) != old {
			t.Errorf("%s: a wrong password answered %d and left %s", name, got.status, passwordHash(s, user.id))
		}
		mustSignIn(t, signInAttempt(s, user.email, goodPassword))
		upgraded := passwordHash(s, user.id)
		if !strings.HasPrefix(upgraded, "$argon2id$v=19$m=32,t=2,p=1$") {
			t.Errorf("%s: after a login: %s", name, upgraded)
		}
		mustSignIn(t, signInAttempt(s, user.email, goodPassword))
		if got := passwordHash(s, user.id); got != upgraded {
			t.Errorf("%s: a current hash was replaced", name)
		}
	}
	current := s.account(verifiedUser)
	before := passwordHash(s, current.id)
	mustSignIn(t, signInAttempt(s, current.email, goodPassword))
	if passwordHash(s, current.id) != before {
		t.Error("a current hash was replaced")
	}
}

// the better hash of the old password must not win over a new password.
func TestAnUpgradeDoesNotUndoAChangeOfPassword(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	user := s.account(verifiedUser)
	changed := hashedWith(t, cheap, "Changed*1843")
	for range 5 {
		plantPasswordHash(s, user.id, bcryptOfGood(t))
		tx, err := s.pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), "UPDATE passwords SET hash = $2 WHERE user_id = $1", user.id, changed); err != nil {
			t.Fatal(err)
		}
		answer := make(chan response, 1)
		go func() { answer <- signInAttempt(s, user.email, goodPassword) }()
		waitForLockedQuery(s, 1) // the login has checked the old password and stands before its upgrade
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		mustSignIn(t, <-answer)
		if got := passwordHash(s, user.id); got != changed {
			t.Fatalf("got %s, want the changed password to stay", got)
		}
	}
	if got := signInAttempt(s, user.email, goodPassword); got.status != http.StatusUnauthorized {
		t.Errorf("the old password answers %d, want 401", got.status)
	}
}

//
func TestAFailedUpgradeDoesNotFailTheLogin(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	user := s.account(verifiedUser)
	old := bcryptOfGood(t)
	plantPasswordHash(s, user.id, old)
	s.exec(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
		CREATE TRIGGER refuse BEFORE UPDATE ON passwords FOR EACH ROW EXECUTE FUNCTION refuse()`)
	mustSignIn(t, signInAttempt(s, user.email, goodPassword))
	if passwordHash(s, user.id) != old || !strings.Contains(s.logs.String(), "password hash not upgraded") {
		t.Errorf("got %s, want the old hash and a warning", passwordHash(s, user.id))
	}
}

// the database is input like any other.
func TestHostileStoredHashesOpenNothingAndCostNothing(t *testing.T) {
	t.Parallel()
	s := newSystem(t, func(o *server.Options) { o.LoginAttempts = 1000 })
	user := s.account(verifiedUser)
	salt, tag := base64.RawStdEncoding.EncodeToString(make([]byte, 16)), base64.RawStdEncoding.EncodeToString(make([]byte, 32))
	hostile := []string{
		"$argon2id$v=19$m=4194304,t=2,p=1$" + salt + "$" + tag, "$argon2id$v=19$m=19456,t=1000000,p=1$" + salt + "$" + tag,
		"$argon2id$v=19$m=19456,t=2,p=255$" + salt + "$" + tag, "$argon2id$v=19$m=19456,t=2,p=0$" + salt + "$" + tag,
		"$argon2id$v=19$m=0,t=0,p=0$" + salt + "$" + tag, "$argon2id$v=19$m=4294967295,t=4294967295,p=1$" + salt + "$" + tag,
		"$argon2id$v=19$m=19456,t=2,p=1$$", "$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$", "$argon2id$", "$", "x", goodPassword,
		"$2b$31$" + strings.Repeat("a", 53), "$2b$12$short", "pbkdf2_sha256$2000000000$x$" + tag, strings.Repeat("$", 100_000), "$scrypt$ln=40,r=8,p=1$" + salt + "$" + tag,
	}
	for _, hash := range hostile {
		plantPasswordHash(s, user.id, hash)
		before, logged := s.hasher.Verifications(), strings.Count(s.logs.String(), "stored password hash cannot be read")
		began := time.Now()
		if got := signInAttempt(s, user.email, goodPassword); got.status != http.StatusUnauthorized {
			t.Errorf("%.60s: got %d %s, want 401", hash, got.status, got.body)
		}
		if took := time.Since(began); took > 2*time.Second || s.hasher.Verifications() != before { // a busy machine; the hashes ask for minutes
			t.Errorf("%.60s: took %s and %d verifications", hash, took, s.hasher.Verifications()-before)
		}
		if got := strings.Count(s.logs.String(), "stored password hash cannot be read") - logged; got != 1 {
			t.Errorf("%.60s: got %d log lines, want 1", hash, got)
		}
	}
	plantPasswordHash(s, user.id, "") // as good as none: the work of an unknown address
	if got := signInAttempt(s, user.email, ""); got.status != http.StatusUnauthorized {
		t.Errorf("an empty hash and an empty password: got %d", got.status)
	}
}

//
func TestPasswordsAreNowhereButInTheirHash(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	const canary = "CANARY-Kq7!vXwz"
	admin := s.signedIn(query.UserRoleADMIN)
	_, email := registerWith(s, canary)
	signInAttempt(s, email, canary) // unverified
	proveAll(s)
	mustSignIn(t, signInAttempt(s, email, canary))
	signInAttempt(s, email, canary+"wrong")
	signInAttempt(s, canary, canary)                    // typed into the wrong field, too
	signInAttempt(s, email, canary, "User-Agent", "ua") // and once with every refusal of a form
	s.call(http.MethodPost, "/login", "", "username=x&password="+canary+"%zz", "Content-Type", formType)
	s.call(http.MethodPost, "/login", "", `{"password":"`+canary+`"}`)
	s.call(http.MethodPost, "/register", "", map[string]any{"email": "no", "password": "CANARY-" + strings.Repeat("x", 300)})
	s.call(http.MethodPost, "/register", "", `{"email":"a@example.com","password":"`+canary+`","password":"`+canary+`"}`)
	s.call(http.MethodPost, "/register", "", map[string]any{"email": email, "password": canary}) // taken
	invited := uniqueEmail()
	s.call(http.MethodPost, "/users", admin.token, map[string]any{"email": invited})
	token := linkToken(t, s.mailTo(invited, "invit"), "/invitations/")
	s.call(http.MethodPost, "/invitations/accept", "", map[string]any{"token": token, "password": canary})
	if _, err := s.server.CreateAccount(t.Context(), server.NewAccount{Email: "no", Password: canary}); err == nil || strings.Contains(err.Error(), "CANARY") {
		t.Errorf("got error %v, want one that does not repeat the password", err)
	}
	s.exec("ALTER TABLE passwords RENAME TO gone") // and with an error that nobody foresaw
	registerWith(s, canary)
	signInAttempt(s, email, canary)
	s.exec("ALTER TABLE gone RENAME TO passwords")
	s.idle()

	if log := s.logs.String(); strings.Contains(log, "CANARY") || strings.Contains(log, "$argon2id$") || !strings.Contains(log, `"status":500`) {
		t.Errorf("the log holds a password or a hash, or no error: %s", log)
	}
	for _, table := range dumpedTables(s) {
		rows := s.count(fmt.Sprintf("SELECT count(*) FROM %s AS t WHERE t::text LIKE '%%CANARY%%'", table))
		if rows != 0 {
			t.Errorf("%s holds a password in %d rows", table, rows)
		}
		hashes := s.count(fmt.Sprintf("SELECT count(*) FROM %s AS t WHERE t::text LIKE '%%$argon2id$%%'", table))
		if (hashes != 0) != (table == "public.passwords") {
			t.Errorf("%s holds %d hashes", table, hashes)
		}
	}
}

// dumpedTables is every table that a dump would show.
func dumpedTables(s *system) []string {
	s.t.Helper()
	var list []byte
	s.scan(`SELECT json_agg(format('%I.%I', schemaname, tablename)) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`, nil, &list)
	var tables []string
	if err := json.Unmarshal(list, &tables); err != nil || len(tables) < 10 {
		s.t.Fatalf("got tables %s", list)
	}
	return tables
}
