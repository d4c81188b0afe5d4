package server_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/oapi-codegen/nullable"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

// registrationBody is a registration that is accepted, with some fields changed; a nil one is left out.
func registrationBody(changes map[string]any) map[string]any {
	body := map[string]any{"email": uniqueEmail(), "password": goodPassword}
	maps.Copy(body, changes)
	maps.DeleteFunc(body, func(_ string, value any) bool { return value == nil })
	return body
}

// registered opens an account as a frontend does.
func registered(s *system, changes map[string]any, header ...string) api.OwnProfile {
	s.t.Helper()
	got := s.call(http.MethodPost, "/register", "", registrationBody(changes), header...)
	if got.status != http.StatusCreated {
		s.t.Fatalf("register answered %d: %s", got.status, got.body)
	}
	var profile api.OwnProfile
	if err := json.Unmarshal(got.body, &profile); err != nil {
		s.t.Fatal(err)
	}
	return profile
}

// trustedPeer lets a test be many clients: requests of the loopback are believed in what X-Forwarded-For says.
func trustedPeer(o *server.Options) {
	o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

func TestRegisterKeepsEveryField(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	fields := map[string]any{
		"email": "Ada.Lovelace@EXAMPLE.com", "password": goodPassword, "nickname": "Countess-1815", "first_name": "Ada",
		"last_name": "King, Countess of Lovelace", "bio": "First line.\nSecond line.", "preferred_language": "en-gb",
		"profile_picture_url":  "https://pictures.example.com/ada.png?size=2",
		"linkedin_profile_url": "https://www.linkedin.com/in/ada", "github_profile_url": "https://github.com/ada",
	}
	got := s.call(http.MethodPost, "/register", "", fields)
	if got.status != http.StatusCreated {
		t.Fatalf("got %d: %s", got.status, got.body)
	}
	var profile api.OwnProfile
	if err := json.Unmarshal(got.body, &profile); err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string][2]any{
		"email":                {profile.Email, "Ada.Lovelace@example.com"},
		"nickname":             {profile.Nickname, fields["nickname"]},
		"first_name":           {profile.FirstName, nullable.NewNullableWithValue("Ada")},
		"last_name":            {profile.LastName, nullable.NewNullableWithValue("King, Countess of Lovelace")},
		"bio":                  {profile.Bio, nullable.NewNullableWithValue("First line.\nSecond line.")},
		"preferred_language":   {profile.PreferredLanguage, "en-GB"},
		"profile_picture_url":  {profile.ProfilePictureURL, nullable.NewNullableWithValue("https://pictures.example.com/ada.png?size=2")},
		"linkedin_profile_url": {profile.LinkedinProfileURL, nullable.NewNullableWithValue("https://www.linkedin.com/in/ada")},
		"github_profile_url":   {profile.GithubProfileURL, nullable.NewNullableWithValue("https://github.com/ada")},
		"role":                 {profile.Role, api.RoleANONYMOUS},
		"email_verified":       {profile.EmailVerified, false},
		"is_professional":      {profile.IsProfessional, false},
		"version":              {profile.Version, int64(1)},
		"links":                {len(profile.Links), 0},
	} {
		if gotValue, err := json.Marshal(pair[0]); err != nil {
			t.Error(err)
		} else if want, err := json.Marshal(pair[1]); err != nil || !bytes.Equal(gotValue, want) {
			t.Errorf("%s: got %s, want %s", name, gotValue, want)
		}
	}
	if got, want := got.header.Get("Location"), s.url+"/users/"+profile.ID.String(); got != want {
		t.Errorf("got Location %q, want %q", got, want)
	}
	if version := profile.ID.Version(); version != 7 {
		t.Errorf("got an id of version %d, want 7", version)
	}
	var hash string
	s.scan("SELECT hash FROM passwords WHERE user_id = $1", []any{profile.ID}, &hash)
	if !strings.HasPrefix(hash, "$argon2id$v=19$") {
		t.Errorf("got hash %q, want a PHC string of argon2id", hash)
	}
	if strings.Contains(string(got.body), goodPassword) || strings.Contains(string(got.body), hash) {
		t.Error("the answer holds the password")
	}
	if got := s.count("SELECT count(*) FROM audit WHERE action = 'user_registered' AND subject_id = $1 AND actor_id IS NULL", profile.ID); got != 1 {
		t.Errorf("got %d audit rows, want 1", got)
	}
}

