package server_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"testing"
	"time"

	"usermanager/gen/api"
	"usermanager/server"
	"usermanager/server/secret"
)

func settingsOf(s *system) api.Settings {
	s.t.Helper()
	got := s.call(http.MethodGet, "/settings", "", nil)
	var settings api.Settings
	if err := json.Unmarshal(got.body, &settings); err != nil || got.status != http.StatusOK {
		s.t.Fatalf("got %d: %s", got.status, got.body)
	}
	return settings
}

func TestSettingsTellAFormTheRules(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	got := settingsOf(s)
	if got.ProductName != "Test Product" || got.Registration != api.RegistrationModeOpen || got.AccessTokenSeconds != 900 ||
		!slices.Equal(got.Locales, []string{"en"}) {
		t.Errorf("got %+v", got)
	}
	want := api.PasswordRules{
		Policy: api.PasswordPolicyComposition, MinLength: 8, MaxLength: 256, RequiresUppercase: true, RequiresLowercase: true,
		RequiresDigit: true, RequiresSpecial: true, SpecialCharacters: secret.SpecialCharacters,
	}
	if got.Password != want {
		t.Errorf("got %+v, want %+v", got.Password, want)
	}
}

func TestSettingsFollowTheOptions(t *testing.T) {
	t.Parallel()
	s := newSystem(t, func(o *server.Options) {
		o.RegistrationOpen, o.PasswordPolicy, o.AccessTTL = false, secret.PolicyNIST, 90*time.Second
	})
	got := settingsOf(s)
	if got.Registration != api.RegistrationModeClosed || got.AccessTokenSeconds != 90 {
		t.Errorf("got %+v, want closed and 90 s", got)
	}
	if p := got.Password; p.Policy != api.PasswordPolicyNist || p.RequiresUppercase || p.RequiresLowercase || p.RequiresDigit || p.RequiresSpecial {
		t.Errorf("got %+v, want no classes", p)
	}
}

// The pattern is for a form to check while somebody types, so it must be what the server enforces.
func TestSettingsNicknamePatternIsTheServersOwn(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	rules := settingsOf(s).Nickname
	pattern, err := regexp.Compile(rules.Pattern)
	if err != nil {
		t.Fatal(err)
	}
	passes := func(nickname string) bool {
		return len(nickname) >= int(rules.MinLength) && len(nickname) <= int(rules.MaxLength) && pattern.MatchString(nickname)
	}
	for nickname, code := range nicknameRefusals() {
		if isWellFormed := code == api.FieldCodeReserved; passes(nickname) != isWellFormed {
			t.Errorf("%q: the pattern says %v", nickname, passes(nickname))
		}
	}
	for range 5 { // what the server generates passes its own rules
		if nickname := registered(s, nil).Nickname; !passes(nickname) {
			t.Errorf("generated nickname %q does not pass", nickname)
		}
	}
}
