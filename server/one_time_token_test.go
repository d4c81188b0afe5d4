package server_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

// invited makes an account as staff do and reads its token from the mail.
func invited(s *system, staffToken string, fields map[string]any) (email, token string) {
	s.t.Helper()
	body := registrationBody(fields)
	delete(body, "password") // staff never choose it
	email, _ = body["email"].(string)
	if got := s.call(http.MethodPost, "/users", staffToken, body); got.status != http.StatusCreated {
		s.t.Fatalf("invite: got %d: %s", got.status, got.body)
	}
	return email, mailedToken(s, email, "invited")
}

func TestTokenServesItsOwnPurposeOnly(t *testing.T) { // A-63, T-08
	t.Parallel()
	s := newSystem(t, trustedPeer)
	admin := s.signedIn(query.UserRoleADMIN)
	accept := func(token string) response {
		return s.call(http.MethodPost, "/invitations/accept", "", map[string]string{"token": token, "password": goodPassword}, "X-Forwarded-For", uniqueAddress())
	}
	for kind, mint := range map[string]func() (id, token string){
		"verification": func() (string, string) {
			profile, token := unverified(s)
			return profile.ID.String(), token
		},
		"invitation": func() (id, token string) {
			email, token := invited(s, admin.token, nil)
			s.scan("SELECT id FROM users WHERE email = $1", []any{email}, &id)
			return id, token
		},
		"reset": func() (string, string) {
			user := s.account(verifiedUser)
			return user.id.String(), forgotten(s, user.email)
		},
		"confirmation": func() (string, string) {
			user, next := s.signedIn(query.UserRoleAUTHENTICATED), uniqueEmail()
			s.mustWantEmail(user.token, next)
			return user.id.String(), confirmationOf(s, next)
		},
		"revocation": func() (string, string) {
			user := s.signedIn(query.UserRoleAUTHENTICATED)
			s.mustWantEmail(user.token, uniqueEmail())
			return user.id.String(), revocationOf(s, user.email)
		},
		"deletion": func() (string, string) {
			user := s.account(verifiedUser)
			_, token := deletedOwn(s, user.email)
			return user.id.String(), token
		},
		"access": func() (string, string) { return admin.id.String(), admin.token },
		"refresh": func() (string, string) {
			user := s.account(verifiedUser)
			_, tokens := openSessionAs(s, user.email, nil)
			return user.id.String(), tokens.RefreshToken.MustGet()
		},
	} {
		for endpoint, use := range map[string]func(id, token string) response{
			"verification": func(_, token string) response { return verifyByToken(s, token) },
			"link": func(id, token string) response {
				return s.call(http.MethodPost, "/verify-email/"+id+"/"+token, "", nil)
			},
			"invitation":   func(_, token string) response { return accept(token) },
			"reset":        func(_, token string) response { return resetPassword(s, token, "Compiler*1952") },
			"confirmation": func(_, token string) response { return confirmEmail(s, token) },
			"revocation":   func(_, token string) response { return revokeEmail(s, token) },
			"deletion":     func(_, token string) response { return keepByToken(s, token) },
			"access":       func(_, token string) response { return s.call(http.MethodGet, "/users/me", token, nil) },
			"refresh":      func(_, token string) response { return refreshWith(s, token) },
		} {
			id, token := mint()
			got := use(id, token)
			isRight := kind == endpoint || kind == "verification" && endpoint == "link"
			if isRight != (got.status < http.StatusBadRequest) {
				t.Errorf("%s token at %s: got %d: %s", kind, endpoint, got.status, got.body)
			}
			if !isRight && got.status != http.StatusUnprocessableEntity && got.status != http.StatusUnauthorized {
				t.Errorf("%s token at %s: got %d, want 422 or 401", kind, endpoint, got.status)
			}
		}
	}
	if got := s.count("SELECT count(*) FROM one_time_tokens WHERE used_at IS NOT NULL"); got != 2+1+1+1+1+1 {
		t.Errorf("got %d used tokens, want those of the right uses", got)
	}
}

func TestTokenOfOneIsNotThatOfAnother(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	ada, adasToken := unverified(s)
	bob, bobsToken := unverified(s)
	for _, got := range []response{verifyByLink(s, bob.ID, adasToken), verifyByLink(s, ada.ID, bobsToken)} {
		problem := got.problem(t, api.ProblemCodeTokenInvalid)
		if len(problem.Errors) != 1 || problem.Errors[0].Location != api.FieldLocationPath || problem.Errors[0].Pointer != "/token" {
			t.Errorf("got %s, want the token of the path named", got.body)
		}
	}
	if got := s.count("SELECT count(*) FROM users WHERE email_verified"); got != 0 {
		t.Errorf("got %d proven addresses, want none", got)
	}
	for _, got := range []response{verifyByLink(s, ada.ID, adasToken), verifyByLink(s, bob.ID, bobsToken)} {
		if got.status != http.StatusOK {
			t.Errorf("got %d: %s, want the tokens untouched", got.status, got.body)
		}
	}
	for _, id := range []string{"me", "ADA", strings.ToUpper(ada.ID.String()), ada.ID.String()[:35]} {
		s.call(http.MethodPost, "/verify-email/"+id+"/"+adasToken, "", nil).problem(t, api.ProblemCodeNotFound)
	}
}

