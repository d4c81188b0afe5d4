package secret_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"usermanager/server/secret"
)

// broken returns the names of the unmet rules, in order.
func broken(policy secret.Policy, password string, words ...string) []string {
	var rules []string
	for _, violation := range policy.Check(password, words...) {
		rules = append(rules, violation.Rule)
	}
	return rules
}

func wantBroken(t *testing.T, policy secret.Policy, password string, want []string, words ...string) {
	t.Helper()
	if got := broken(policy, password, words...); !slices.Equal(got, want) {
		t.Errorf("%s.Check(%.40q, %q) = %q, want %q", policy, password, words, got, want)
	}
}

// every combination of classes at the lengths around the minimum.
func TestCompositionNamesEveryUnmetRule(t *testing.T) {
	t.Parallel()
	classes := []struct {
		rule string
		pool string
	}{
		{"missing_uppercase", "XQVKZ"},
		{"missing_lowercase", "jwmqz"},
		{"missing_digit", "74829"},
		{"missing_special", "*%&^}"},
	}
	for mask := range 16 {
		for _, length := range []int{7, 8, 9} {
			var pools []string
			var want []string
			if length < 8 {
				want = append(want, "too_short")
			}
			for i, class := range classes {
				if mask&(1<<i) != 0 {
					pools = append(pools, class.pool)
				} else {
					want = append(want, class.rule)
				}
			}
			if len(pools) == 0 {
				pools = []string{"日本語文字"} // letters of no case
			}
			var password strings.Builder
			for i := range length {
				pool := []rune(pools[i%len(pools)])
				password.WriteRune(pool[(i/len(pools)+i)%len(pool)])
			}
			wantBroken(t, secret.PolicyComposition, password.String(), want)
		}
	}
}

func TestViolationsCarryTheirLimits(t *testing.T) {
	t.Parallel()
	got := secret.PolicyComposition.Check("")
	want := []secret.PolicyViolation{
		{Rule: secret.RuleTooShort, Params: map[string]string{"min": "8"}},
		{Rule: secret.RuleMissingUppercase},
		{Rule: secret.RuleMissingLowercase},
		{Rule: secret.RuleMissingDigit},
		{Rule: secret.RuleMissingSpecial, Params: map[string]string{"allowed": `!@#$%^&*(),.?":{}|<>`}},
	}
	same := func(a, b secret.PolicyViolation) bool { return a.Rule == b.Rule && maps.Equal(a.Params, b.Params) }
	if !slices.EqualFunc(got, want, same) {
		t.Errorf("Check of an empty password = %v, want %v", got, want)
	}
	long := secret.PolicyNIST.Check(strings.Repeat("xy7", 100))
	if len(long) != 1 || long[0].Rule != secret.RuleTooLong || long[0].Params["max"] != "256" {
		t.Errorf("Check of 300 characters = %v", long)
	}
}

//
func TestLengthCountsCodePointsAfterNFKC(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, unit string
		length     int
		want       []string
	}{
		{"ASCII", "jwmqzkvx", 7, []string{"too_short"}},
		{"ASCII", "jwmqzkvx", 8, nil},
		{"ASCII", "jwmqzkvx", 64, nil},
		{"ASCII", "jwmqzkvx", 72, nil},
		{"ASCII", "jwmqzkvx", 73, nil},
		{"ASCII", "jwmqzkvx", 127, nil},
		{"ASCII", "jwmqzkvx", 128, nil},
		{"ASCII", "jwmqzkvx", 256, nil},
		{"ASCII", "jwmqzkvx", 257, []string{"too_long"}},
		{"emoji", "😀🎉🚀🌍", 7, []string{"too_short"}},
		{"emoji", "😀🎉🚀🌍", 8, nil},
		{"emoji", "😀🎉🚀🌍", 256, nil},
		{"emoji", "😀🎉🚀🌍", 257, []string{"too_long"}},
	} {
		units := []rune(tc.unit)
		var password strings.Builder
		for i := range tc.length {
			password.WriteRune(units[i%len(units)])
		}
		t.Run(fmt.Sprintf("%s %d", tc.name, tc.length), func(t *testing.T) {
			t.Parallel()
			wantBroken(t, secret.PolicyNIST, password.String(), tc.want)
		})
	}
	// Seven letters in 14 code points are seven after composition; a ligature is several.
	wantBroken(t, secret.PolicyNIST, strings.Repeat("e\u0301", 7), []string{"too_short"})
	wantBroken(t, secret.PolicyNIST, strings.Repeat("e\u0301", 8), nil)
	wantBroken(t, secret.PolicyNIST, "\ufb03\ufb03\ufb04", nil)
	wantBroken(t, secret.PolicyNIST, strings.Repeat("\ufdfa", 15), []string{"too_long"})
	wantBroken(t, secret.PolicyNIST, strings.Repeat("a", 5000), []string{"too_long"})
	wantBroken(t, secret.PolicyComposition, strings.Repeat("a", 1<<20), []string{"too_long"})
}

