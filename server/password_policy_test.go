package server_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
	"usermanager/server/secret"
)

// registerWith opens an account and returns its address.
func registerWith(s *system, password string) (response, string) {
	s.t.Helper()
	email := uniqueEmail()
	return s.call(http.MethodPost, "/register", "", map[string]any{"email": email, "password": password}), email
}

// proveAll does for every account what the mailed link does.
func proveAll(s *system) {
	s.t.Helper()
	s.exec("UPDATE users SET email_verified = true, role = role_when_verified WHERE NOT email_verified")
}

// policyErrors are the codes at /password, none when the password was taken.
func policyErrors(t testing.TB, got response) []api.FieldCode {
	t.Helper()
	if got.status < 300 {
		return nil
	}
	codes := fieldCodes(got.problem(t, api.ProblemCodeValidationFailed))
	if len(codes) != 1 || got.status != http.StatusUnprocessableEntity {
		t.Errorf("got %d %v, want 422 with errors of the password only", got.status, codes)
	}
	slices.Sort(codes["/password"])
	return codes["/password"]
}

// code points after NFKC count, and what is taken is taken whole.
func TestPasswordLengthsAreCountedInCodePoints(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	var taken []string
	emails := map[string]string{}
	for _, length := range []int{7, 8, 64, 72, 73, 127, 128, 255, 256, 257, 1024, 1025} {
		for _, filler := range []string{"x", "é", "\U0001F40C", "e\u0301"} { // the last one is one code point after NFKC
			password := "Qz1!" + strings.Repeat(filler, length-4)
			got, email := registerWith(s, password)
			var want []api.FieldCode
			switch {
			case length < 8:
				want = []api.FieldCode{api.FieldCodeTooShort}
			case length > 256 || filler == "e\u0301" && length*2-4 > 1024:
				want = []api.FieldCode{api.FieldCodeTooLong}
			}
			if codes := policyErrors(t, got); !slices.Equal(codes, want) {
				t.Errorf("%d times %q: got %v, want %v", length, filler, codes, want)
			}
			if got.status == http.StatusCreated {
				taken = append(taken, password)
				emails[password] = email
			}
		}
	}
	proveAll(s)
	for _, password := range taken {
		runes := []rune(password)
		shorter := string(runes[:len(runes)-1])
		if strings.HasSuffix(password, "\u0301") {
			shorter = string(runes[:len(runes)-2])
		}
		for _, other := range []string{shorter, password + "x"} {
			if got := signInAttempt(s, emails[password], other); got.status == http.StatusOK {
				t.Errorf("a password of %d code points opens for one that differs", len(runes))
			}
		}
		s.exec("DELETE FROM login_failures")
		mustSignIn(t, signInAttempt(s, emails[password], password))
	}
	if len(taken) != 8*4 {
		t.Errorf("got %d passwords taken, want 32", len(taken))
	}
}

// what bcrypt, C and short columns cut off.
func TestPasswordsThatBeginAlikeAreDifferent(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	for name, prefix := range map[string]string{
		"72 bytes": "Aa1!" + strings.Repeat("x", 68), "64 code points": "Aa1!" + strings.Repeat("ü", 60), "255 code points": "Aa1!" + strings.Repeat("y", 251),
	} {
		_, first := registerWith(s, prefix+"1")
		_, second := registerWith(s, prefix+"2")
		proveAll(s)
		if got := signInAttempt(s, first, prefix+"2"); got.status != http.StatusUnauthorized {
			t.Errorf("%s: the second one's password opens the first account: %d", name, got.status)
		}
		if got := signInAttempt(s, second, prefix+"1"); got.status != http.StatusUnauthorized {
			t.Errorf("%s: the first one's password opens the second account: %d", name, got.status)
		}
	}
}

