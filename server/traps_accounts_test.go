package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

// registrationTraps is about opening an account and what it is made of.
func registrationTraps() []trap {
	return []trap{
		{"the first to register does not become an administrator", firstIsNoAdministrator},
		{"many at once with one e-mail open one account", func(t *testing.T, s *system) {
			email := uniqueEmail()
			trapRace(t, s, func(int) map[string]any { return map[string]any{"email": email} }, api.ProblemCodeEmailTaken)
			if n := s.count("SELECT count(*) FROM mails JOIN users ON users.id = user_id WHERE email = $1", email); n != 1 {
				t.Errorf("%d mails, want 1", n)
			}
		}},
		{"many at once with one nickname open one account", func(t *testing.T, s *system) {
			nickname := "race" + strings.TrimPrefix(strings.Split(uniqueEmail(), "@")[0], "u")[:20]
			trapRace(t, s, func(int) map[string]any { return map[string]any{"nickname": nickname} }, api.ProblemCodeNicknameTaken)
			if n := s.count("SELECT count(*) FROM users WHERE nickname = $1", nickname); n != 1 {
				t.Errorf("%d accounts, want 1", n)
			}
		}},
		{"an e-mail address is the same in any case", func(t *testing.T, s *system) {
			local, _, _ := strings.Cut(uniqueEmail(), "@")
			user := trapRegister(s, map[string]any{"email": "X" + local + "@Example.COM"})
			got := s.call(http.MethodPost, "/register", "", trapRegistration(map[string]any{"email": "x" + strings.ToUpper(local) + "@example.com"}))
			got.problem(t, api.ProblemCodeEmailTaken)
			trapStatus(s, "verify", trapVerify(s, trapLink(s, user)), http.StatusOK)
			trapStatus(s, "sign in", signInFrom(s, trapAddress(), strings.ToUpper(user.email), goodPassword), http.StatusOK)
		}},
		{"a chosen nickname is kept", func(t *testing.T, s *system) {
			if user := trapRegister(s, map[string]any{"nickname": "Keep_Me-1"}); user.nickname != "Keep_Me-1" {
				t.Errorf("got %q", user.nickname)
			}
		}},
		{"a taken nickname is refused with three that are free", takenNicknameIsRefused},
		{"a nickname cannot pose as the service or as a path", func(t *testing.T, s *system) {
			for nickname, code := range map[string]api.FieldCode{
				"admin": api.FieldCodeReserved, "Root": api.FieldCodeReserved, "me": api.FieldCodeInvalidNickname, "ab": api.FieldCodeInvalidNickname,
				"../login": api.FieldCodeInvalidNickname, "_ada": api.FieldCodeInvalidNickname, strings.Repeat("a", 31): api.FieldCodeInvalidNickname,
			} {
				got := s.call(http.MethodPost, "/register", "", trapRegistration(map[string]any{"nickname": nickname}))
				trapFields(s, got, map[string][]api.FieldCode{"/nickname": {code}})
			}
		}},
		{"a weak password is refused with every rule that it breaks", func(t *testing.T, s *system) {
			for password, codes := range map[string][]api.FieldCode{
				"zzz":           {api.FieldCodeMissingDigit, api.FieldCodeMissingSpecial, api.FieldCodeMissingUppercase, api.FieldCodeTooShort},
				"SHOUTING*1843": {api.FieldCodeMissingLowercase},
				"quietly*1843x": {api.FieldCodeMissingUppercase},
				"P@ssw0rd":      {api.FieldCodeTooCommon},
			} {
				got := s.call(http.MethodPost, "/register", "", trapRegistration(map[string]any{"password": password}))
				trapFields(s, got, map[string][]api.FieldCode{"/password": codes})
			}
		}},
		{"a long password is not cut", func(t *testing.T, s *system) { // bcrypt stops at 72 bytes
			long := "Aa*1" + strings.Repeat("correct horse ", 6) // 88 bytes
			user := trapRegister(s, map[string]any{"password": long + "1"})
			trapStatus(s, "verify", trapVerify(s, trapLink(s, user)), http.StatusOK)
			signInFrom(s, trapAddress(), user.email, long+"2").problem(t, api.ProblemCodeInvalidCredentials)
			trapStatus(s, "the whole one", signInFrom(s, trapAddress(), user.email, long+"1"), http.StatusOK)
		}},
		{"mail to no real domain is refused before it is sent", func(t *testing.T, s *system) {
			for _, email := range []string{"a@localhost", "a@b.test", "a@b.invalid", "a@b.local", "a@b.onion", "a@[127.0.0.1]", "a b@example.com", "a@x@example.com"} {
				got := s.call(http.MethodPost, "/register", "", trapRegistration(map[string]any{"email": email}))
				trapFields(s, got, map[string][]api.FieldCode{"/email": {api.FieldCodeInvalidEmail}})
			}
		}},
		{"a picture is no script and a profile is on its own site", func(t *testing.T, s *system) { // I-14
			for _, c := range []struct {
				field, url string
				code       api.FieldCode
			}{
				{"profile_picture_url", "javascript:alert(1)", api.FieldCodeInvalidURL}, {"profile_picture_url", "data:text/html,x", api.FieldCodeInvalidURL},
				{"profile_picture_url", "https://user:secret@example.com/a.png", api.FieldCodeInvalidURL},
				{"linkedin_profile_url", "https://linkedin.com.evil.example/in/a", api.FieldCodeHostNotAllowed},
				{"github_profile_url", "https://notgithub.com/a", api.FieldCodeHostNotAllowed},
			} {
				got := s.call(http.MethodPost, "/register", "", trapRegistration(map[string]any{c.field: c.url}))
				trapFields(s, got, map[string][]api.FieldCode{"/" + c.field: {c.code}})
			}
		}},
		{"verification never takes a manager's rank", verificationKeepsRank},
		{"a changed e-mail is unverified until the new address proves itself", changedEmailIsUnproven},
	}
}