func TestAcceptedPasswords(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		policy   secret.Policy
		password string
	}{
		{secret.PolicyComposition, "Secure*1234"}, // the documented development password
		{secret.PolicyComposition, `Aa1"aaaz`},
		{secret.PolicyComposition, "Ünïcödé-7{"},
		{secret.PolicyComposition, "Жираф*4821"},
		{secret.PolicyComposition, "Ｓｅｃｕｒｅ＊１２３４"}, // full width, NFKC makes it ASCII
		{secret.PolicyComposition, " lead 7Trail! "},
		{secret.PolicyNIST, "Secure*1234"},
		{secret.PolicyNIST, "correct horse battery staple"},
		{secret.PolicyNIST, "eight nice mice"},
		{secret.PolicyNIST, "いろはにほへとち"},
	} {
		wantBroken(t, tc.policy, tc.password, nil, "jane.doe@example.com", "clever_otter_4711", "Jane", "Doe", "User Management")
	}
}

// what counts as special is ASCII and exact.
func TestOnlyTheDocumentedCharactersAreSpecial(t *testing.T) {
	t.Parallel()
	for r := rune(0x21); r < 0x7f; r++ {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			continue
		}
		want := []string{"missing_special"}
		if strings.ContainsRune(`!@#$%^&*(),.?":{}|<>`, r) {
			want = nil
		}
		wantBroken(t, secret.PolicyComposition, "Xkwq"+string(r)+"7412z", want)
	}
	for _, r := range "€§°£¿“”–…😀 _" {
		if r == '…' { // NFKC makes it three full stops, which count
			continue
		}
		wantBroken(t, secret.PolicyComposition, "Xkwq"+string(r)+"7412z", []string{"missing_special"})
	}
}

//
func TestControlCharactersAndBrokenTextAreRefused(t *testing.T) {
	t.Parallel()
	for _, r := range []rune{0, 1, '\t', '\n', '\r', 0x1b, 0x7f, 0x80, 0x85, 0x9f, utf8.RuneError} {
		wantBroken(t, secret.PolicyComposition, "Xkwq*7412z"+string(r), []string{"invalid_characters"})
	}
	for _, bytes := range []string{"\xff", "\xed\xa0\x80", "\xc0\x80", "\xf4\x90\x80\x80"} {
		wantBroken(t, secret.PolicyNIST, "Xkwq*7412z"+bytes, []string{"invalid_characters"})
	}
}

