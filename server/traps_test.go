package server_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

// trap is something that the system which this one replaces did, said as what holds here, and a short scenario
// that would have failed there. Other tests go deeper; together these are the checklist.
type trap struct {
	name string
	try  func(t *testing.T, s *system)
}

func TestTraps(t *testing.T) {
	t.Parallel()
	shared := newSystem(t, trapOptions)
	for _, list := range [][]trap{
		staffTraps(), tokenTraps(), privacyTraps(), registrationTraps(), loginTraps(), answerTraps(), listTraps(), mailTraps(),
	} {
		for _, trap := range list {
			t.Run(trap.name, func(t *testing.T) {
				t.Parallel()
				trap.try(t, trapSystem(t, shared))
			})
		}
	}
}

// trapOptions lets a scenario be many clients, and one origin read.
func trapOptions(o *server.Options) {
	behindLoopbackProxy(o)
	o.CORSOrigins = []string{"https://app.example.com"}
}

// trapSystem is the shared system, which reports to the scenario's own test. Scenarios that count everything
// or need other options start one of their own.
func trapSystem(t *testing.T, shared *system) *system {
	t.Helper()
	own := *shared
	own.t = t
	client := *shared.http
	client.Transport = &validatingTransport{t: t}
	own.http = &client
	return &own
}

// trapStaff are one of each rank below the administrator, and the administrator.
func trapStaff(s *system) (user, manager, admin account) {
	s.t.Helper()
	return s.signedIn(query.UserRoleAUTHENTICATED), s.signedIn(query.UserRoleMANAGER), s.signedIn(query.UserRoleADMIN)
}

// trapState is all that is stored about an account except who was refused what, to prove that a refusal changed nothing.
func trapState(s *system, a account) string {
	s.t.Helper()
	var state string
	s.scan(`SELECT row_to_json(u)::text || p.hash
			|| (SELECT count(*) FROM mails WHERE user_id = u.id)::text || '/'
			|| (SELECT count(*) FROM one_time_tokens WHERE user_id = u.id)::text || '/'
			|| (SELECT count(*) FROM sessions WHERE user_id = u.id AND ended_at IS NULL)::text || '/'
			|| (SELECT count(*) FROM audit WHERE subject_id = u.id AND action NOT IN ('login_succeeded', 'login_refused', 'permission_denied'))::text
		FROM users AS u JOIN passwords AS p ON p.user_id = u.id WHERE u.id = $1`, []any{a.id}, &state)
	return state
}

// trapUntouched runs do and fails when it changed anything about the account.
func trapUntouched(s *system, a account, do func()) {
	s.t.Helper()
	before := trapState(s, a)
	do()
	if after := trapState(s, a); after != before {
		s.t.Errorf("stored\n%s\nwant as before\n%s", after, before)
	}
}

// trapMails waits until every mail of the account is settled and returns their kinds, oldest first.
func trapMails(s *system, id uuid.UUID) []string {
	s.t.Helper()
	s.eventually("the mails to be settled", func() bool {
		return s.count("SELECT count(*) FROM mails WHERE user_id = $1 AND state IN ('queued', 'retrying')", id) == 0
	})
	var kinds []string
	s.scan("SELECT coalesce(array_agg(kind::text ORDER BY id), '{}') FROM mails WHERE user_id = $1 AND state = 'sent'", []any{id}, &kinds)
	return kinds
}

// trapRegister opens an account with the fields given, the password being goodPassword unless they say otherwise.
func trapRegister(s *system, fields map[string]any) account {
	s.t.Helper()
	var profile api.OwnProfile
	trapJSON(s, s.call(http.MethodPost, "/register", "", trapRegistration(fields)), http.StatusCreated, &profile)
	return account{id: profile.ID, email: profile.Email, nickname: profile.Nickname}
}

func trapRegistration(fields map[string]any) map[string]any {
	body := map[string]any{"email": uniqueEmail(), "password": goodPassword}
	maps.Copy(body, fields)
	return body
}

// trapLink waits for the account's verification mail and returns its token.
func trapLink(s *system, a account) string {
	s.t.Helper()
	return linkToken(s.t, s.mailTo(a.email, "confirm"), "/verify-email/")
}

func trapVerify(s *system, token string) response {
	s.t.Helper()
	return s.call(http.MethodPost, "/verify-email", "", map[string]any{"token": token})
}

// trapJSON decodes an answer that has to have this status.
func trapJSON(s *system, r response, status int, into any) {
	s.t.Helper()
	if r.status != status {
		s.t.Fatalf("got %d %s, want %d", r.status, r.body, status)
	}
	if err := json.Unmarshal(r.body, into); err != nil {
		s.t.Fatal(err)
	}
}

// trapStatus asserts the status only.
func trapStatus(s *system, what string, r response, status int) {
	s.t.Helper()
	if r.status != status {
		s.t.Errorf("%s: got %d %s, want %d", what, r.status, r.body, status)
	}
}

// trapFields asserts a 422 that names exactly these fields, each by these codes.
func trapFields(s *system, r response, want map[string][]api.FieldCode) {
	s.t.Helper()
	got := fieldCodes(r.problem(s.t, api.ProblemCodeValidationFailed))
	for _, codes := range got {
		slices.Sort(codes)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) { // fmt sorts the keys of maps
		s.t.Errorf("got %v, want %v", got, want)
	}
}

// trapUser reads an account as staff.
func trapUser(s *system, staff account, id uuid.UUID) api.User {
	s.t.Helper()
	var user api.User
	trapJSON(s, s.call(http.MethodGet, "/users/"+id.String(), staff.token, nil), http.StatusOK, &user)
	return user
}

// trapAddress is a client's address that no other scenario uses, so that no limit is shared.
func trapAddress() string {
	return fmt.Sprintf("10.%d.%d.%d", rand.IntN(256), rand.IntN(256), rand.IntN(256))
}

func trapPath(a account, action string) string { return "/users/" + a.id.String() + action }

// trapRels are the links' relations, sorted.
func trapRels(links []api.Link) string {
	rels := make([]string, len(links))
	for i, link := range links {
		rels[i] = string(link.Rel)
	}
	slices.Sort(rels)
	return strings.Join(rels, " ")
}
