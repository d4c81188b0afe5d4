package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/google/uuid"

	"usermanager/gen/query"
	"usermanager/server"
)

// auditedRow is one row of the audit.
type auditedRow struct {
	action, actor, subject, old, new string
}

// auditOf is what a request left in the audit, in order.
func auditOf(s *system, got response) []auditedRow {
	s.t.Helper()
	var data []byte
	s.scan(`SELECT coalesce(json_agg(json_build_array(action, coalesce(actor_id::text, ''), coalesce(subject_id::text, ''), coalesce(old::text, ''), coalesce(new::text, ''))
		ORDER BY id), '[]') FROM audit WHERE request_id = $1 AND host(address) = '127.0.0.1' AND abs(extract(epoch FROM now() - at)) < 60`,
		[]any{got.header.Get("X-Request-Id")}, &data)
	var values [][5]string
	if err := json.Unmarshal(data, &values); err != nil {
		s.t.Fatal(err)
	}
	var rows []auditedRow
	for _, v := range values {
		rows = append(rows, auditedRow{v[0], v[1], v[2], v[3], v[4]})
	}
	return rows
}

// auditedChange is a request that changes something, and the rows it owes.
type auditedChange struct {
	name string
	do   func() response
	want []auditedRow
}

// auditedChanges lists every operation that changes something. They are done in this order.
func auditedChanges(s *system, admin, manager, user account) []auditedChange {
	path, nobody := "/users/"+user.id.String(), ""
	as := func(token, method, path string, body any) func() response {
		return func() response { return s.call(method, path, token, body, "If-Match", "*") }
	}
	row := func(action string, actor, subject account, change ...string) []auditedRow {
		r := auditedRow{action: action, actor: actor.id.String(), subject: subject.id.String()}
		if len(change) > 0 {
			r.old, r.new = change[0], change[1]
		}
		return []auditedRow{r}
	}
	me := user.id.String()
	return []auditedChange{
		{"profile", as(user.token, http.MethodPatch, "/users/me", map[string]any{"bio": "CANARY", "first_name": nil}), row("profile_updated", user, user, "", `{"fields": ["bio", "first_name"]}`)},
		{"edit", as(manager.token, http.MethodPatch, path, map[string]any{"last_name": "CANARY"}), row("user_updated", manager, user, "", `{"fields": ["last_name"]}`)},
		{"upgrade", as(manager.token, http.MethodPost, path+"/upgrade", nil), row("user_upgraded", manager, user, `{"is_professional": false}`, `{"is_professional": true}`)},
		{"upgrade again", as(manager.token, http.MethodPost, path+"/upgrade", nil), nil},
		{"downgrade", as(manager.token, http.MethodPost, path+"/downgrade", nil), row("user_downgraded", manager, user, `{"is_professional": true}`, `{"is_professional": false}`)},
		{"role", as(admin.token, http.MethodPut, path+"/role", map[string]any{"role": "MANAGER"}), row("role_changed", admin, user, `{"role": "AUTHENTICATED"}`, `{"role": "MANAGER"}`)},
		{"role again", as(admin.token, http.MethodPut, path+"/role", map[string]any{"role": "MANAGER"}), nil},
		{"role back", as(admin.token, http.MethodPut, path+"/role", map[string]any{"role": "AUTHENTICATED"}), row("role_changed", admin, user, `{"role": "MANAGER"}`, `{"role": "AUTHENTICATED"}`)},
		{"lock", as(manager.token, http.MethodPost, path+"/lock", map[string]any{"reason": "spam"}), row("user_locked", manager, user, `{"is_locked": false, "lock_reason": null}`, `{"is_locked": true, "lock_reason": "spam"}`)},
		{"refused, locked", func() response { return signInAttempt(s, user.email, goodPassword) }, []auditedRow{{"login_refused", nobody, me, "", `{"code": "account_locked"}`}}},
		{"unlock", as(manager.token, http.MethodPost, path+"/unlock", nil), row("user_unlocked", manager, user, `{"is_locked": true, "lock_reason": "spam"}`, `{"is_locked": false}`)},
		{"sign-in", func() response { return signInAttempt(s, user.email, goodPassword) }, []auditedRow{{"login_succeeded", nobody, me, "", ""}}},
		{"refused", func() response { return signInAttempt(s, user.email, "wrong") }, []auditedRow{{"login_refused", nobody, me, "", ""}}},
		{"refused, unknown", func() response { return signInAttempt(s, "nobody@example.com", "wrong") }, []auditedRow{{"login_refused", nobody, nobody, "", ""}}},
		{"delete", as(manager.token, http.MethodDelete, path, nil), row("user_deleted", manager, user)},
		{"restore", as(manager.token, http.MethodPost, path+"/restore", nil), row("user_restored", manager, user)},
		{"e-mail corrected", as(manager.token, http.MethodPatch, path, map[string]any{"email": "zoe.canary@example.org"}), []auditedRow{
			{"verification_sent", manager.id.String(), me, "", ""},
			{"email_corrected", manager.id.String(), me, `{"email": "` + user.email[:1] + `***@example.com"}`, `{"email": "z***@example.org"}`},
			{"user_updated", manager.id.String(), me, "", `{"fields": []}`},
		}},
	}
}