func TestRegisterNeedsNothingButAnAddressAndAPassword(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	generated := regexp.MustCompile(`\A[a-z]+_[a-z]+_\d{6}\z`)
	nicknames := map[string]bool{}
	for range 20 {
		profile := registered(s, nil)
		if !generated.MatchString(profile.Nickname) || len(profile.Nickname) > 30 {
			t.Errorf("got nickname %q, want adjective_animal_number of at most 30", profile.Nickname)
		}
		nicknames[profile.Nickname] = true
		if !profile.FirstName.IsNull() || !profile.Bio.IsNull() || profile.PreferredLanguage != "en" {
			t.Errorf("got %+v, want nulls and English", profile)
		}
	}
	if len(nicknames) != 20 {
		t.Errorf("got %d nicknames of 20, want all different", len(nicknames))
	}
}

func TestRegisterTakesTheLanguageOfTheBodyThenOfTheBrowser(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	for _, c := range []struct{ body, header, want string }{
		{"en-gb", "", "en-GB"},
		{"DE-ch", "fr", "de-CH"},
		{"zh-hant-tw", "", "zh-Hant-TW"},
		{"iw", "", "he"},
		{"", "fr-ch, fr;q=0.9, en;q=0.8", "fr-CH"},
		{"", "en;q=0.3, de;q=0.9", "de"},
		{"", "de;q=0, fr;q=0.1", "fr"},
		{"", "*", "en"}, // what Node sends when nobody chose
		{"", "*, pt-br;q=0.5", "pt-BR"},
		{"", "no language at all!", "en"},
		{"", ";;,,;q=7", "en"},
		{"", "", "en"},
	} {
		fields, header := map[string]any{}, []string{}
		if c.body != "" {
			fields["preferred_language"] = c.body
		}
		if c.header != "" {
			header = []string{"Accept-Language", c.header}
		}
		if got := registered(s, fields, header...).PreferredLanguage; got != c.want {
			t.Errorf("body %q, Accept-Language %q: got %q, want %q", c.body, c.header, got, c.want)
		}
	}
	s.call(http.MethodPost, "/register", "", registrationBody(nil), "Accept-Language", strings.Repeat("a", 1001)).
		problem(t, api.ProblemCodeValidationFailed)
}

