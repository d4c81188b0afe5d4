package server_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

func TestCreateUserInvitesWhoThenSetsAPasswordAndSignsIn(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	manager := s.signedIn(query.UserRoleMANAGER)
	email := uniqueEmail()
	got := s.call(http.MethodPost, "/users", manager.token, map[string]any{
		"email": email, "nickname": "Grace-H", "first_name": "Grace", "last_name": "Hopper", "bio": "Line one\nLine two",
		"preferred_language": "en-us", "profile_picture_url": "https://pictures.example.com/grace.png",
		"linkedin_profile_url": "https://www.linkedin.com/in/grace", "github_profile_url": "https://github.com/grace",
	})
	user := staffUserOf(t, got, http.StatusCreated)
	if want := s.url + "/users/" + user.ID.String(); got.header.Get("Location") != want {
		t.Errorf("got Location %q, want %q", got.header.Get("Location"), want)
	}
	if user.Email != email || user.Nickname != "Grace-H" || user.Role != api.RoleANONYMOUS || user.EmailVerified ||
		user.RoleWhenVerified != api.GrantedRoleAUTHENTICATED || user.PreferredLanguage != "en-US" || user.LastMail.Kind != api.LastMailKindInvitation {
		t.Errorf("got %s, want an invited account with what was given", got.body)
	}
	if user.Bio.MustGet() != "Line one\nLine two" || user.GithubProfileURL.MustGet() != "https://github.com/grace" {
		t.Errorf("got %s, want the profile that was given", got.body)
	}
	token := linkToken(t, s.mailTo(email, "invit"), "/invitations/")
	accepted := s.call(http.MethodPost, "/invitations/accept", "", map[string]string{"token": token, "password": goodPassword})
	if accepted.status != http.StatusOK {
		t.Fatalf("got %s, want the invitation accepted", accepted.body)
	}
	s.login(email, goodPassword)
	after, _ := staffGet(s, manager.token, user.ID)
	if after.Role != api.RoleAUTHENTICATED || !after.EmailVerified || after.LastLoginAt.IsNull() {
		t.Errorf("got %+v, want an AUTHENTICATED account that has signed in", after)
	}
}

func TestCreateUserMakesUpWhatIsNotGiven(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	manager := s.signedIn(query.UserRoleMANAGER)
	got := s.call(http.MethodPost, "/users", manager.token, map[string]string{"email": "  Some.One@EXAMPLE.com "}, "Accept-Language", "pt-BR, en;q=0.5")
	user := staffUserOf(t, got, http.StatusCreated)
	if user.Email != "Some.One@example.com" || user.PreferredLanguage != "pt-BR" || strings.Count(user.Nickname, "_") != 2 {
		t.Errorf("got %s, want the address cleaned, the browser's language and a generated nickname", got.body)
	}
	if !user.FirstName.IsNull() || !user.Bio.IsNull() || !user.LastLoginAt.IsNull() || user.IsProfessional || user.IsLocked || user.Version != 1 {
		t.Errorf("got %s, want nothing else set", got.body)
	}
}