// H-12
func TestEveryChangeIsAudited(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin, manager, user := s.signedIn(query.UserRoleADMIN), s.signedIn(query.UserRoleMANAGER), s.signedIn(query.UserRoleAUTHENTICATED)
	for _, change := range auditedChanges(s, admin, manager, user) {
		got := change.do()
		if rows := auditOf(s, got); !reflect.DeepEqual(rows, change.want) {
			t.Errorf("%s answered %d: got %+v\nwant %+v", change.name, got.status, rows, change.want)
		}
	}
}

// H-12: the accounts that are made on the way are the subjects.
func TestEveryNewAccountIsAudited(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	subject := func(email string) (id string) {
		s.scan("SELECT id::text FROM users WHERE email = $1", []any{email}, &id)
		return id
	}
	expect := func(got response, want ...auditedRow) {
		t.Helper()
		if rows := auditOf(s, got); !reflect.DeepEqual(rows, want) {
			t.Errorf("answered %d: got %+v\nwant %+v", got.status, rows, want)
		}
	}
	got, email := registerWith(s, goodPassword)
	id := subject(email)
	expect(got, auditedRow{"user_registered", "", id, "", ""})
	expect(s.call(http.MethodPost, "/verify-email/resend", "", map[string]any{"email": email}), auditedRow{"verification_sent", "", id, "", ""})
	expect(s.call(http.MethodPost, "/verify-email/resend", "", map[string]any{"email": email})) // one a minute: nothing was sent
	s.idle()
	token := linkToken(t, s.mailTo(email, "confirm"), "/verify-email/")
	expect(s.call(http.MethodPost, "/verify-email", "", map[string]any{"token": token}), auditedRow{"email_verified", "", id, "", `{"role": "AUTHENTICATED"}`})
	expect(s.call(http.MethodPost, "/verify-email", "", map[string]any{"token": token})) // repeated: nothing changed

	email = uniqueEmail()
	got = s.call(http.MethodPost, "/users", admin.token, map[string]any{"email": email, "role": "MANAGER"})
	id = subject(email)
	expect(got, auditedRow{"user_created", admin.id.String(), id, "", `{"role": "MANAGER"}`})
	got = s.call(http.MethodPost, "/users/"+id+"/invitation", admin.token, nil)
	expect(got, auditedRow{"invitation_sent", admin.id.String(), id, "", ""})
	s.idle()
	token = linkToken(t, s.mailTo(email, "invit"), "/invitations/")
	got = s.call(http.MethodPost, "/invitations/accept", "", map[string]any{"token": token, "password": goodPassword})
	expect(got, auditedRow{"invitation_accepted", "", id, "", `{"role": "MANAGER"}`})
}