//
func TestPasswordsOpenInEveryEquivalentSpelling(t *testing.T) {
	t.Parallel()
	s := newSystem(t, func(o *server.Options) { o.LoginAttempts = 100 }, behindLoopbackProxy)
	pairs := [][2]string{ // as registered, as typed
		{"é", "e\u0301"}, {"e\u0301", "é"}, {"Å", "\u212B"}, {"A\u030A", "Å"}, {"ﬁ", "fi"}, {"ﬀ", "ff"}, {"ﬃ", "ffi"}, {"Ａ", "A"}, {"７", "7"}, {"！", "!"},
		{"ｆｕｌｌ", "full"}, {"\u00B2", "2"}, {"\u2460", "1"}, {"\u2122", "TM"}, {"\u2126", "Ω"}, {"\u212A", "K"}, {"\u33A5", "m3"}, {"ｶ", "カ"}, {"ｶﾞ", "ガ"}, {"한", "\u1112\u1161\u11AB"},
		{"ñ", "n\u0303"}, {"ü", "u\u0308"}, {"Ǆ", "DŽ"}, {"ŉ", "ʼn"}, {"\u2026", "..."}, {"\u00BD", "1\u20442"}, {"ſ", "s"}, {"\u3000", " "}, {"\u00A0", " "}, {"q\u0307\u0323", "q\u0323\u0307"},
	}
	emails := make([]string, len(pairs))
	for i, pair := range pairs {
		var got response
		if got, emails[i] = registerWith(s, "Aa1!zq"+pair[0]+"wv"); got.status != http.StatusCreated {
			t.Fatalf("%q: got %d %s", pair[0], got.status, got.body)
		}
	}
	proveAll(s)
	for i, pair := range pairs {
		source := "10.0.0." + strconv.Itoa(i)
		if got := signInFrom(s, source, emails[i], "Aa1!zq"+pair[1]+"wv"); got.status != http.StatusOK {
			t.Errorf("%q typed as %q: got %d, want 200", pair[0], pair[1], got.status)
		}
	}
	// Case and blanks are part of a password.
	got, email := registerWith(s, "  Aa1!  blanks  ")
	if got.status != http.StatusCreated {
		t.Fatalf("blanks: got %d %s", got.status, got.body)
	}
	proveAll(s)
	for _, other := range []string{"Aa1!  blanks", "  Aa1!  blanks ", " Aa1!  blanks  ", "  Aa1! blanks  ", "  AA1!  blanks  ", "  aa1!  blanks  "} {
		if got := signInAttempt(s, email, other); got.status != http.StatusUnauthorized {
			t.Errorf("%q: got %d, want 401", other, got.status)
		}
	}
	mustSignIn(t, signInAttempt(s, email, "  Aa1!  blanks  "))
}

// Whatever may be set can be typed at sign-in.
func TestPasswordsOfOddCharactersCanSignIn(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	for _, odd := range []string{"\u202E", "\u2066", "\uFEFF", "\u2028", "\uFDD0", "\U0001F469\u200D\U0001F680", "\u0000", "\u0007", "\t", "\uFFFD"} {
		password := "Aa1!zq" + odd + "wv"
		got, email := registerWith(s, password)
		proveAll(s)
		again := signInAttempt(s, email, password)
		switch {
		case got.status == http.StatusCreated && again.status != http.StatusOK:
			t.Errorf("%q can be set, but not used: %s", odd, again.body)
		case got.status != http.StatusCreated && got.status != http.StatusUnprocessableEntity:
			t.Errorf("%q: got %d, want 201 or 422", odd, got.status)
		case got.status != http.StatusCreated && again.status < 400:
			t.Errorf("%q cannot be set, but opens an account", odd)
		}
	}
	// lone surrogates are no text.
	for _, body := range []string{`"Aa1!zq\ud800wv"`, `"Aa1!zq\udc00\ud800wv"`, "\"Aa1!zq\xffwv\""} {
		got := s.call(http.MethodPost, "/register", "", `{"email":"`+uniqueEmail()+`","password":`+body+`}`)
		if got.status != http.StatusBadRequest {
			t.Errorf("%s: got %d %s, want 400", body, got.status, got.body)
		}
	}
}

// compositionCell is a password with the classes of the mask: 1 upper, 2 lower, 4 digit, 8 special.
func compositionCell(mask, length int) (password string, want []api.FieldCode) {
	const filler = "~_=+;'-~_" // symbols that do not count
	for bit, class := range []string{"Q", "w", "7", "#"} {
		if mask>>bit&1 == 1 {
			password += class
		} else {
			want = append(want, []api.FieldCode{"missing_uppercase", "missing_lowercase", "missing_digit", "missing_special"}[bit])
		}
	}
	if length < 8 {
		want = append(want, api.FieldCodeTooShort)
	}
	slices.Sort(want)
	return password + filler[:length-len(password)], want
}