// Z-05: only who may give roles may do it while inviting.
func TestCreateUserGivesARoleOnlyForAdministrators(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	tokens := map[string]string{"MANAGER": s.signedIn(query.UserRoleMANAGER).token, "ADMIN": s.signedIn(query.UserRoleADMIN).token}
	for name, tc := range map[string]struct {
		caller, role string // role is JSON
		status       int
		code         api.ProblemCode
	}{
		"a manager invites a user":                 {"MANAGER", `"AUTHENTICATED"`, 201, ""},
		"a manager invites a manager":              {"MANAGER", `"MANAGER"`, 403, api.ProblemCodeMissingPermission},
		"a manager invites an admin":               {"MANAGER", `"ADMIN"`, 403, api.ProblemCodeMissingPermission},
		"a manager hides the role in an object":    {"MANAGER", `{"$ne": "ADMIN"}`, 403, api.ProblemCodeMissingPermission},
		"a manager hides the role in a list":       {"MANAGER", `["ADMIN"]`, 403, api.ProblemCodeMissingPermission},
		"a manager escapes the role":               {"MANAGER", `"\u0041DMIN"`, 403, api.ProblemCodeMissingPermission},
		"an admin invites a user":                  {"ADMIN", `"AUTHENTICATED"`, 201, ""},
		"an admin invites a manager":               {"ADMIN", `"MANAGER"`, 201, ""},
		"an admin invites an admin":                {"ADMIN", `"ADMIN"`, 201, ""},
		"ANONYMOUS is a state and no role":         {"ADMIN", `"ANONYMOUS"`, 422, api.ProblemCodeValidationFailed},
		"roles are spelled as in the contract":     {"ADMIN", `"admin"`, 422, api.ProblemCodeValidationFailed},
		"a role is a word, not a list":             {"ADMIN", `["ADMIN"]`, 422, api.ProblemCodeValidationFailed},
		"null is no role":                          {"ADMIN", `null`, 422, api.ProblemCodeValidationFailed},
		"a manager may not even ask for no role":   {"MANAGER", `null`, 403, api.ProblemCodeMissingPermission},
		"a number is no role, whoever asks for it": {"ADMIN", `3`, 422, api.ProblemCodeValidationFailed},
	} {
		email := uniqueEmail()
		got := s.call(http.MethodPost, "/users", tokens[tc.caller], `{"email": "`+email+`", "role": `+tc.role+`}`)
		if got.status != tc.status {
			t.Errorf("%s: got %d %s, want %d", name, got.status, got.body, tc.status)
			continue
		}
		made := s.count("SELECT count(*) FROM users WHERE email = $1", email)
		if tc.status == 201 {
			if user := staffUserOf(t, got, 201); `"`+string(user.RoleWhenVerified)+`"` != tc.role || user.Role != api.RoleANONYMOUS || made != 1 {
				t.Errorf("%s: got %s, want the role once the address is proven", name, got.body)
			}
			continue
		}
		got.problem(t, tc.code)
		if made != 0 {
			t.Errorf("%s: the refused account exists", name)
		}
	}
}

func TestAnInvitedManagerIsOneToOtherManagersAlready(t *testing.T) { // Z-05
	t.Parallel()
	s := newSystem(t)
	admin, manager := s.signedIn(query.UserRoleADMIN), s.signedIn(query.UserRoleMANAGER)
	invited := staffUserOf(t, s.call(http.MethodPost, "/users", admin.token, map[string]string{"email": uniqueEmail(), "role": "MANAGER"}), 201)
	s.call(http.MethodPatch, "/users/"+invited.ID.String(), manager.token, map[string]string{"email": uniqueEmail()}, "If-Match", "*").
		problem(t, api.ProblemCodeRankTooLow)
	s.call(http.MethodPost, "/users/"+invited.ID.String()+"/invitation", manager.token, nil).problem(t, api.ProblemCodeRankTooLow)
	token := linkToken(t, s.mailTo(invited.Email, "invit"), "/invitations/")
	s.call(http.MethodPost, "/invitations/accept", "", map[string]string{"token": token, "password": goodPassword})
	if user, _ := staffGet(s, admin.token, invited.ID); user.Role != api.RoleMANAGER {
		t.Errorf("got role %s after the proof, want MANAGER", user.Role)
	}
}