func TestTokenProvesTheAddressThatItWasMailedToOnly(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	profile, token := unverified(s)
	corrected := uniqueEmail()
	got := s.call(http.MethodPatch, "/users/"+profile.ID.String(), admin.token, map[string]any{"email": corrected}, "If-Match", `"1"`)
	if got.status != http.StatusOK {
		t.Fatalf("got %d: %s", got.status, got.body)
	}
	verifyByToken(s, token).problem(t, api.ProblemCodeTokenUsed)
	mailedToken(s, corrected, "confirm")
	// Even if the row of the older link were open again, it is bound to the older address.
	s.exec("UPDATE one_time_tokens SET superseded_at = now() WHERE address = $1", corrected)
	s.exec("UPDATE one_time_tokens SET superseded_at = NULL WHERE address <> $1", corrected)
	verifyByToken(s, token).problem(t, api.ProblemCodeTokenInvalid)
	s.exec("UPDATE one_time_tokens SET address = $1 WHERE superseded_at IS NULL", corrected)
	verifyByToken(s, token).problem(t, api.ProblemCodeTokenInvalid)
	if got := s.count("SELECT count(*) FROM users WHERE id = $1 AND email_verified", profile.ID); got != 0 {
		t.Error("a token of the older address proved the newer one")
	}
}

func TestTokenMustArriveAsItWasMailed(t *testing.T) {
	t.Parallel()
	s := newSystem(t, trustedPeer)
	admin := s.signedIn(query.UserRoleADMIN)
	profile, token := unverified(s)
	_, invitation := invited(s, admin.token, nil)
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	variants := func(token string) []string {
		var all []string
		for i := range token {
			at := strings.IndexByte(alphabet, token[i])
			all = append(all, token[:i]+string(alphabet[at^1])+token[i+1:], token[:i]+string(alphabet[at^32])+token[i+1:], token[:i])
		}
		return append(all, token+"A", token+"=", token+"\n", " "+token, token[1:], token+token, strings.ToLower(token), strings.ToUpper(token),
			strings.Repeat("A", len(token)), "\u0430"+token[1:], "nonsense")
	}
	var wrong []response
	for _, changed := range variants(token) {
		body := map[string]string{"token": changed}
		wrong = append(wrong, s.call(http.MethodPost, "/verify-email", "", body, "X-Forwarded-For", uniqueAddress()))
		if !strings.ContainsAny(changed, "\n ") && changed != "" {
			wrong = append(wrong, s.call(http.MethodPost, "/verify-email/"+profile.ID.String()+"/"+changed, "", nil, "X-Forwarded-For", uniqueAddress()))
		}
	}
	for _, changed := range variants(invitation) {
		body := map[string]string{"token": changed, "password": goodPassword}
		wrong = append(wrong, s.call(http.MethodPost, "/invitations/accept", "", body, "X-Forwarded-For", uniqueAddress()))
	}
	for _, got := range wrong {
		if got.status != http.StatusUnprocessableEntity {
			t.Fatalf("got %d: %s, want 422", got.status, got.body)
		}
	}
	if got := s.count("SELECT count(*) FROM one_time_tokens WHERE used_at IS NOT NULL"); got != 0 {
		t.Errorf("got %d used tokens, want none", got)
	}
	if got := verifyByToken(s, token); got.status != http.StatusOK {
		t.Errorf("got %d: %s", got.status, got.body)
	}
	if got := acceptInvitation(s, invitation, goodPassword); got.status != http.StatusOK {
		t.Errorf("got %d: %s", got.status, got.body)
	}
}

func TestTokenGuessesAreSlowedDownPerSourceAndRightOnesAreNot(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	profile, token := unverified(s)
	_, invitation := invited(s, admin.token, nil)
	post := func(path, token string) response {
		return s.call(http.MethodPost, path, "", map[string]string{"token": token, "password": goodPassword})
	}
	for i := range 100 {
		var got response
		switch i % 6 {
		case 4:
			got = confirmEmail(s, invitation)
		case 5:
			got = revokeEmail(s, token)
		case 3:
			got = post("/password/reset", invitation)
		case 0:
			got = verifyByToken(s, "nonsense")
		case 1:
			got = verifyByLink(s, profile.ID, invitation)
		case 2:
			got = acceptInvitation(s, token, goodPassword)
		}
		got.problem(t, api.ProblemCodeTokenInvalid)
	}
	for _, got := range []response{
		verifyByToken(s, "nonsense"), verifyByLink(s, profile.ID, "nonsense"), acceptInvitation(s, "nonsense", goodPassword),
		post("/password/reset", "nonsense"), confirmEmail(s, "nonsense"), revokeEmail(s, "nonsense"), keepByToken(s, "nonsense"),
	} {
		got.problem(t, api.ProblemCodeTooManyRequests)
		seconds, err := strconv.Atoi(got.header.Get("Retry-After"))
		if err != nil || seconds < 1 || seconds > 600 {
			t.Errorf("got Retry-After %q, want up to ten minutes", got.header.Get("Retry-After"))
		}
	}
	if got := resend(s, map[string]any{"token": "nonsense"}); got.status != http.StatusAccepted {
		t.Errorf("resend: got %d, want 202 as ever", got.status)
	}
	for _, got := range []response{verifyByLink(s, profile.ID, token), acceptInvitation(s, invitation, goodPassword)} {
		if got.status != http.StatusOK {
			t.Errorf("got %d: %s, want the right token to work", got.status, got.body)
		}
	}
}