func TestRegisterNamesEveryBrokenFieldAndEchoesNone(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	for name, c := range map[string]struct {
		fields map[string]any
		want   map[string][]api.FieldCode
	}{
		"nothing": {
			map[string]any{"email": nil, "password": nil},
			map[string][]api.FieldCode{"/email": {api.FieldCodeRequired}, "/password": {api.FieldCodeRequired}},
		},
		"too long": {
			map[string]any{
				"email": strings.Repeat("a", 250) + "@example.com", "first_name": strings.Repeat("é", 101), "last_name": strings.Repeat("é", 101),
				"bio": strings.Repeat("é", 501), "preferred_language": strings.Repeat("a", 51), "nickname": strings.Repeat("a", 31),
				"profile_picture_url": "https://example.com/" + strings.Repeat("a", 236),
				"password":            strings.Repeat("Aa1!", 65),
			},
			map[string][]api.FieldCode{
				"/email": {api.FieldCodeTooLong}, "/first_name": {api.FieldCodeTooLong}, "/last_name": {api.FieldCodeTooLong},
				"/bio": {api.FieldCodeTooLong}, "/preferred_language": {api.FieldCodeTooLong}, "/nickname": {api.FieldCodeInvalidNickname},
				"/profile_picture_url": {api.FieldCodeTooLong}, "/password": {api.FieldCodeTooLong},
			},
		},
		"wrong": {
			map[string]any{
				"email": "CANARY", "first_name": "CANARY\u0007", "last_name": "CANARY\n", "bio": "CANARY\u202e", "preferred_language": "CANARY!",
				"nickname": "a CANARY", "profile_picture_url": "javascript:CANARY", "password": "canary",
				"linkedin_profile_url": "https://linkedin.com.CANARY.example/in/a", "github_profile_url": "https://user:CANARY@github.com/a",
				"client": "canary",
			},
			map[string][]api.FieldCode{
				"/email": {api.FieldCodeInvalidEmail}, "/first_name": {api.FieldCodeInvalidCharacters}, "/last_name": {api.FieldCodeInvalidCharacters},
				"/bio": {api.FieldCodeInvalidCharacters}, "/preferred_language": {api.FieldCodeInvalidLanguage},
				"/nickname": {api.FieldCodeInvalidNickname}, "/profile_picture_url": {api.FieldCodeInvalidURL},
				"/password":             {api.FieldCodeTooShort, api.FieldCodeMissingUppercase, api.FieldCodeMissingDigit, api.FieldCodeMissingSpecial, api.FieldCodeTooPersonal},
				"/linkedin_profile_url": {api.FieldCodeHostNotAllowed}, "/github_profile_url": {api.FieldCodeInvalidURL},
				"/client": {api.FieldCodeUnknownClient},
			},
		},
		"what only staff decide": {
			map[string]any{"role": "ADMIN", "email_verified": true, "is_professional": true, "id": "CANARY"},
			map[string][]api.FieldCode{
				"/role": {api.FieldCodeUnknownField}, "/email_verified": {api.FieldCodeUnknownField},
				"/is_professional": {api.FieldCodeUnknownField}, "/id": {api.FieldCodeUnknownField},
			},
		},
		"other types": {
			map[string]any{"email": 1, "first_name": []string{"CANARY"}, "bio": true, "nickname": ""},
			map[string][]api.FieldCode{
				"/email": {api.FieldCodeWrongType}, "/first_name": {api.FieldCodeWrongType}, "/bio": {api.FieldCodeWrongType},
				"/nickname": {api.FieldCodeInvalidNickname},
			},
		},
		"blank": {
			map[string]any{"first_name": "", "last_name": " \u00a0", "bio": "\n"},
			map[string][]api.FieldCode{
				"/first_name": {api.FieldCodeTooShort}, "/last_name": {api.FieldCodeRequired}, "/bio": {api.FieldCodeRequired},
			},
		},
		"a password made of the account's own words": {
			map[string]any{"password": "Wilhelmina*1", "first_name": "Wilhelmina"},
			map[string][]api.FieldCode{"/password": {api.FieldCodeTooPersonal}},
		},
	} {
		got := s.call(http.MethodPost, "/register", "", registrationBody(c.fields))
		if codes := fieldCodes(got.problem(t, api.ProblemCodeValidationFailed)); !maps.EqualFunc(codes, c.want, slices.Equal) {
			t.Errorf("%s: got %v, want %v", name, codes, c.want)
		}
		if strings.Contains(strings.ToLower(string(got.body)), "canary") {
			t.Errorf("%s: the answer repeats what was sent: %s", name, got.body)
		}
	}
	s.call(http.MethodPost, "/register", "", `{"email":null,"password":"Analytic*1843"}`).problem(t, api.ProblemCodeValidationFailed)
	if got := s.count("SELECT (SELECT count(*) FROM users) + (SELECT count(*) FROM mails) + (SELECT count(*) FROM audit)"); got != 0 {
		t.Errorf("got %d rows of refused registrations, want none", got)
	}
}