// trapRace registers ten times at once: one succeeds, the others are told why not.
func trapRace(t *testing.T, s *system, fields func(i int) map[string]any, refusal api.ProblemCode) {
	t.Helper()
	const tries = 10
	answers := make([]response, tries)
	atOnce(tries, tries, func(i int) { answers[i] = s.call(http.MethodPost, "/register", "", trapRegistration(fields(i))) })
	opened := 0
	for _, got := range answers {
		if got.status == http.StatusCreated {
			opened++
			continue
		}
		got.problem(t, refusal)
	}
	if opened != 1 {
		t.Errorf("%d of %d opened an account, want 1", opened, tries)
	}
}

func firstIsNoAdministrator(t *testing.T, _ *system) {
	s := newSystem(t)
	got := s.call(http.MethodPost, "/register", "", trapRegistration(map[string]any{"role": "ADMIN"}))
	trapFields(s, got, map[string][]api.FieldCode{"/role": {api.FieldCodeUnknownField}})
	first := make([]account, 5)
	atOnce(len(first), len(first), func(i int) { first[i] = trapRegister(s, nil) })
	for _, user := range first {
		var verified api.VerifiedAccount
		trapJSON(s, trapVerify(s, trapLink(s, user)), http.StatusOK, &verified)
		if verified.Role != api.RoleAUTHENTICATED {
			t.Errorf("one of the first is %s", verified.Role)
		}
	}
	if n := s.count("SELECT count(*) FROM users WHERE role_when_verified <> 'AUTHENTICATED'"); n != 0 {
		t.Errorf("%d accounts have a rank", n)
	}
}

func takenNicknameIsRefused(t *testing.T, s *system) {
	owner := trapRegister(s, map[string]any{"nickname": "Grace_Hopper"})
	email := uniqueEmail()
	got := s.call(http.MethodPost, "/register", "", trapRegistration(map[string]any{"email": email, "nickname": strings.ToUpper(owner.nickname)}))
	problem := got.problem(t, api.ProblemCodeNicknameTaken)
	if n := s.count("SELECT count(*) FROM users WHERE email = $1", email); n != 0 || len(problem.Suggestions) != 3 {
		t.Fatalf("%d accounts were opened and %q suggested, want none and three", n, problem.Suggestions)
	}
	for _, free := range problem.Suggestions {
		trapRegister(s, map[string]any{"nickname": free})
	}
}

func verificationKeepsRank(t *testing.T, s *system) {
	_, manager, admin := trapStaff(s)
	corrected := uniqueEmail()
	trapStatus(s, "correct the address", s.call(http.MethodPatch, trapPath(manager, ""), admin.token, map[string]any{"email": corrected}, "If-Match", "*"), http.StatusOK)
	if user := trapUser(s, admin, manager.id); user.Role != api.RoleANONYMOUS || user.RoleWhenVerified != api.GrantedRoleMANAGER {
		t.Errorf("meanwhile they are %s, later %s", user.Role, user.RoleWhenVerified)
	}
	var verified api.VerifiedAccount
	manager.email = corrected
	trapJSON(s, trapVerify(s, trapLink(s, manager)), http.StatusOK, &verified)
	if verified.Role != api.RoleMANAGER {
		t.Errorf("got role %s, want MANAGER", verified.Role)
	}
}