func TestTokenExpiresByTheDatabasesClock(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	var ada api.OwnProfile
	for kind, c := range map[string]struct {
		hours float64
		mint  func() string
		use   func(token string) response
	}{
		"verify_email": {24, func() (token string) {
			ada, token = unverified(s)
			return token
		}, func(token string) response {
			byLink, byToken := verifyByLink(s, ada.ID, token), verifyByToken(s, token) // a used one repeats its success
			if byLink.status != byToken.status {
				t.Errorf("got %d by the link and %d by the token alone", byLink.status, byToken.status)
			}
			return byToken
		}},
		"invitation": {72, func() string {
			_, token := invited(s, admin.token, nil)
			return token
		}, func(token string) response { return acceptInvitation(s, token, goodPassword) }},
		"reset_password": {1, func() string { return forgotten(s, s.account(verifiedUser).email) },
			func(token string) response { return resetPassword(s, token, "Compiler*1952") }},
		"confirm_email_change": {24, func() string {
			next := uniqueEmail()
			s.mustWantEmail(s.signedIn(query.UserRoleAUTHENTICATED).token, next)
			return confirmationOf(s, next)
		}, func(token string) response { return confirmEmail(s, token) }},
		"revoke_email_change": {24, func() string {
			s.exec("DELETE FROM one_time_tokens WHERE purpose = 'revoke_email_change'") // that of the confirmation
			user := s.signedIn(query.UserRoleAUTHENTICATED)
			s.mustWantEmail(user.token, uniqueEmail())
			s.idle() // the revocation kills the confirmation, whose mail would never leave
			return revocationOf(s, user.email)
		}, func(token string) response { return revokeEmail(s, token) }},
	} {
		token := c.mint()
		var lives float64 // seconds from its first delivery
		s.eventually("the delivery to be recorded", func() bool {
			return s.count("SELECT count(*) FROM one_time_tokens WHERE purpose = $1 AND delivered_at IS NULL", kind) == 0
		})
		s.scan("SELECT extract(epoch FROM expires_at - delivered_at)::float8 FROM one_time_tokens WHERE purpose = $1", []any{kind}, &lives)
		if lives != c.hours*3600 {
			t.Errorf("%s: lives %v s, want %v h", kind, lives, c.hours)
		}
		// The whole life passes but for a second that is over, then but for three that are left.
		s.exec("UPDATE one_time_tokens SET expires_at = now() - interval '1 second' WHERE purpose = $1", kind)
		if got := c.use(token); got.status != http.StatusGone {
			t.Errorf("%s: got %d, want 410", kind, got.status)
		} else {
			got.problem(t, api.ProblemCodeTokenExpired)
		}
		s.exec("UPDATE one_time_tokens SET expires_at = now() + interval '3 seconds' WHERE purpose = $1", kind)
		if got := c.use(token); got.status >= http.StatusBadRequest {
			t.Errorf("%s: got %d just before it expires: %s", kind, got.status, got.body)
		}
		s.exec("UPDATE one_time_tokens SET used_at = now() - interval '1 hour', expires_at = now() - interval '1 second' WHERE purpose = $1", kind)
		c.use(token).problem(t, api.ProblemCodeTokenUsed) // used says more than expired
	}
}

func TestTokenOfAMailThatNeverLeftLivesThreeDays(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.stop() // no worker delivers
	admin := s.account(server.NewAccount{Role: query.UserRoleADMIN, EmailVerified: true})
	quiet := newQuietSystem(t, s)
	token, err := quiet.server.AccessToken(t.Context(), admin.email)
	if err != nil {
		t.Fatal(err)
	}
	registered(quiet, nil)
	if got := quiet.call(http.MethodPost, "/users", token, map[string]any{"email": uniqueEmail()}); got.status != http.StatusCreated {
		t.Fatalf("got %d: %s", got.status, got.body)
	}
	var shortest, longest float64
	s.scan("SELECT min(extract(epoch FROM expires_at - created_at))::float8, max(extract(epoch FROM expires_at - created_at))::float8 FROM one_time_tokens",
		nil, &shortest, &longest)
	if want := (72 * time.Hour).Seconds(); shortest != want || longest != want {
		t.Errorf("lives %v to %v s undelivered, want %v", shortest, longest, want)
	}
}
