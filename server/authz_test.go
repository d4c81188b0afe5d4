package server_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

// authzCell is one line of testdata/authz.csv.
type authzCell struct {
	operation, caller, target string
	status                    int
	code                      api.ProblemCode // "-" for a success
}

func (c authzCell) String() string {
	return fmt.Sprintf("%s by %s on %s", c.operation, c.caller, c.target)
}

var (
	authzCallers = []string{"none", "bad_token", "unverified", "locked", "deleted", "AUTHENTICATED", "demoted", "MANAGER", "ADMIN"}
	authzTargets = []string{"self", "AUTHENTICATED", "MANAGER", "ADMIN", "last_admin", "missing", "malformed"}
)

func authzOracle(t *testing.T) []authzCell {
	t.Helper()
	file, err := os.Open("testdata/authz.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	reader := csv.NewReader(file)
	reader.Comment = '#'
	lines, err := reader.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if header := strings.Join(lines[0], ","); header != "operation,caller,target,status,code" {
		t.Fatalf("got header %q", header)
	}
	cells := make([]authzCell, 0, len(lines))
	for _, line := range lines[1:] {
		status, err := strconv.Atoi(line[3])
		if err != nil {
			t.Fatal(err)
		}
		cells = append(cells, authzCell{line[0], line[1], line[2], status, api.ProblemCode(line[4])})
	}
	return cells
}

// authzOperation is how a valid request for an operation looks.
type authzOperation struct {
	method, path string
	hasTarget    bool
	needsBody    bool
}

func authzOperations() map[string]authzOperation {
	operations := map[string]authzOperation{}
	for path, item := range closedSpec().Paths.Map() {
		for method, op := range item.Operations() {
			operations[op.OperationID] = authzOperation{method, path, strings.Contains(path, "{user_id}"), op.RequestBody != nil}
		}
	}
	return operations
}

func TestTheAuthorizationOracleHasExactlyTheCellsOfTheContract(t *testing.T) {
	t.Parallel()
	want := map[string]bool{}
	for id, op := range authzOperations() {
		for _, caller := range authzCallers {
			targets := []string{"-"}
			if op.hasTarget {
				targets = authzTargets
			}
			for _, target := range targets {
				isNobody := caller == "none" || caller == "bad_token"
				if target != "self" || !isNobody {
					want[authzCell{operation: id, caller: caller, target: target}.String()] = true
				}
			}
		}
	}
	for _, cell := range authzOracle(t) {
		if !want[cell.String()] {
			t.Errorf("authz.csv: %s is twice there or not in openapi.yaml", cell)
		}
		delete(want, cell.String())
	}
	for cell := range want {
		t.Errorf("authz.csv has no line for %s", cell)
	}
}

// Z-02: the full matrix, with nothing changed and nothing told by a refusal. Z-08: tokens from before a lock, a
// deletion, a correction of the address or a demotion.
func TestEveryCallerMayDoWhatTheOracleSaysAndNothingElse(t *testing.T) {
	t.Parallel()
	f := newAuthzFixture(t)
	operations := authzOperations()
	cells := authzOracle(t)
	group := func(c authzCell) string { return c.caller + " on " + c.target }
	slices.SortStableFunc(cells, func(a, b authzCell) int { return strings.Compare(group(a), group(b)) })
	previous, before := "", ""
	for _, cell := range cells {
		if group(cell) != previous {
			previous, before = group(cell), f.reset(cell)
		}
		op, ok := operations[cell.operation]
		if !ok {
			t.Errorf("authz.csv: unknown operation %s", cell.operation)
			continue
		}
		got := f.call(op, cell)
		if got.status != cell.status {
			t.Errorf("%s: got status %d, want %d\n%s", cell, got.status, cell.status, got.body)
		}
		isRefused := got.status >= 400
		if isRefused || cell.code != "-" {
			var problem api.Problem
			if err := json.Unmarshal(got.body, &problem); err != nil || problem.Code != cell.code {
				t.Errorf("%s: got %s, want code %s", cell, got.body, cell.code)
			}
		}
		if isRefused && authzTellsSomething(got.body) {
			t.Errorf("%s: the refusal tells fields of an account: %s", cell, got.body)
		}
		if !isRefused && op.method != http.MethodGet {
			before = f.reset(cell)
		} else if after := f.checksum(); after != before {
			t.Errorf("%s: answered %d and changed the database", cell, got.status)
			before = f.reset(cell)
		}
	}
}

// authzTellsSomething finds the words that only accounts of the fixture hold.
func authzTellsSomething(body []byte) bool {
	for _, word := range []string{"@example.com", "Vertraulich", "fixture_"} {
		if strings.Contains(string(body), word) {
			return true
		}
	}
	return false
}

// authzFixture is one system that is put back to its beginning between the cells.
type authzFixture struct {
	*system
	accounts map[string]account // by caller, and by "target <role>"
}

func newAuthzFixture(t *testing.T) *authzFixture {
	f := &authzFixture{newSystem(t), map[string]account{}}
	add := func(name string, role query.UserRole) {
		a := f.account(server.NewAccount{
			Role: role, EmailVerified: true, Nickname: "fixture_" + strings.ReplaceAll(strings.ToLower(name), " ", "_"),
			FirstName: "Vertraulich", LastName: "Vertraulich", Bio: "Vertraulich",
		})
		a.token = f.login(a.email, goodPassword)
		f.accounts[name] = a
	}
	for _, name := range []string{"ADMIN", "unverified", "locked", "deleted", "demoted"} {
		add(name, query.UserRoleADMIN) // of the highest rank, so that the state alone refuses
	}
	add("MANAGER", query.UserRoleMANAGER)
	add("AUTHENTICATED", query.UserRoleAUTHENTICATED)
	for _, role := range []query.UserRole{query.UserRoleAUTHENTICATED, query.UserRoleMANAGER, query.UserRoleADMIN} {
		add("target "+string(role), role)
	}
	// By SQL and not by the API, which would end the sessions as well: here the account's state has to be enough.
	f.exec("UPDATE users SET email_verified = false, role = 'ANONYMOUS' WHERE id = $1", f.accounts["unverified"].id)
	f.exec("UPDATE users SET is_locked = true, lock_reason = 'Vertraulich' WHERE id = $1", f.accounts["locked"].id)
	f.exec("UPDATE users SET deleted_at = now() WHERE id = $1", f.accounts["deleted"].id)
	f.exec("UPDATE users SET role_when_verified = 'AUTHENTICATED', role = 'AUTHENTICATED' WHERE id = $1", f.accounts["demoted"].id)
	f.idle()
	f.exec(`CREATE SCHEMA fixture;
		CREATE TABLE fixture.users AS TABLE users; CREATE TABLE fixture.passwords AS TABLE passwords;
		CREATE TABLE fixture.sessions AS TABLE sessions; CREATE TABLE fixture.one_time_tokens AS TABLE one_time_tokens;
		CREATE TABLE fixture.mails AS TABLE mails`)
	return f
}

// reset brings the fixture back, makes the state that the cell's target asks for, and returns its checksum.
func (f *authzFixture) reset(cell authzCell) string {
	f.t.Helper()
	f.exec(`BEGIN; DELETE FROM users; DELETE FROM river_job; DELETE FROM rate_counters;
		INSERT INTO users SELECT * FROM fixture.users; INSERT INTO passwords SELECT * FROM fixture.passwords;
		INSERT INTO sessions SELECT * FROM fixture.sessions; INSERT INTO one_time_tokens SELECT * FROM fixture.one_time_tokens;
		INSERT INTO mails SELECT * FROM fixture.mails; COMMIT`)
	if cell.target == "last_admin" {
		other := f.accounts["ADMIN"]
		if cell.caller == "ADMIN" {
			other = f.accounts["target ADMIN"]
		}
		f.exec("UPDATE users SET is_locked = true WHERE id = $1", other.id)
		if n := f.count("SELECT count(*) FROM users WHERE role = 'ADMIN' AND NOT is_locked AND deleted_at IS NULL"); n != 1 {
			f.t.Fatalf("got %d usable administrators, want 1", n)
		}
	}
	return f.checksum()
}

func (f *authzFixture) checksum() string {
	f.t.Helper()
	var sum string
	f.scan(`SELECT md5(concat_ws('/',
		(SELECT string_agg(u::text, ',' ORDER BY u.id) FROM users AS u),
		(SELECT string_agg(p::text, ',' ORDER BY p.user_id) FROM passwords AS p),
		(SELECT string_agg(s::text, ',' ORDER BY s.id) FROM sessions AS s),
		(SELECT string_agg(o::text, ',' ORDER BY o.id) FROM one_time_tokens AS o),
		(SELECT string_agg(m::text, ',' ORDER BY m.id) FROM mails AS m)))`, nil, &sum)
	return sum
}

func (f *authzFixture) call(op authzOperation, cell authzCell) response {
	f.t.Helper()
	path := strings.NewReplacer("{user_id}", f.target(cell), "{session_id}", f.session(op, cell), "{token}", "AQIDBAGYHVx6AHAA", "{nickname}", "ada").Replace(op.path)
	header := []string{"If-Match", "*"}
	body := authzBody(cell.operation, f.accounts["target AUTHENTICATED"].email)
	if op.needsBody && body == nil {
		f.t.Fatalf("authzBody has no valid body for %s", cell.operation)
	}
	if cell.operation == "login" || cell.operation == "introspectToken" {
		header = append(header, "Content-Type", "application/x-www-form-urlencoded")
	}
	return f.system.call(op.method, path, f.token(cell.caller), body, header...)
}

// session is one that the target has, or for an operation without one the caller.
func (f *authzFixture) session(op authzOperation, cell authzCell) string {
	f.t.Helper()
	owner := f.accounts[cell.caller].id.String()
	if op.hasTarget {
		owner = f.target(cell)
	}
	var id uuid.UUID
	f.scan("SELECT coalesce((SELECT id FROM sessions WHERE user_id::text = $1 LIMIT 1), gen_random_uuid())", []any{owner}, &id)
	return id.String()
}

func (f *authzFixture) token(caller string) string {
	switch caller {
	case "none":
		return ""
	case "bad_token": // an administrator's, with another signature
		token := f.accounts["ADMIN"].token
		at := strings.LastIndexByte(token, '.') + 10
		return token[:at] + map[bool]string{true: "B", false: "A"}[token[at] == 'A'] + token[at+1:]
	}
	return f.accounts[caller].token
}

func (f *authzFixture) target(cell authzCell) string {
	switch cell.target {
	case "-":
		return ""
	case "self":
		return f.accounts[cell.caller].id.String()
	case "last_admin":
		if cell.caller == "ADMIN" {
			return f.accounts["ADMIN"].id.String()
		}
		return f.accounts["target ADMIN"].id.String()
	case "missing":
		return uuid.Must(uuid.NewV7()).String()
	case "malformed":
		return strings.ToUpper(f.accounts["target AUTHENTICATED"].id.String()) + "0"
	}
	return f.accounts["target "+cell.target].id.String()
}

// authzBody is a valid body, so that nothing but the permission decides.
func authzBody(operation, login string) any {
	switch operation {
	case "register":
		return map[string]string{"email": uniqueEmail(), "password": goodPassword}
	case "login":
		return url.Values{"username": {login}, "password": {goodPassword}}.Encode()
	case "createSession":
		return map[string]string{"identifier": login, "password": goodPassword}
	case "refreshSession":
		return map[string]string{"refresh_token": "AQIDBAGYHVx6AHAA"}
	case "logout":
		return map[string]string{}
	case "introspectToken":
		return "token=AQIDBAGYHVx6AHAA"
	case "verifyEmail":
		return map[string]string{"token": "AQIDBAGYHVx6AHAA"}
	case "acceptInvitation":
		return map[string]string{"token": "AQIDBAGYHVx6AHAA", "password": goodPassword}
	case "resendVerification":
		return map[string]string{"email": uniqueEmail()}
	case "createUser":
		return map[string]string{"email": uniqueEmail()}
	case "updateUser", "updateOwnProfile":
		return map[string]string{"bio": "Something else."}
	case "setUserRole":
		return map[string]string{"role": "MANAGER"}
	case "lockUser":
		return map[string]string{"reason": "Because."}
	}
	return nil
}
