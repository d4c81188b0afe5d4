package server_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

// nicknameRefusals are nicknames that nobody can have, with the rule that each breaks.
func nicknameRefusals() map[string]api.FieldCode {
	refusals := map[string]api.FieldCode{
		strings.Repeat("a", 31): api.FieldCodeInvalidNickname, strings.Repeat("a", 255): api.FieldCodeInvalidNickname,
		uuid.NewString(): api.FieldCodeInvalidNickname, // 36 characters: no id can be a nickname
	}
	for _, malformed := range []string{
		"a", "ab", "_ada", "-ada", "ada lovelace", "ada.", "ada/..", "../ada", "ada%2f", "ada@example", "ada\u0131", "ada\u212a",
		"\u0430da", "ada\u200b", "ада", "ada\u00e9", "<ada>", "ada'--", `ada"`, "ada\\",
	} {
		refusals[malformed] = api.FieldCodeInvalidNickname
	}
	for _, reserved := range []string{
		"admin", "Admin", "ROOT", "support", "moderator", "users", "postmaster", "staff", "system", "null", "undefined", "login", "api",
	} {
		refusals[reserved] = api.FieldCodeReserved
	}
	return refusals
}

func TestNicknameRulesHoldWhereverOneIsSet(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin, user := s.signedIn(query.UserRoleADMIN), s.signedIn(query.UserRoleAUTHENTICATED)
	for nickname, want := range nicknameRefusals() {
		for name, got := range map[string]response{
			"register": s.call(http.MethodPost, "/register", "", registrationBody(map[string]any{"nickname": nickname})),
			"invite":   s.call(http.MethodPost, "/users", admin.token, map[string]any{"email": uniqueEmail(), "nickname": nickname}),
			"own":      s.call(http.MethodPatch, "/users/me", user.token, map[string]any{"nickname": nickname}),
			"staff":    s.call(http.MethodPatch, "/users/"+user.id.String(), admin.token, map[string]any{"nickname": nickname}, "If-Match", `"2"`),
		} {
			codes := fieldCodes(got.problem(t, api.ProblemCodeValidationFailed))["/nickname"]
			if len(codes) != 1 || codes[0] != want {
				t.Errorf("%s: %q got %v, want %s", name, nickname, codes, want)
			}
		}
	}
	// A control character is named as one; a $ in the pattern would let the line break through.
	for _, nickname := range []string{"ada\n", "ada\x00", "ada\r\n"} {
		got := s.call(http.MethodPost, "/register", "", registrationBody(map[string]any{"nickname": nickname}))
		if codes := fieldCodes(got.problem(t, api.ProblemCodeValidationFailed)); len(codes["/nickname"]) != 1 {
			t.Errorf("%q: got %v, want it refused", nickname, codes)
		}
	}
	if got := s.count("SELECT count(*) FROM users"); got != 2 {
		t.Errorf("got %d accounts, want the two of the test", got)
	}
}

func TestNicknameKeepsItsCaseAndIsUniqueWithoutIt(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	for _, nickname := range []string{"abc", "Ada-Lovelace_1815", "0x0", strings.Repeat("Z", 30), "me2", "administratrix"} {
		if got := registered(s, map[string]any{"nickname": nickname}).Nickname; got != nickname {
			t.Errorf("got %q, want %q as it was typed", got, nickname)
		}
		for _, twin := range []string{strings.ToLower(nickname), strings.ToUpper(nickname)} {
			s.call(http.MethodPost, "/register", "", registrationBody(map[string]any{"nickname": twin})).problem(t, api.ProblemCodeNicknameTaken)
		}
	}
}

func TestCheckNicknameTellsWhetherItIsFree(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	owner := s.account(server.NewAccount{Nickname: "Countess"})
	cases := map[string]api.NicknameReason{
		"duchess": api.NicknameReasonFree, "countess": api.NicknameReasonTaken, "COUNTESS": api.NicknameReasonTaken,
	}
	for nickname, code := range nicknameRefusals() {
		if strings.Contains(nickname, "/") {
			continue // no path of the contract, as the tests' transport reads it
		}
		cases[nickname] = api.NicknameReasonMalformed
		if code == api.FieldCodeReserved {
			cases[nickname] = api.NicknameReasonReserved
		}
	}
	for _, nickname := range []string{"100%", "%zz", "%2541da", "a%00b", "ada\n", "ada\x00", "a\xffb", "?", "#", "a;b", "a+b"} {
		cases[nickname] = api.NicknameReasonMalformed
	}
	for nickname, want := range cases {
		got := s.call(http.MethodGet, "/nicknames/"+url.PathEscape(nickname), "", nil)
		var answer api.NicknameAvailability
		if err := json.Unmarshal(got.body, &answer); err != nil || got.status != http.StatusOK {
			t.Errorf("%q: got %d: %s", nickname, got.status, got.body)
			continue
		}
		if answer.Reason != want || answer.Available != (want == api.NicknameReasonFree) {
			t.Errorf("%q: got %+v, want %s", nickname, answer, want)
		}
		if asked := strings.ToValidUTF8(nickname, "\uFFFD"); answer.Nickname != asked {
			t.Errorf("%q: got %q, want it as asked for", nickname, answer.Nickname)
		}
		wantSuggestions := 0
		if want == api.NicknameReasonTaken {
			wantSuggestions = 3
		}
		if len(answer.Suggestions) != wantSuggestions {
			t.Errorf("%q: got suggestions %q, want %d", nickname, answer.Suggestions, wantSuggestions)
		}
		for _, suggestion := range answer.Suggestions {
			registered(s, map[string]any{"nickname": suggestion})
		}
	}
	s.exec("UPDATE users SET deleted_at = now() WHERE id = $1", owner.id)
	if got := s.call(http.MethodGet, "/nicknames/Countess", "", nil); !strings.Contains(string(got.body), `"available":true`) {
		t.Errorf("got %s, want the nickname of a deleted account free", got.body)
	}
}

func TestCheckNicknameRefusesAnAddressThatIsTooLong(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	got := s.call(http.MethodGet, "/nicknames/"+strings.Repeat("a", 9000), "", nil)
	if got.problem(t, api.ProblemCodeURITooLong); got.status != http.StatusRequestURITooLong {
		t.Errorf("got %d, want 414", got.status)
	}
}

func TestNicknameSuggestionsAreFreeEvenWhereMostAreTaken(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	longest := strings.Repeat("n", 30)
	s.account(server.NewAccount{Nickname: longest})
	s.exec(`INSERT INTO users (id, email, email_canonical, nickname, preferred_language)
		SELECT gen_random_uuid(), n || '@example.com', n || '@example.com', $1 || '_' || n, 'en' FROM generate_series(0, 9999) AS n
		WHERE n % 4 <> 0`, longest[:23])
	for range 20 {
		problem := s.call(http.MethodPost, "/register", "", registrationBody(map[string]any{"nickname": longest})).
			problem(t, api.ProblemCodeNicknameTaken)
		if len(problem.Suggestions) != 3 {
			t.Errorf("got suggestions %q, want three", problem.Suggestions)
		}
		for _, suggestion := range problem.Suggestions {
			if len(suggestion) > 30 || s.count("SELECT count(*) FROM users WHERE lower(nickname) = lower($1)", suggestion) != 0 {
				t.Errorf("suggestion %q cannot be taken", suggestion)
			}
		}
	}
}
