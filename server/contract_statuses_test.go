package server_test

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"

	"usermanager/db/dbtest"
	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

// contractProvocation is a request that has to be refused with a code.
type contractProvocation struct {
	what    string
	request contractRequest
	chunked bool
	code    api.ProblemCode
}

// provocations are requests of an operation that earn a generic status, or none when its cause is not generic.
func (w *contractWorld) provocations(op contractOperation, status int) []contractProvocation {
	r := w.request(op)
	hasBody, isList := op.RequestBody != nil, op.OperationID == "listUsers"
	isJSON := hasBody && r.header.Get("Content-Type") == "application/json"
	switch {
	case status == 400 && isJSON:
		return []contractProvocation{{"half a document", r.raw(`{"a":`), false, api.ProblemCodeMalformedRequest}}
	case status == 400 && hasBody:
		return []contractProvocation{{"a broken escape", r.raw(`username=%zz`), false, api.ProblemCodeMalformedRequest}}
	case status == 400 && isList:
		r.path += "?cursor=AQ"
		return []contractProvocation{{"a made-up cursor", r, false, api.ProblemCodeInvalidCursor}}
	case status == 401 && !op.isPublic():
		none, bad := r, r
		none.token, bad.token = "", "bad"
		return []contractProvocation{
			{"no token", none, false, api.ProblemCodeAuthenticationRequired}, {"a bad token", bad, false, api.ProblemCodeInvalidAccessToken},
		}
	case status == 403 && !op.isPublic():
		return w.lackingScope(r)
	case status == 404 && strings.Contains(op.path, "{session_id}"):
		return append(w.wrongIDs(r, w.session), w.wrongIDs(r, w.target.id.String())...)
	case status == 404 && strings.Contains(op.path, "{user_id}"):
		return w.wrongIDs(r, w.target.id.String())
	case status == 413:
		return []contractProvocation{
			{"a large body", r.raw(strings.Repeat("a", 64<<10+1)), false, api.ProblemCodePayloadTooLarge},
			{"a large body of unknown length", r.raw(strings.Repeat("a", 64<<10+1)), true, api.ProblemCodePayloadTooLarge},
		}
	case status == 414:
		r.path += "?x=" + strings.Repeat("a", 8<<10)
		return []contractProvocation{{"a long address", r, false, api.ProblemCodeURITooLong}}
	case status == 415:
		return []contractProvocation{{"another media type", r.set("Content-Type", "text/plain"), false, api.ProblemCodeUnsupportedMediaType}}
	case status == 422 && hasBody:
		return []contractProvocation{{"an unknown field", r.with("is_admin", "yes"), false, api.ProblemCodeValidationFailed}}
	case status == 422 && isList:
		r.path += "?sort=hash"
		return []contractProvocation{{"an unknown parameter", r, false, api.ProblemCodeValidationFailed}}
	case status == 422 && op.OperationID == "deleteUser":
		return []contractProvocation{{"a long header", r.set("If-Match", strings.Repeat("1", 101)), false, api.ProblemCodeValidationFailed}}
	case status == 422 && op.OperationID == "verifyEmailLink":
		return []contractProvocation{{"nobody's token", r, false, api.ProblemCodeTokenInvalid}}
	}
	return nil
}

func (w *contractWorld) lackingScope(r contractRequest) []contractProvocation {
	for _, role := range []query.UserRole{query.UserRoleAUTHENTICATED, query.UserRoleMANAGER} {
		if missingScopes(role, r.op) != nil {
			r.token = w.callers[role].token
			return []contractProvocation{{"the role " + string(role), r, false, api.ProblemCodeMissingPermission}}
		}
	}
	return nil
}

// wrongIDs are requests whose path has something else in the place of an id.
func (w *contractWorld) wrongIDs(r contractRequest, id string) []contractProvocation {
	if !strings.Contains(r.path, id) {
		return nil
	}
	spellings := []string{"1", "me2", "null", strings.ToUpper(id), "%7B" + id + "%7D", "urn:uuid:" + id, strings.ReplaceAll(id, "-", ""), id + "%00", id + "%0A", "%20" + id}
	if !r.op.isPublic() { // a token decides there
		spellings = append(spellings, uuid.NewString())
	}
	var all []contractProvocation
	for _, spelling := range spellings {
		wrong := r
		wrong.path = strings.Replace(r.path, id, spelling, 1)
		all = append(all, contractProvocation{"the id " + spelling, wrong, false, api.ProblemCodeNotFound})
	}
	return all
}

