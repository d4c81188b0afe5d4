package server_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

// privacyTraps is about what strangers, browsers and mails learn.
func privacyTraps() []trap {
	return []trap{
		{"no answer says SQL or repeats a password", answersSayNothing},
		{"a status does not tell who has an account", func(t *testing.T, s *system) {
			answers := map[string]string{}
			for name, email := range sameWorkAccounts(s) {
				answers[maskedAnswer(signInFrom(s, trapAddress(), email, "Wrong*1843xyz"))] = name
			}
			if len(answers) != 1 {
				t.Errorf("wrong passwords have %d answers: %v", len(answers), answers)
			}
			clear(answers)
			unverified := trapRegister(s, nil)
			for _, email := range []string{unverified.email, s.account(verifiedUser).email, uniqueEmail()} {
				got := s.call(http.MethodPost, "/verify-email/resend", "", map[string]any{"email": email}, "X-Forwarded-For", trapAddress())
				answers[maskedAnswer(got)] = email
			}
			if len(answers) != 1 {
				t.Errorf("asking for a link has %d answers: %v", len(answers), answers)
			}
		}},
		{"a registration does not tell who has an account, where that is concealed", func(t *testing.T, _ *system) {
			s := newSystem(t, func(o *server.Options) { o.RegistrationConceal = true })
			known := s.account(verifiedUser)
			taken := s.call(http.MethodPost, "/register", "", trapRegistration(map[string]any{"email": known.email}))
			free := s.call(http.MethodPost, "/register", "", trapRegistration(nil))
			if maskedAnswer(taken) != maskedAnswer(free) || taken.status != http.StatusAccepted {
				t.Errorf("got %d %s and %d %s, want the same", taken.status, taken.body, free.status, free.body)
			}
			s.mailTo(known.email, "already have an account")
		}},
		{"time does not tell who has an account", func(t *testing.T, _ *system) {
			s := newSystem(t, behindLoopbackProxy)
			for name, email := range sameWorkAccounts(s) {
				before := s.hasher.Verifications()
				signInFrom(s, trapAddress(), email, "Wrong*1843xyz").problem(t, api.ProblemCodeInvalidCredentials)
				if n := s.hasher.Verifications() - before; n != 1 {
					t.Errorf("%s: %d verifications, want 1", name, n)
				}
			}
		}},
		{"a hash or a token is shown to nobody, the rest to staff", func(t *testing.T, s *system) { // Z-04
			user, _, admin := trapStaff(s)
			trapStatus(s, "sign in", signInFrom(s, trapAddress(), user.email, goodPassword), http.StatusOK)
			signInFrom(s, trapAddress(), user.email, "Wrong*1843xyz").problem(t, api.ProblemCodeInvalidCredentials)
			if seen := trapUser(s, admin, user.id); seen.FailedLoginAttempts != 1 || seen.LastLoginAt.IsNull() || seen.IsLocked {
				t.Errorf("staff see %d failures, last login %v, locked %t", seen.FailedLoginAttempts, seen.LastLoginAt, seen.IsLocked)
			}
			secret := regexp.MustCompile(`(?i)argon2|hash|password|verification_token|address_key`)
			for _, path := range []string{"/users/me", "/users?limit=100", trapPath(user, "")} {
				got := s.call(http.MethodGet, path, admin.token, nil)
				body := strings.NewReplacer("password-reset-mail", "", "sendPasswordResetMail", "").Replace(string(got.body)) // a link
				if secret.MatchString(body) {
					t.Errorf("%s says %s", path, secret.FindString(body))
				}
			}
			if own := s.call(http.MethodGet, "/users/me", user.token, nil); strings.Contains(string(own.body), "failed_login_attempts") {
				t.Errorf("the owner sees what is for staff: %s", own.body)
			}
		}},
		{"another site's script reads nothing", func(t *testing.T, s *system) { // H-07
			user := s.signedIn(query.UserRoleAUTHENTICATED)
			for _, origin := range []string{"https://evil.example", "null", "https://app.example.com.evil.example", "http://app.example.com"} {
				for _, method := range []string{http.MethodGet, http.MethodOptions} {
					header := s.call(method, "/users/me", user.token, nil, "Origin", origin, "Access-Control-Request-Method", "GET").header
					if header.Get("Access-Control-Allow-Origin") != "" || header.Get("Access-Control-Allow-Credentials") != "" {
						t.Errorf("%s from %s is allowed: %v", method, origin, header)
					}
				}
			}
			header := s.call(http.MethodGet, "/users/me", user.token, nil, "Origin", "https://app.example.com").header
			if header.Get("Access-Control-Allow-Origin") != "https://app.example.com" || header.Get("Access-Control-Allow-Credentials") != "" ||
				!strings.Contains(strings.Join(header.Values("Vary"), ","), "Origin") {
				t.Errorf("the frontend's origin: %v", header)
			}
		}},
		{"a name in a mail is only a name", namesAreInert}, // I-18, I-19
	}
}