func changedEmailIsUnproven(t *testing.T, s *system) {
	_, _, admin := trapStaff(s)
	user := trapRegister(s, nil)
	oldLink := trapLink(s, user)
	trapStatus(s, "verify", trapVerify(s, oldLink), http.StatusOK)
	session := s.login(user.email, goodPassword)
	corrected := uniqueEmail()
	var changed api.User
	trapJSON(s, s.call(http.MethodPatch, trapPath(user, ""), admin.token, map[string]any{"email": corrected}, "If-Match", "*"), http.StatusOK, &changed)
	if changed.EmailVerified || changed.Role != api.RoleANONYMOUS {
		t.Errorf("the new address counts as proven: %t, role %s", changed.EmailVerified, changed.Role)
	}
	s.call(http.MethodGet, "/users/me", session, nil).problem(t, api.ProblemCodeInvalidAccessToken)
	signInFrom(s, trapAddress(), corrected, goodPassword).problem(t, api.ProblemCodeEmailNotVerified)
	signInFrom(s, trapAddress(), user.email, goodPassword).problem(t, api.ProblemCodeInvalidCredentials)
	trapVerify(s, oldLink).problem(t, api.ProblemCodeTokenUsed)
	user.email = corrected
	trapStatus(s, "the new link", trapVerify(s, trapLink(s, user)), http.StatusOK)
	trapStatus(s, "sign in", signInFrom(s, trapAddress(), corrected, goodPassword), http.StatusOK)
}

// loginTraps is about failed sign-ins.
func loginTraps() []trap {
	return []trap{
		{"failures make wait and do not lock for ever", failuresHeal},
		{"a stranger's failures do not lock the owner out", func(t *testing.T, s *system) {
			user, _, admin := trapStaff(s)
			stranger := trapAddress()
			for range 8 {
				if got := signInFrom(s, stranger, user.email, "Wrong*1843xyz"); got.status != http.StatusUnauthorized && got.status != http.StatusTooManyRequests {
					t.Errorf("got %d %s", got.status, got.body)
				}
			}
			trapStatus(s, "the owner", signInFrom(s, trapAddress(), user.email, goodPassword), http.StatusOK)
			if trapUser(s, admin, user.id).IsLocked {
				t.Error("a stranger locked the account")
			}
		}},
		{"a lock is told to who knows the password only", func(t *testing.T, s *system) {
			locked := s.account(server.NewAccount{Role: query.UserRoleAUTHENTICATED, EmailVerified: true, LockReason: "Spam"})
			signInFrom(s, trapAddress(), locked.email, "Wrong*1843xyz").problem(t, api.ProblemCodeInvalidCredentials)
			signInFrom(s, trapAddress(), locked.email, goodPassword).problem(t, api.ProblemCodeAccountLocked)
			if n := s.count("SELECT count(*) FROM sessions WHERE user_id = $1", locked.id); n != 0 {
				t.Errorf("%d sessions were opened", n)
			}
		}},
		{"failures at once are all counted", func(t *testing.T, _ *system) {
			s := newSystem(t, behindLoopbackProxy)
			user, _, admin := trapStaff(s)
			const failures = 30
			atOnce(failures, failures, func(i int) {
				got := signInFrom(s, fmt.Sprintf("198.51.100.%d", i), user.email, "Wrong*1843xyz")
				got.problem(t, api.ProblemCodeInvalidCredentials)
			})
			if got := trapUser(s, admin, user.id).FailedLoginAttempts; got != failures {
				t.Errorf("%d failures are counted, want %d", got, failures)
			}
		}},
	}
}

func failuresHeal(t *testing.T, _ *system) {
	s := newSystem(t, behindLoopbackProxy)
	user, _, admin := trapStaff(s)
	var answers []string
	for _, email := range []string{user.email, uniqueEmail()} { // known and unknown alike
		source := trapAddress()
		for range 5 {
			signInFrom(s, source, email, "Wrong*1843xyz").problem(t, api.ProblemCodeInvalidCredentials)
		}
		for _, password := range []string{"Wrong*1843xyz", goodPassword} {
			got := signInFrom(s, source, email, password)
			got.problem(t, api.ProblemCodeTooManyAttempts)
			if wait, err := strconv.Atoi(got.header.Get("Retry-After")); err != nil || wait < 50 || wait > 60 {
				t.Errorf("Retry-After is %q, want about a minute", got.header.Get("Retry-After"))
			}
			got.header.Del("Retry-After")
			answers = append(answers, maskedAnswer(got))
		}
		if email == user.email {
			passLoginTime(s, time.Minute)
			trapStatus(s, "after the wait", signInFrom(s, source, email, goodPassword), http.StatusOK)
		}
	}
	if len(slices.Compact(answers)) != 1 {
		t.Errorf("the waits are told apart: %q", answers)
	}
	if seen := trapUser(s, admin, user.id); seen.IsLocked || seen.FailedLoginAttempts != 0 {
		t.Errorf("locked %t with %d failures, want neither", seen.IsLocked, seen.FailedLoginAttempts)
	}
}