func TestEveryDeclaredGenericStatusIsAnswered(t *testing.T) { // I-01, I-04, I-06, Z-11
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	generic := []string{"400", "401", "403", "404", "413", "414", "415", "422"}
	// What earns these is no generic mistake: it is tested beside its operation.
	elsewhere := []string{
		"showDocs 404", "login 401", "login 403", "register 403", "createSession 401", "createSession 403", "refreshSession 401",
		"refreshSession 403", "logout 403", "changeOwnPassword 403", "changeOwnEmail 403", "scheduleOwnDeletion 403",
	}
	denied := w.count("SELECT count(*) FROM audit WHERE action = 'permission_denied'")
	w.storesNothingButAudit(func() {
		for _, op := range contractOperations() {
			for status := range op.Responses.Map() {
				if !slices.Contains(generic, status) || slices.Contains(elsewhere, op.OperationID+" "+status) {
					continue
				}
				number, err := strconv.Atoi(status)
				if err != nil {
					t.Fatal(err)
				}
				provocations := w.provocations(op, number)
				if len(provocations) == 0 {
					t.Errorf("%s declares %s, but nothing here earns it", op.OperationID, status)
				}
				for _, p := range provocations {
					var got response
					if p.chunked {
						got = w.sendBody(p.request, io.MultiReader(strings.NewReader(string(p.request.body))))
					} else {
						got = w.send(p.request)
					}
					w.refused(op.OperationID+" with "+p.what, got, number, p.code)
					if p.code == api.ProblemCodeMissingPermission {
						denied++
					}
				}
			}
		}
	})
	if got := w.count("SELECT count(*) FROM audit WHERE action = 'permission_denied'"); got != denied {
		t.Errorf("got %d denials in the audit, want %d", got, denied)
	}
}

// storesNothingButAudit leaves the audit out: it records refused permissions.
func (w *contractWorld) storesNothingButAudit(do func()) {
	w.t.Helper()
	withoutAudit := func() string { before, _, _ := strings.Cut(w.stored(), ", audit"); return before }
	before := withoutAudit()
	do()
	if after := withoutAudit(); after != before {
		w.t.Errorf("something was stored: got\n%s, want\n%s", after, before)
	}
}

// contractNeeds is a table that each operation needs beyond finding out who is calling.
var contractNeeds = map[string]string{
	"register": "audit", "checkNickname": "users", "verifyEmail": "rate_counters", "resendVerification": "rate_counters",
	"verifyEmailLink": "rate_counters", "login": "login_failures", "acceptInvitation": "rate_counters",
	"getOwnProfile": "sessions", "updateOwnProfile": "audit", "listUsers": "login_failures", "createUser": "mails", "getUser": "mails",
	"updateUser": "audit", "deleteUser": "audit", "restoreUser": "login_failures", "upgradeUser": "mails", "downgradeUser": "mails",
	"createSession": "login_failures", "refreshSession": "sessions", "logout": "sessions", "introspectToken": "sessions",
	"listOwnSessions": "sessions", "endOwnSession": "sessions", "endOtherSessions": "sessions",
	"listUserSessions": "users", "endUserSession": "users", "endUserSessions": "users",
	"setUserRole": "audit", "lockUser": "mails", "unlockUser": "login_failures", "resendInvitation": "one_time_tokens",
	"scheduleOwnDeletion": "login_failures", "cancelOwnDeletion": "sessions", "cancelDeletion": "rate_counters", "exportOwnData": "mails",
	"forgotPassword": "audit", "resetPassword": "rate_counters", "changeOwnPassword": "login_failures", "changeOwnEmail": "login_failures",
	"confirmEmailChange": "rate_counters", "revokeEmailChange": "rate_counters",
	"sendVerificationMail": "one_time_tokens", "sendPasswordResetMail": "one_time_tokens", "clearLoginWaits": "login_failures",
}

func TestAnUnexpectedDatabaseErrorIsA500ThatSaysNothing(t *testing.T) {
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	w.idle()
	breakIt := func(op contractOperation, table string) {
		w.exec("ALTER TABLE " + table + " RENAME TO " + table + "_hidden")
		got := w.send(w.request(op))
		w.exec("ALTER TABLE " + table + "_hidden RENAME TO " + table)
		p := w.refused(op.OperationID+" without "+table, got, http.StatusInternalServerError, api.ProblemCodeInternalError)
		if strings.Contains(string(got.body), table) {
			t.Errorf("%s: the answer names table %s: %s", op.OperationID, table, got.body)
		}
		if !strings.Contains(w.logs.String(), `"msg":"request failed","request_id":"`+p.RequestID+`"`) {
			t.Errorf("%s: the log does not say what went wrong with request %s", op.OperationID, p.RequestID)
		}
	}
	w.storesNothing(func() {
		for _, op := range contractOperations() {
			if op.Responses.Value("500") == nil {
				continue
			}
			table, isKnown := contractNeeds[op.OperationID]
			if !isKnown {
				t.Errorf("%s declares 500, but no table is known that it needs", op.OperationID)
				continue
			}
			breakIt(op, table)
			if !op.isPublic() && table != "sessions" {
				breakIt(op, "sessions")
			}
		}
	})
	if got := w.call(http.MethodGet, "/users/me", w.callers[query.UserRoleADMIN].token, nil); got.status != http.StatusOK {
		t.Errorf("after the tables are back: got status %d, want 200", got.status)
	}
}