func TestRegisterNamesWhatIsTaken(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	owner := s.account(server.NewAccount{Nickname: "Countess"})
	for name, c := range map[string]struct {
		fields map[string]any
		code   api.ProblemCode
		want   []string
	}{
		"the address":  {map[string]any{"email": owner.email}, api.ProblemCodeEmailTaken, []string{"/email"}},
		"the nickname": {map[string]any{"nickname": "cOUNTESS"}, api.ProblemCodeNicknameTaken, []string{"/nickname"}},
		"both":         {map[string]any{"email": owner.email, "nickname": "countess"}, api.ProblemCodeEmailTaken, []string{"/email", "/nickname"}},
	} {
		got := s.call(http.MethodPost, "/register", "", registrationBody(c.fields))
		problem := got.problem(t, c.code)
		codes := fieldCodes(problem)
		if got.status != http.StatusConflict || len(codes) != len(c.want) {
			t.Errorf("%s: got %s, want 409 naming %v", name, got.body, c.want)
		}
		for _, pointer := range c.want {
			if !slices.Equal(codes[pointer], []api.FieldCode{api.FieldCodeTaken}) {
				t.Errorf("%s: got %v, want %s taken", name, codes, pointer)
			}
		}
		wantSuggestions := 0
		if slices.Contains(c.want, "/nickname") {
			wantSuggestions = 3
		}
		if len(problem.Suggestions) != wantSuggestions {
			t.Errorf("%s: got suggestions %q, want %d", name, problem.Suggestions, wantSuggestions)
		}
		for _, suggestion := range problem.Suggestions { // each can be taken at once
			registered(s, map[string]any{"nickname": suggestion})
		}
	}
	if got := s.count("SELECT count(*) FROM users WHERE email = $1", owner.email); got != 1 {
		t.Errorf("got %d accounts of the owner, want 1", got)
	}
	s.exec("UPDATE users SET deleted_at = now() WHERE id = $1", owner.id)
	registered(s, map[string]any{"email": owner.email, "nickname": "countess"}) // a deleted account frees both
}

func TestRegisterIsClosedWhereStaffInviteOnly(t *testing.T) {
	t.Parallel()
	s := newSystem(t, func(o *server.Options) { o.RegistrationOpen = false })
	manager := s.signedIn(query.UserRoleMANAGER)
	got := s.call(http.MethodPost, "/register", "", registrationBody(nil))
	if got.problem(t, api.ProblemCodeRegistrationClosed); got.status != http.StatusForbidden {
		t.Errorf("got %d, want 403", got.status)
	}
	if got := s.call(http.MethodPost, "/users", manager.token, map[string]any{"email": uniqueEmail()}); got.status != http.StatusCreated {
		t.Errorf("invite: got %d, want 201: %s", got.status, got.body)
	}
}

func TestRegisterIsLimitedPerSource(t *testing.T) {
	t.Parallel()
	for _, conceals := range []bool{false, true} {
		s := newSystem(t, trustedPeer, func(o *server.Options) { o.RegistrationLimit, o.RegistrationConceal = 3, conceals })
		register := func(source string, fields map[string]any) response {
			return s.call(http.MethodPost, "/register", "", registrationBody(fields), "X-Forwarded-For", source)
		}
		for range 5 { // a refused form is not a registration
			register("2001:db8::1", map[string]any{"email": "nobody"}).problem(t, api.ProblemCodeValidationFailed)
		}
		for _, source := range []string{"2001:db8::1", "2001:db8::2", "2001:db8::ffff:1"} { // one /64 is one customer
			if got := register(source, nil); got.status != http.StatusCreated && got.status != http.StatusAccepted {
				t.Fatalf("%s: got %d, want success: %s", source, got.status, got.body)
			}
		}
		refused := register("2001:db8::3", nil)
		refused.problem(t, api.ProblemCodeTooManyRequests)
		seconds, err := strconv.Atoi(refused.header.Get("Retry-After"))
		if err != nil || refused.status != http.StatusTooManyRequests || seconds < 3500 || seconds > 3600 {
			t.Errorf("got %d with Retry-After %q, want 429 and about an hour", refused.status, refused.header.Get("Retry-After"))
		}
		if got := register("2001:db8:0:1::1", nil); got.status >= http.StatusBadRequest {
			t.Errorf("another source got %d: %s", got.status, got.body)
		}
		if got := s.count("SELECT count(*) FROM users"); got != 4 {
			t.Errorf("got %d accounts, want 4", got)
		}
		s.exec("UPDATE rate_counters SET window_ends_at = now() - interval '1 second'") // the hour is over
		if got := register("2001:db8::3", nil); got.status >= http.StatusBadRequest {
			t.Errorf("after the hour: got %d: %s", got.status, got.body)
		}
	}
}