// answersSayNothing provokes every kind of refusal with a password that is easy to find again.
func answersSayNothing(t *testing.T, _ *system) {
	s := newSystem(t)
	const canary = "Canary*1843xyz"
	known := trapRegister(s, map[string]any{"password": canary})
	user := s.signedIn(query.UserRoleAUTHENTICATED)
	answers := []response{
		s.call(http.MethodPost, "/register", "", `{"email":"a@example.com","password":"`+canary),
		s.call(http.MethodPost, "/register", "", map[string]any{"email": canary, "password": canary, "more": canary}),
		s.call(http.MethodPost, "/register", "", map[string]any{"email": "a@example.com", "password": strings.ToLower(canary)}),
		s.call(http.MethodPost, "/register", "", map[string]any{"email": known.email, "nickname": known.nickname, "password": canary}),
		s.call(http.MethodPost, "/register", "", map[string]any{"email": "a@example.com", "password": canary + "\x00", "bio": "'; DROP TABLE users; --"}),
		signInAttempt(s, known.email, canary), signInAttempt(s, canary, canary),
		s.call(http.MethodPatch, "/users/me", user.token, map[string]any{"nickname": known.nickname}),
	}
	s.exec("ALTER TABLE users RENAME TO users_moved")
	for _, got := range []response{
		s.call(http.MethodPost, "/register", "", trapRegistration(map[string]any{"password": canary})), signInAttempt(s, known.email, canary),
		s.call(http.MethodGet, "/users/me", user.token, nil),
	} {
		got.problem(t, api.ProblemCodeInternalError)
		answers = append(answers, got)
	}
	telling := regexp.MustCompile(`(?i)canary|sqlstate|relation|select |insert |pgx|pq:|constraint|users_|\.go|goroutine|argon2`)
	for _, got := range answers {
		if got.status < http.StatusBadRequest {
			t.Errorf("got %d %s, want a refusal", got.status, got.body)
		}
		if found := telling.Find(got.body); found != nil {
			t.Errorf("%d says %q: %s", got.status, found, got.body)
		}
	}
	if strings.Contains(s.logs.String(), "anary*1843") {
		t.Error("a password is logged")
	}
}

func namesAreInert(t *testing.T, s *system) {
	for _, name := range []string{"Ada\r\nBcc: victim@example.com", "Ada\nSubject: x", "Ada\x00"} {
		email := uniqueEmail()
		got := s.call(http.MethodPost, "/register", "", trapRegistration(map[string]any{"email": email, "first_name": name}))
		trapFields(s, got, map[string][]api.FieldCode{"/first_name": {api.FieldCodeInvalidCharacters}})
		if n := s.count("SELECT count(*) FROM users WHERE email = $1", email); n != 0 {
			t.Errorf("%q opened %d accounts", name, n)
		}
	}
	links := regexp.MustCompile(`(?i)(?:href|src)="([^"]*)"`)
	plain := trapRegister(s, map[string]any{"first_name": "Ada"})
	want := len(links.FindAllString(s.mailTo(plain.email, "confirm").HTML, -1))
	for _, name := range []string{
		`<a href="https://evil.example">win</a>`, `<img src=x onerror=alert(1)>`, `[win](https://evil.example)`, `{{.Link}}`, `https://evil.example`,
	} {
		user := trapRegister(s, map[string]any{"first_name": name})
		m := s.mailTo(user.email, "confirm")
		if strings.Contains(m.HTML, "<img src=x") || strings.Contains(m.HTML, `"https://evil.example"`) {
			t.Errorf("%s became markup: %s", name, m.HTML)
		}
		if got := len(links.FindAllString(m.HTML, -1)); got != want || m.To != user.email {
			t.Errorf("%s: %d links to %s, want %d to %s", name, got, m.To, want, user.email)
		}
	}
}