//
func TestCommonPasswordsAreRefused(t *testing.T) {
	t.Parallel()
	for _, password := range []string{
		"Password1!", "P@ssw0rd", "Passw0rd!", "P@ssw0rd1!", "P@$$w0rd1!", "Pa$$w0rd", "Password123!", "Password@123", "PASSWORD1!x"[:10],
		"Welcome1!", "Welcome@123", "Welcome2025!", "Qwerty123!", "Qwerty@123", "Admin123!", "Admin@1234", "Administrator1!", "Letmein1!",
		"Changeme1!", "Changeme123!", "Iloveyou1!", "Summer2024!", "Winter2025!", "Spring@2026", "January2026!", "Monday123!", "Test1234!", "Abcd1234!",
		"Aa123456!", "Aa123456@", "Abc123456!", "Secret123!", "Football1!", "Monkey123!", "Dragon123!", "Company123!", "Default1!",
		"1qaz@WSX", "!QAZ2wsx", "1qaz!QAZ", "Ｐａｓｓｗｏｒｄ１！",
	} {
		if got := broken(secret.PolicyComposition, password); !slices.Contains(got, "too_common") {
			t.Errorf("%s is accepted: %q", password, got)
		}
	}
	for _, password := range []string{"password", "PASSWORD", "12345678", "qwertyuiop", "iloveyou", "sunshine", "trustno1", "passw0rd", "1q2w3e4r", "password1"} {
		wantBroken(t, secret.PolicyNIST, password, []string{"too_common"})
	}
	// Whole passwords only: a common word inside a longer one is no reason.
	for _, password := range []string{"password of my cat Ulysses", "xpassword1!", "Password1!x", "Secure*1234"} {
		wantBroken(t, secret.PolicyNIST, password, nil)
	}
}

// every entry of the list, in the spelling of the list, in capitals and as a title.
func TestEveryEntryOfTheListIsRefused(t *testing.T) {
	t.Parallel()
	entries := listEntries(t)
	if len(entries) < 10_000 {
		t.Fatalf("the list has %d entries, want at least 10000", len(entries))
	}
	for _, entry := range entries {
		for _, spelling := range []string{entry, strings.ToUpper(entry), strings.ToUpper(entry[:1]) + entry[1:]} {
			if strings.ToLower(norm.NFKC.String(spelling)) != entry {
				continue // capitals of some scripts do not come back
			}
			if !slices.Contains(broken(secret.PolicyNIST, spelling), "too_common") {
				t.Errorf("%q is accepted", spelling)
			}
		}
	}
}

func TestTheListIsNormalisedSortedAndSmall(t *testing.T) {
	t.Parallel()
	info, err := os.Stat("common_passwords.txt.gz")
	if err != nil {
		t.Fatalf("stat: %v", err)
	}
	if info.Size() > 150<<10 {
		t.Errorf("size %d, want at most 150 KiB", info.Size())
	}
	entries := listEntries(t)
	if !slices.IsSorted(entries) || len(slices.Compact(slices.Clone(entries))) != len(entries) {
		t.Error("not sorted, or with repetitions")
	}
	for _, entry := range entries {
		if n := utf8.RuneCountInString(entry); n < 8 || n > 256 || strings.ToLower(norm.NFKC.String(entry)) != entry {
			t.Errorf("%q can never match", entry)
		}
	}
}