// one policy, wherever a password is set; each answer names every unmet rule.
func TestCompositionHoldsOnEveryWayToAPassword(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	var invitations []string
	for range 3 {
		email := uniqueEmail()
		s.call(http.MethodPost, "/users", admin.token, map[string]any{"email": email})
		invitations = append(invitations, linkToken(t, s.mailTo(email, "invit"), "/invitations/"))
	}
	for mask := range 16 {
		for _, length := range []int{7, 8, 9} {
			password, want := compositionCell(mask, length)
			registered, _ := registerWith(s, password)
			if got := policyErrors(t, registered); !slices.Equal(got, want) {
				t.Errorf("register %q: got %v, want %v", password, got, want)
			}
			accepted := s.call(http.MethodPost, "/invitations/accept", "", map[string]any{"token": invitations[0], "password": password})
			if got := policyErrors(t, accepted); !slices.Equal(got, want) {
				t.Errorf("accept %q: got %v, want %v", password, got, want)
			}
			if accepted.status == http.StatusOK {
				invitations = invitations[1:]
			}
			_, err := s.server.CreateAccount(t.Context(), server.NewAccount{Email: uniqueEmail(), Password: password, Role: query.UserRoleAUTHENTICATED})
			if (err == nil) != (len(want) == 0) {
				t.Errorf("command line %q: got error %v, want %v", password, err, want)
			}
		}
	}
	if got := s.count("SELECT count(*) FROM passwords"); got != 1+2*3 {
		t.Errorf("got %d passwords, want those of the administrator and of two cells on three ways", got)
	}
	if got, _ := registerWith(s, "Secure*1234"); got.status != http.StatusCreated {
		t.Errorf("Secure*1234: got %d, want 201", got.status)
	}
}

//
func TestNISTModeAsksForNoClasses(t *testing.T) {
	t.Parallel()
	s := newSystem(t, func(o *server.Options) { o.PasswordPolicy = secret.PolicyNIST })
	for password, want := range map[string][]api.FieldCode{
		"correct horse battery staple": nil, "zqwvkjxh": nil, "68317094": nil, "пароль от почты": nil, "zqwvkjx": {api.FieldCodeTooShort},
		"password": {api.FieldCodeTooCommon}, "PassWord1": {api.FieldCodeTooCommon}, "test product 1": {api.FieldCodeTooPersonal},
	} {
		got, _ := registerWith(s, password)
		if codes := policyErrors(t, got); !slices.Equal(codes, want) {
			t.Errorf("%q: got %v, want %v", password, codes, want)
		}
	}
}

//
func TestCommonPasswordsAreRefused(t *testing.T) {
	t.Parallel()
	s := newSystem(t, func(o *server.Options) { o.PasswordPolicy = secret.PolicyNIST })
	data, err := os.ReadFile("secret/common_passwords.txt.gz")
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	list, err := io.ReadAll(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(string(list))
	for i := 0; i < len(lines); i += len(lines) / 250 {
		got, _ := registerWith(s, strings.ToUpper(lines[i][:1])+lines[i][1:])
		if codes := policyErrors(t, got); !slices.Contains(codes, api.FieldCodeTooCommon) {
			t.Errorf("%q: got %d %v, want too_common", lines[i], got.status, codes)
		}
	}
	composition := newSystemOn(t, s.pool)
	for _, password := range []string{"Password1!", "P@ssw0rd", "Ｐassword1!", "Welcome123!", "Qwerty123!", "Passw0rd!"} {
		got, _ := registerWith(composition, password)
		if codes := policyErrors(t, got); !slices.Equal(codes, []api.FieldCode{api.FieldCodeTooCommon}) {
			t.Errorf("%q: got %d %v, want too_common", password, got.status, codes)
		}
	}
}

//
func TestPasswordsMadeOfTheAccountsWordsAreRefused(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	for _, password := range []string{"Grace.Hopper1", "Amazing_grace9!", "Hopper*1906", "GRACE.hopper@example.com1", "Test*Product1"} {
		got := s.call(http.MethodPost, "/register", "", map[string]any{
			"email": "grace.hopper@example.com", "nickname": "amazing_grace", "first_name": "Grace", "last_name": "Hopper", "password": password,
		})
		if codes := policyErrors(t, got); !slices.Contains(codes, api.FieldCodeTooPersonal) {
			t.Errorf("%q: got %d %v, want too_personal", password, got.status, codes)
		}
	}
}