func TestCreateUserNamesEverythingThatIsTakenAndMakesNothing(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	manager := s.signedIn(query.UserRoleMANAGER)
	taken := s.account(server.NewAccount{Email: "Taken@example.com", Nickname: "Taken"})
	for name, tc := range map[string]struct {
		email, nickname string
		code            api.ProblemCode
		pointers        []string
	}{
		"address":                {"tAKEN@Example.com", "other", api.ProblemCodeEmailTaken, []string{"/email"}},
		"nickname":               {"other@example.com", "tAkEn", api.ProblemCodeNicknameTaken, []string{"/nickname"}},
		"both are named at once": {taken.email, taken.nickname, api.ProblemCodeEmailTaken, []string{"/email", "/nickname"}},
	} {
		got := s.call(http.MethodPost, "/users", manager.token, map[string]string{"email": tc.email, "nickname": tc.nickname})
		problem := got.problem(t, tc.code)
		if pointers := slices.Sorted(maps.Keys(fieldCodes(problem))); got.status != http.StatusConflict || !slices.Equal(pointers, tc.pointers) {
			t.Errorf("%s: got %d with %v, want 409 with %v", name, got.status, pointers, tc.pointers)
		}
		if want := strings.Contains(strings.Join(tc.pointers, ""), "nickname"); (len(problem.Suggestions) == 3) != want {
			t.Errorf("%s: got suggestions %v", name, problem.Suggestions)
		}
	}
	if n := s.count("SELECT count(*) FROM users"); n != 2 {
		t.Errorf("got %d accounts, want the two from before", n)
	}
	if n := s.count("SELECT count(*) FROM mails"); n != 0 {
		t.Errorf("got %d mails, want none", n)
	}
}

func TestOfManyInvitationsToOneAddressAtOnceOneIsMade(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	manager, email := s.signedIn(query.UserRoleMANAGER), uniqueEmail()
	statuses := make([]int, 20)
	var wait sync.WaitGroup
	for i := range statuses {
		wait.Go(func() {
			statuses[i] = s.call(http.MethodPost, "/users", manager.token, map[string]string{"email": email}).status
		})
	}
	wait.Wait()
	slices.Sort(statuses)
	if statuses[0] != 201 || statuses[1] != 409 || statuses[len(statuses)-1] != 409 {
		t.Errorf("got %v, want one 201 and else 409", statuses)
	}
	if n := s.count("SELECT count(*) FROM mails"); n != 1 {
		t.Errorf("got %d mails, want 1", n)
	}
}

func TestGetUserShowsStaffWhatHappenedAtSignIn(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	manager := s.signedIn(query.UserRoleMANAGER)
	user := s.account(server.NewAccount{Role: query.UserRoleAUTHENTICATED, EmailVerified: true})
	for range 5 {
		s.call(http.MethodPost, "/login", "", "username="+user.email+"&password=wrong", "Content-Type", "application/x-www-form-urlencoded")
	}
	got, tag := staffGet(s, manager.token, user.id)
	if got.FailedLoginAttempts != 5 || got.LoginWaitUntil.IsNull() || !got.LastLoginAt.IsNull() {
		t.Errorf("got %+v, want five failures and a wait", got)
	}
	if tag != `"2"` || got.Version != 2 {
		t.Errorf("got ETag %s and version %d, want 2: made, then verified", tag, got.Version)
	}
}

// Z-04: the owner sees no staff fields, and nobody sees a secret.
func TestNoResponseHoldsMoreThanItsReaderMaySee(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	user := s.signedIn(query.UserRoleAUTHENTICATED)
	var hash, tokenHash string
	s.scan("SELECT hash FROM passwords WHERE user_id = $1", []any{user.id}, &hash)
	invited := staffUserOf(t, s.call(http.MethodPost, "/users", admin.token, map[string]string{"email": uniqueEmail()}), 201)
	s.scan("SELECT encode(hash, 'hex') FROM one_time_tokens WHERE user_id = $1", []any{invited.ID}, &tokenHash)
	profile := s.call(http.MethodGet, "/users/me", user.token, nil)
	for _, field := range []string{"is_locked", "lock_reason", "failed_login_attempts", "login_wait_until", "last_login_at", "last_mail",
		"role_when_verified", "deleted_at", "email_canonical"} {
		if staffHasField(t, profile.body, field) {
			t.Errorf("the own profile shows %s", field)
		}
	}
	for _, path := range []string{"/users/me", "/users?limit=100", "/users/" + user.id.String(), "/users/" + invited.ID.String()} {
		body := string(s.call(http.MethodGet, path, admin.token, nil).body)
		body = strings.NewReplacer("password-reset-mail", "", "sendPasswordResetMail", "").Replace(body) // a link, not a secret
		for _, secret := range []string{hash, "$argon2", tokenHash, "hash", "password"} {
			if strings.Contains(body, secret) {
				t.Errorf("GET %s contains %q", path, secret)
			}
		}
	}
}