func listEntries(t *testing.T) []string {
	t.Helper()
	compressed, err := os.ReadFile("common_passwords.txt.gz")
	if err != nil {
		t.Fatalf("read the list: %v", err)
	}
	reader, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		t.Fatalf("unzip the list: %v", err)
	}
	text, err := io.ReadAll(reader)
	if err != nil {
		t.Fatalf("unzip the list: %v", err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

//
func TestTheAccountsOwnWordsAreRefused(t *testing.T) {
	t.Parallel()
	words := []string{"Jane.Doe+news@example.com", "clever_otter_4711", "Jane", "Döe-Müller", "", "Acme Portal"}
	for _, password := range []string{
		"Jane.Doe1!", "jane.doe+news@example.com", "Jane.Doe+News1!", "clever_otter_4711", "Clever_Otter_4711!", "CleverOtter99!",
		"JaneJane1!", "DoeJane#1990", "1990**Jane**", "Müller*1234", "Mu\u0308ller*1234", "Döe-Müller1!", "JaneDöeMüller", "Acme Portal 1!",
		"AcmePortal2026!", "!!!Acme!!!123", "Otter*Clever*7", "ＪＡＮＥ*12345", "News*20261",
	} {
		if got := broken(secret.PolicyComposition, password, words...); !slices.Contains(got, "too_personal") {
			t.Errorf("%s is accepted: %q", password, got)
		}
	}
	for _, password := range []string{
		"Secure*1234", "Trojane*Doener7", "JaneAusten*1813", "Overclever*Otters7", "Acme7*Xylophone", "12345678*Aq", "Zq*4711-4711",
	} {
		wantBroken(t, secret.PolicyComposition, password, nil, words...)
	}
}

func TestShortAndOddWordsDoNotRefuseEverything(t *testing.T) {
	t.Parallel()
	for _, words := range [][]string{
		{""}, {" "}, {"a"}, {"1"}, {"*"}, {"@"}, {"123"}, {"!@#$"}, {"\xff"}, {"@example.com"}, {"Li"}, {"x", "y", "z"}, {"\u200b"},
	} {
		wantBroken(t, secret.PolicyComposition, "Secure*1234", nil, words...)
	}
	wantBroken(t, secret.PolicyNIST, "王伟王伟1990", []string{"too_personal"}, "王伟")
	wantBroken(t, secret.PolicyNIST, "LiLi-LiLi-88", []string{"too_personal"}, "Li")
	wantBroken(t, secret.PolicyNIST, "93718264!", []string{"too_personal"}, "93718264!")
	wantBroken(t, secret.PolicyNIST, "93718264!", nil, "93718264")
}

// operands are bounded, so that a long profile costs no more than a short one.
func TestLongAndManyWordsAreBounded(t *testing.T) {
	t.Parallel()
	huge := strings.Repeat("ab ", 1<<20)
	wantBroken(t, secret.PolicyComposition, "Secure*1234", nil, huge, huge, huge)
	many := slices.Repeat([]string{"word"}, 10_000)
	wantBroken(t, secret.PolicyComposition, "Zebra*1234", nil, append(many, "zebra")...)
	wantBroken(t, secret.PolicyComposition, "Zebra*1234", []string{"too_personal"}, "zebra")
}

func TestPolicyNames(t *testing.T) {
	t.Parallel()
	for name, ok := range map[string]bool{"composition": true, "nist": true, "": false, "NIST": false, "none": false} {
		policy, err := secret.ParsePolicy(name)
		if (err == nil) != ok || (ok && string(policy) != name) || (!ok && policy != "") {
			t.Errorf("ParsePolicy(%q) = %q, %v", name, policy, err)
		}
	}
	wantBroken(t, "unheard-of", "correct horse battery staple",
		[]string{"missing_uppercase", "missing_digit", "missing_special"})
}

func FuzzPolicyCheck(f *testing.F) {
	f.Add("Secure*1234", "jane@example.com")
	f.Add("Password1!", "")
	f.Add("\xff\x00", "\xff@")
	f.Add(strings.Repeat("\ufdfa", 300), "\ufdfa")
	f.Fuzz(func(t *testing.T, password, word string) {
		for _, policy := range []secret.Policy{secret.PolicyComposition, secret.PolicyNIST} {
			rules := broken(policy, password, word)
			if again := broken(policy, password, word); !slices.Equal(rules, again) {
				t.Errorf("%q, then %q", rules, again)
			}
			if sorted := slices.Clone(rules); len(slices.Compact(sorted)) != len(rules) {
				t.Errorf("a rule is named twice: %q", rules)
			}
			length := utf8.RuneCountInString(norm.NFKC.String(password))
			if tooShort := slices.Contains(rules, "too_short"); tooShort != (length < 8) {
				t.Errorf("%d code points: %q", length, rules)
			}
			if rules == nil && (length > 256 || !utf8.ValidString(password) || strings.ContainsRune(password, 0)) {
				t.Errorf("%q is accepted", password)
			}
			// Two spellings of one password are judged alike, but for what is wrong with the bytes.
			composed := norm.NFC.String(password)
			if len(password) <= 4096 && len(composed) <= 4096 && utf8.ValidString(password) && !slices.Equal(broken(policy, composed, word), rules) {
				t.Errorf("%q is judged %q, composed %q", password, rules, broken(policy, composed, word))
			}
		}
	})
}

// under a millisecond.
func BenchmarkCheckAPassword(b *testing.B) {
	for b.Loop() {
		if secret.PolicyComposition.Check("Secure*1234", "jane.doe@example.com", "clever_otter_4711", "Jane", "Doe") != nil {
			b.Fatal("refused")
		}
	}
}