func TestAnUnreachableDatabaseIsA503ThatSaysWhenToTryAgain(t *testing.T) { // F-10, F-32
	t.Parallel()
	proxy, pool := newContractProxy(t)
	w := newContractWorld(t, newSystemOn(t, pool, contractProxies))
	cleanUp(w.system) // the jobs have started: they need the database for that
	w.idle()
	proxy.cut()
	for _, op := range contractOperations() {
		got := w.send(w.request(op))
		if op.Responses.Value("503") == nil {
			if got.status != http.StatusOK && got.status != http.StatusFound {
				t.Errorf("%s needs no database: got %d %s, want a success", op.OperationID, got.status, got.body)
			}
			continue
		}
		w.refused(op.OperationID, got, http.StatusServiceUnavailable, api.ProblemCodeDatabaseUnavailable)
		if seconds, err := strconv.Atoi(got.header.Get("Retry-After")); err != nil || seconds < 1 {
			t.Errorf("%s: got Retry-After %q, want seconds", op.OperationID, got.header.Get("Retry-After"))
		}
	}
	proxy.restore()
	w.eventually("the server to be ready again", func() bool { return w.call(http.MethodGet, "/readyz", "", nil).status == http.StatusOK })
	if got := w.call(http.MethodGet, "/users/me", w.callers[query.UserRoleADMIN].token, nil); got.status != http.StatusOK {
		t.Errorf("with the database back: got status %d, want 200", got.status)
	}
}

func TestReadinessSaysThatTheSchemaIsOutdated(t *testing.T) { // F-32
	t.Parallel()
	s := newSystem(t)
	s.exec("DELETE FROM goose_db_version WHERE version_id = (SELECT max(version_id) FROM goose_db_version)")
	got := s.call(http.MethodGet, "/readyz", "", nil)
	got.problem(t, api.ProblemCodeSchemaOutdated)
	if got.status != http.StatusServiceUnavailable || strings.Contains(string(got.body), "goose") {
		t.Errorf("got %d %s, want 503 without details", got.status, got.body)
	}
	if got := s.call(http.MethodGet, "/livez", "", nil); got.status != http.StatusOK {
		t.Errorf("got liveness %d, want 200: the process is alive", got.status)
	}
}

func TestTheDocumentationCanBeSwitchedOff(t *testing.T) { // H-06
	t.Parallel()
	s := newSystem(t, func(o *server.Options) { o.Docs = false })
	for _, path := range []string{"/docs", "/docs/", "/docs/swagger-ui.css", "/docs/index.html", "/dev/inbox"} {
		got := s.call(http.MethodGet, path, "", nil)
		got.problem(t, api.ProblemCodeNotFound)
		if got.status != http.StatusNotFound {
			t.Errorf("%s: got status %d, want 404", path, got.status)
		}
	}
	if got := s.call(http.MethodGet, "/openapi.yaml", "", nil); got.status != http.StatusOK {
		t.Errorf("got status %d for the document itself, want 200", got.status)
	}
}

func TestEveryReadIsAnswered(t *testing.T) {
	t.Parallel()
	w := newContractWorld(t, newSystemOn(t, dbtest.Pool(t), contractProxies))
	for _, op := range contractOperations() {
		if op.method == http.MethodGet {
			if got := w.send(w.request(op)); got.status != http.StatusOK && got.status != http.StatusFound {
				t.Errorf("%s: got %d %s, want 200 or where it is", op.OperationID, got.status, got.body)
			}
		}
	}
	if got := w.call(http.MethodGet, "/docs/swagger-ui.css", "", nil); got.status != http.StatusOK || got.header.Get("Cache-Control") == "no-store" {
		t.Errorf("got status %d and Cache-Control %q for a file of the docs, want one that is cached", got.status, got.header.Get("Cache-Control"))
	}
}

func TestAConcealingServerAnswersARegistrationWith202(t *testing.T) {
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies, func(o *server.Options) { o.RegistrationConceal = true }))
	op := contractOperationOf(t, "register")
	known, unknown := w.send(w.request(op).with("email", w.target.email).with("nickname", "someone-new")), w.send(w.request(op))
	if unknown.status != http.StatusAccepted || known.status != unknown.status || !bytes.Equal(known.body, unknown.body) {
		t.Errorf("got %d %s for a known and %d %s for an unknown address, want 202 alike", known.status, known.body, unknown.status, unknown.body)
	}
}

func contractOperationOf(t testing.TB, id string) contractOperation {
	t.Helper()
	for _, op := range contractOperations() {
		if op.OperationID == id {
			return op
		}
	}
	t.Fatalf("the contract has no operation %s", id)
	return contractOperation{}
}