// H-12: whoever tries what they may not leaves a trace, too.
func TestDeniedAttemptsAreAudited(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin, manager, user := s.signedIn(query.UserRoleADMIN), s.signedIn(query.UserRoleMANAGER), s.signedIn(query.UserRoleAUTHENTICATED)
	path := "/users/" + admin.id.String()
	for _, c := range []struct {
		name, token, method, path string
		body                      any
		subject                   string
		operation                 string
		actor                     account
	}{
		{"no scope", user.token, http.MethodGet, "/users", nil, "", "listUsers", user},
		{"no scope for someone", user.token, http.MethodGet, path, nil, admin.id.String(), "getUser", user},
		{"no scope for nobody", user.token, http.MethodGet, "/users/" + uuid.Nil.String(), nil, uuid.Nil.String(), "getUser", user},
		{"a rank too low", manager.token, http.MethodPost, path + "/lock", map[string]any{"reason": "x"}, admin.id.String(), "lockUser", manager},
		{"a rank too low to delete", manager.token, http.MethodDelete, path, nil, admin.id.String(), "deleteUser", manager},
		{"a field beyond the role", manager.token, http.MethodPost, "/users", map[string]any{"email": uniqueEmail(), "role": "ADMIN"}, "", "createUser", manager},
	} {
		got := s.call(c.method, c.path, c.token, c.body, "If-Match", "*")
		want := []auditedRow{{"permission_denied", c.actor.id.String(), c.subject, "", `{"operation": "` + c.operation + `"}`}}
		if rows := auditOf(s, got); got.status != http.StatusForbidden || !reflect.DeepEqual(rows, want) {
			t.Errorf("%s answered %d: got %+v\nwant %+v", c.name, got.status, rows, want)
		}
	}
}

// A refusal stands even when it cannot be recorded.
func TestDeniedAttemptsStayDeniedWithoutAnAudit(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	user := s.signedIn(query.UserRoleAUTHENTICATED)
	s.exec("ALTER TABLE audit RENAME TO gone")
	if got := s.call(http.MethodGet, "/users", user.token, nil); got.status != http.StatusForbidden {
		t.Errorf("got %d %s, want 403", got.status, got.body)
	}
	if !strings.Contains(s.logs.String(), "audit of a refused permission") {
		t.Error("the log does not say that the audit is broken")
	}
}

// H-12: without its audit row a change does not happen.
func TestChangesAndTheirAuditAreOneTransaction(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin, manager, user := s.signedIn(query.UserRoleADMIN), s.signedIn(query.UserRoleMANAGER), s.signedIn(query.UserRoleAUTHENTICATED)
	invited := uniqueEmail()
	s.call(http.MethodPost, "/users", admin.token, map[string]any{"email": invited})
	invitation := linkToken(t, s.mailTo(invited, "invit"), "/invitations/")
	_, registered := registerWith(s, goodPassword)
	verification := linkToken(t, s.mailTo(registered, "confirm"), "/verify-email/")
	changes := append(auditedChanges(s, admin, manager, user),
		auditedChange{name: "register", do: func() response { got, _ := registerWith(s, goodPassword); return got }},
		auditedChange{name: "invite", do: func() response {
			return s.call(http.MethodPost, "/users", admin.token, map[string]any{"email": uniqueEmail()})
		}},
		auditedChange{name: "resend", do: func() response {
			return s.call(http.MethodPost, "/verify-email/resend", "", map[string]any{"email": registered})
		}},
		auditedChange{name: "verify", do: func() response {
			return s.call(http.MethodPost, "/verify-email", "", map[string]any{"token": verification})
		}},
		auditedChange{name: "accept", do: func() response {
			return s.call(http.MethodPost, "/invitations/accept", "", map[string]any{"token": invitation, "password": goodPassword})
		}},
	)
	// The same changes, each from the same state, with an audit that takes no rows.
	for _, change := range changes {
		if change.want == nil && strings.HasSuffix(change.name, "again") {
			continue // changes nothing, and so owes nothing
		}
		s.idle()
		auditPrepare(s, change.name, user)
		before := auditChecksums(s)
		s.exec("ALTER TABLE audit ADD CONSTRAINT no_more CHECK (false) NOT VALID")
		got := change.do()
		s.exec("ALTER TABLE audit DROP CONSTRAINT no_more")
		if after := auditChecksums(s); got.status != http.StatusInternalServerError || after != before {
			t.Errorf("%s answered %d without its audit row, want 500 and nothing changed:\n%s\n%s", change.name, got.status, before, after)
		}
	}
}