// Z-11: an id has one spelling; everything else is the address of nothing, never of another resource.
func TestOnlyTheCanonicalSpellingOfAnIDIsFound(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	user := s.signedIn(query.UserRoleAUTHENTICATED)
	id := user.id.String()
	raw := *s // the validating client would take %2f for a path of more parts
	raw.http = &http.Client{CheckRedirect: s.http.CheckRedirect}
	for _, spelling := range []string{
		strings.ToUpper(id), "%7B" + id + "%7D", "urn:uuid:" + id, strings.ReplaceAll(id, "-", ""), id + "%00", "%00" + id, id + "%0a", "%20" + id,
		id + "%20", id + "x", id[:35], id + "%2f", "..%2f" + id, "me%2f" + id, id + ";x", id + "%2e", "0", "-1", "null", "%2e%2e", "*", "%ff",
		strings.Replace(id, "-", "%E2%80%90", 1), "０" + id[1:], uuid.Nil.String() + uuid.Nil.String(), strings.Repeat("a", 4000),
		"me;" + id, "me%3B", "ME", "../me/" + id, "me/../" + id, "me//", "/" + id,
	} {
		got := raw.call(http.MethodGet, "/users/"+spelling, admin.token, nil)
		if got.status != http.StatusNotFound || strings.Contains(string(got.body), user.email) || strings.Contains(string(got.body), admin.email) {
			t.Errorf("GET /users/%s: got %d %s, want 404", spelling, got.status, got.body)
		}
		if got := raw.call(http.MethodGet, "/users/"+spelling, user.token, nil); got.status != http.StatusForbidden && got.status != http.StatusNotFound {
			t.Errorf("GET /users/%s without the scope: got %d, want 403 or 404", spelling, got.status)
		}
		if got := raw.call(http.MethodDelete, "/users/"+spelling, admin.token, nil, "If-Match", "*"); got.status < 400 {
			t.Errorf("DELETE /users/%s: got %d", spelling, got.status)
		}
	}
	if got := s.call(http.MethodGet, "/users/"+id+"/", admin.token, nil); got.status != http.StatusOK {
		t.Errorf("with a slash at the end: got %d, want the user", got.status)
	}
	if got := s.call(http.MethodGet, "/users/"+id+"/", "", nil); got.status != http.StatusUnauthorized {
		t.Errorf("with a slash at the end and no token: got %d, want 401", got.status)
	}
}

// staffUserOf decodes a user and fails unless the status is this one.
func staffUserOf(t testing.TB, r response, status int) api.User {
	t.Helper()
	var user api.User
	if err := json.Unmarshal(r.body, &user); err != nil || r.status != status {
		t.Fatalf("got %d %s, want %d and a user", r.status, r.body, status)
	}
	return user
}

// staffGet reads a user and its ETag.
func staffGet(s *system, token string, id uuid.UUID) (api.User, string) {
	s.t.Helper()
	got := s.call(http.MethodGet, "/users/"+id.String(), token, nil)
	return staffUserOf(s.t, got, http.StatusOK), got.header.Get("ETag")
}

func staffHasField(t testing.TB, body []byte, name string) bool {
	t.Helper()
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		t.Fatal(err)
	}
	_, has := fields[name]
	return has
}