// auditPrepare brings the user into the state that a change starts from.
func auditPrepare(s *system, change string, user account) {
	s.t.Helper()
	isLocked, isProfessional, isDeleted := change == "unlock" || change == "refused, locked", change == "downgrade", change == "restore"
	role := query.UserRoleAUTHENTICATED
	if change == "role back" {
		role = query.UserRoleMANAGER
	}
	s.exec(`UPDATE users SET is_locked = $2, is_professional = $3, deleted_at = CASE WHEN $4 THEN now() END, role = $5, role_when_verified = $5 WHERE id = $1`,
		user.id, isLocked, isProfessional, isDeleted, role)
	s.exec("DELETE FROM rate_counters")
	s.exec("DELETE FROM login_failures")
}

// auditChecksums is the state of everything that a change may touch. Counters survive a refusal on purpose.
func auditChecksums(s *system) string {
	s.t.Helper()
	var sums []string
	for _, table := range []string{"users", "passwords", "sessions", "login_facts", "one_time_tokens", "mails", "audit"} {
		var sum string
		s.scan(fmt.Sprintf("SELECT coalesce(md5(string_agg(t::text, '' ORDER BY t::text)), '') FROM %s AS t", table), nil, &sum)
		sums = append(sums, table+" "+sum)
	}
	return strings.Join(sums, ", ") + fmt.Sprint(", jobs ", s.count("SELECT count(*) FROM river_job WHERE kind <> 'clean_up'"))
}

// H-13
func TestTheAuditIsAppendOnly(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.account(verifiedUser)
	before := s.count("SELECT count(*) FROM audit")
	for _, statement := range []string{
		"UPDATE audit SET action = 'login_succeeded'", "UPDATE audit SET at = now()", "DELETE FROM audit", "TRUNCATE audit", "TRUNCATE audit, users CASCADE",
		"INSERT INTO audit (id, action) SELECT id, action FROM audit LIMIT 1 ON CONFLICT (id) DO UPDATE SET action = 'login_refused'",
		"WITH gone AS (DELETE FROM audit RETURNING *) SELECT * FROM gone",
	} {
		if _, err := s.pool.Exec(t.Context(), statement); err == nil || !strings.Contains(err.Error(), "audit rows are never changed") {
			t.Errorf("%s: got %v, want a refusal", statement, err)
		}
	}
	if got := s.count("SELECT count(*) FROM audit"); got != before || before == 0 {
		t.Errorf("got %d rows, want %d", got, before)
	}
	// Rows outlive the account they speak of.
	s.exec("DELETE FROM users")
	if got := s.count("SELECT count(*) FROM audit WHERE subject_id IS NOT NULL"); got != before {
		t.Errorf("after the account is erased: got %d rows, want %d", got, before)
	}
}

// H-10: who people are is not the audit's business.
func TestTheAuditHoldsNothingPersonal(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin, manager, user := s.signedIn(query.UserRoleADMIN), s.signedIn(query.UserRoleMANAGER), s.signedIn(query.UserRoleAUTHENTICATED)
	for _, change := range auditedChanges(s, admin, manager, user) {
		change.do()
	}
	s.account(server.NewAccount{Email: "canary@example.com", Nickname: "canary", FirstName: "Canary", Bio: "Canary", Role: query.UserRoleAUTHENTICATED})
	signInAttempt(s, "canary@example.com", goodPassword, "User-Agent", "canary")
	for _, personal := range []string{"canary", user.email, user.nickname, user.token, goodPassword, "argon2", admin.token} {
		if got := s.count("SELECT count(*) FROM audit AS a WHERE a::text ILIKE '%' || $1 || '%'", personal); got != 0 {
			t.Errorf("%.20q is in %d rows of the audit", personal, got)
		}
	}
}
