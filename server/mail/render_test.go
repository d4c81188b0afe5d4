package mail

import (
	"html"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const testLink = "https://app.example.com/verify?token=abc_DEF-123"

func testProduct() Product {
	return Product{
		Name:         "Acme Users",
		URL:          "https://acme.example.com/",
		LogoURL:      "https://acme.example.com/logo.png",
		SupportEmail: "help@acme.example.com",
	}
}

func testRenderer(t testing.TB) *Renderer {
	t.Helper()
	r, err := NewRenderer(testProduct())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// fullData has a value for everything that any kind can use.
func fullData() Data {
	return Data{
		Name:      "Ada",
		Nickname:  "brave_otter_4821",
		Link:      testLink,
		ExpiresIn: 24 * time.Hour,
		Role:      "MANAGER",
		At:        time.Date(2026, time.March, 4, 17, 6, 0, 0, time.FixedZone("odd", 5*3600+1800)),
	}
}

func mustRender(t testing.TB, r *Renderer, kind Kind, d Data) Content {
	t.Helper()
	content, err := r.Render(kind, d)
	if err != nil {
		t.Fatalf("Render(%s): %v", kind, err)
	}
	return content
}

// flat joins the lines, so that tests do not depend on where they break.
func flat(s string) string { return strings.Join(strings.Fields(s), " ") }

func TestEveryKindSaysItsSubjectItsTextAndItsLink(t *testing.T) {
	t.Parallel()
	r := testRenderer(t)
	for kind, want := range map[Kind]struct {
		subject string
		phrases []string
		link    bool
	}{
		KindVerifyEmail: {"Confirm your e-mail address for Acme Users",
			[]string{"Welcome to Acme Users", "for 24 hours", "did not create this account"}, true},
		KindInvitation: {"You are invited to Acme Users",
			[]string{"Choose a password", "for 24 hours"}, true},
		KindRegistrationAttempt: {"You already have an account at Acme Users",
			[]string{"tried to register", "nothing was changed", "sign in, or choose a new password"}, true},
		KindUpgraded: {"You are now a professional at Acme Users",
			[]string{"professional status", "4 March 2026 at 11:36 UTC"}, true},
		KindRoleChanged: {"Your role at Acme Users has changed",
			[]string{"Your role is now: manager.", "4 March 2026 at 11:36 UTC"}, true},
		KindLocked: {"Your account at Acme Users is locked",
			[]string{"locked by our staff", "4 March 2026", "contact help@acme.example.com"}, false},
		KindUnlocked: {"Your account at Acme Users is unlocked",
			[]string{"You can sign in again"}, true},
		KindSignInFailures: {"Many failed sign-ins to your account at Acme Users",
			[]string{"We slow such attempts down", "If it was you, there is nothing to do", "change your password"}, true},
		KindPasswordReset: {"Password Reset Instructions for Acme Users",
			[]string{"asked for a new password", "for 24 hours", "your password stays as it is"}, true},
		KindPasswordChanged: {"Your password at Acme Users was changed",
			[]string{"signed out everywhere else", "4 March 2026 at 11:36 UTC", "If it was not you"}, true},
		KindEmailChange: {"Confirm your new e-mail address for Acme Users",
			[]string{"as the new one of an account", "for 24 hours", "nothing changes"}, true},
		KindEmailChangeNotice: {"Your account at Acme Users is about to get another e-mail address",
			[]string{"who knows your password", "4 March 2026 at 11:36 UTC", "stop it here", "for 24 hours", "ends every session"}, true},
		KindEmailChanged: {"The e-mail address of your account at Acme Users was changed",
			[]string{"no longer used to sign in", "4 March 2026 at 11:36 UTC", "bring this address back"}, true},
		KindEmailChangeAttempt: {"You already have an account at Acme Users",
			[]string{"to another account", "nothing was changed", "sign in with this address"}, true},
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			got := mustRender(t, r, kind, fullData())
			if got.Subject != want.subject {
				t.Errorf("subject = %q, want %q", got.Subject, want.subject)
			}
			for part, body := range map[string]string{"HTML": html.UnescapeString(got.HTML), "text": got.Text} {
				for _, phrase := range append(want.phrases, "Hi Ada,", "Kind regards, Acme Users") {
					if !strings.Contains(flat(strings.ReplaceAll(body, "<br/>", "")), phrase) {
						t.Errorf("%s part lacks %q:\n%s", part, phrase, body)
					}
				}
				if strings.Contains(body, testLink) != want.link {
					t.Errorf("%s part has the link: %t, want %t", part, !want.link, want.link)
				}
				for _, leftover := range []string{"{", "link.invalid", "ZgotmplZ", "Hermes"} {
					if part == "text" && strings.Contains(body, leftover) {
						t.Errorf("text part has %q:\n%s", leftover, body)
					}
				}
			}
		})
	}
}

func TestEveryKindOfTheContractHasATextInEveryLanguage(t *testing.T) {
	t.Parallel()
	want := []Kind{"verify_email", "invitation", "registration_attempt", "upgraded", "role_changed", "locked", "unlocked", "sign_in_failures", "session_replayed",
		"password_reset", "password_changed", "email_change", "email_change_notice", "email_changed", "email_change_attempt", "deletion_scheduled",
		"deletion_cancelled"}
	if !slices.Equal(Kinds(), want) {
		t.Errorf("Kinds() = %q, want %q", Kinds(), want)
	}
	for tag, loc := range testRenderer(t).locales {
		if len(loc.texts) != len(want) {
			t.Errorf("%s has %d texts, want %d", tag, len(loc.texts), len(want))
		}
		for _, kind := range want {
			if loc.texts[kind].subject == "" || len(loc.texts[kind].intros) == 0 {
				t.Errorf("%s has no text for %s", tag, kind)
			}
		}
		for _, field := range []string{loc.greeting, loc.salutation, loc.signature, loc.trouble, loc.footer, loc.supportTeam, loc.timeLayout} {
			if field == "" {
				t.Errorf("%s has an empty text around the mails: hermes would fill in its own", tag)
			}
		}
	}
}

// F-02: the worker may render a mail again; what arrives must be the same mail.
func TestTheSameDataRendersTheSameMail(t *testing.T) {
	t.Parallel()
	r := testRenderer(t)
	want := mustRender(t, r, KindVerifyEmail, fullData())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			got, err := r.Render(KindVerifyEmail, fullData())
			if err != nil || got != want {
				t.Errorf("a concurrent render differs (error %v)", err)
			}
		})
	}
	wg.Wait()
}

func TestALinkSurvivesByteForByte(t *testing.T) {
	t.Parallel()
	r := testRenderer(t)
	for name, link := range map[string]string{
		"query":                         "https://app.example.com/v?token=a-b_c&next=%2Fhome&x=1&amp;y=2",
		"fragment":                      "https://app.example.com/#/verify?token=AbC-_.~",
		"custom scheme":                 "myapp://verify#token=AbC",
		"dotted scheme":                 "com.example.app:/verify?t=AbC",
		"apostrophe":                    "https://app.example.com/it's/(x)?a='b'",
		"percent-encoded":               "https://app.example.com/%7Euser/%c3%A4?q=%20+%2b",
		"IPv6 host":                     "http://[::1]:8080/verify/0197/AbC",
		"comment terminator":            "https://app.example.com/--/-?t=--",
		"very long":                     "https://app.example.com/?token=" + strings.Repeat("A", 1900),
		"filter value of html/template": "https://app.example.com/?t=ZgotmplZ&lt;&copy=1",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := fullData()
			d.Link = link
			content := mustRender(t, r, KindVerifyEmail, d)
			// The button for Outlook, the button, and the written-out link under it.
			want := []string{testProduct().URL, testProduct().LogoURL, link, link, link}
			if got := urlsIn(t, content.HTML); !slices.Equal(got, want) {
				t.Errorf("URLs in HTML = %q, want %q", got, want)
			}
			if n := strings.Count(visibleText(t, content.HTML), link); n != 1 {
				t.Errorf("the link is written out %d times in HTML, want once", n)
			}
			if !slices.Contains(strings.Split(content.Text, "\n"), link) {
				t.Errorf("the text part has no line that is the link:\n%s", content.Text)
			}
		})
	}
}

func TestALinkThatCannotBeClickedSafelyIsRefused(t *testing.T) {
	t.Parallel()
	r := testRenderer(t)
	for name, link := range map[string]string{
		"script":         "javascript:alert(1)",
		"script in caps": "JavaScript:alert(1)",
		"data":           "data:text/html,hi",
		"vbscript":       "vbscript:x",
		"relative":       "/verify?token=x",
		"two lines":      "https://app.example.com/\r\nBcc: x",
		"space":          "https://app.example.com/a b",
		"quote":          `https://app.example.com/"onclick="x`,
		"bracket":        "https://app.example.com/<b>",
		"not ASCII":      "https://app.example.com/ä",
		"unparsable":     "https://[::1",
		"too long":       "https://app.example.com/" + strings.Repeat("a", 2000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := r.Render(KindVerifyEmail, Data{Link: link})
			if err == nil {
				t.Fatal("rendered, want an error")
			}
			if strings.Contains(err.Error(), "example.com") {
				t.Errorf("error %q repeats the link, which holds a token", err)
			}
		})
	}
}

func TestRenderFailsOnlyWithoutWhatTheKindIsAbout(t *testing.T) {
	t.Parallel()
	r := testRenderer(t)
	for _, kind := range Kinds() {
		needsLink := slices.Contains([]Kind{
			KindVerifyEmail, KindInvitation, KindRegistrationAttempt, KindPasswordReset, KindEmailChange, KindEmailChangeNotice, KindEmailChangeAttempt,
			KindDeletionScheduled,
		}, kind)
		_, err := r.Render(kind, Data{Role: "ADMIN"})
		if (err != nil) != needsLink {
			t.Errorf("Render(%s) without a link: error %v, want one: %t", kind, err, needsLink)
		}
	}
	for name, test := range map[string]struct {
		kind Kind
		data Data
	}{
		"unknown kind": {"newsletter", fullData()},
		"no role":      {KindRoleChanged, Data{}},
		"unknown role": {KindRoleChanged, Data{Role: "<b>ROOT</b>"}},
	} {
		if content, err := r.Render(test.kind, test.data); err == nil {
			t.Errorf("%s: rendered %q, want an error", name, content.Subject)
		}
	}
}

func TestASentenceWithoutItsValueIsLeftOut(t *testing.T) {
	t.Parallel()
	content := mustRender(t, testRenderer(t), KindVerifyEmail, Data{Link: testLink})
	if strings.Contains(content.Text, "works once") {
		t.Errorf("the sentence about the expiry is there without one:\n%s", content.Text)
	}
	content = mustRender(t, testRenderer(t), KindLocked, Data{})
	if strings.Contains(content.Text, "locked on") || strings.Contains(content.Text, "0001") {
		t.Errorf("the sentence about the time is there without one:\n%s", content.Text)
	}
}

// The reason of a lock is internal: Data has no field that could carry it.
func TestALockMailHasNothingButTheFact(t *testing.T) {
	t.Parallel()
	var fields []string
	for field := range reflect.TypeFor[Data]().Fields() {
		fields = append(fields, field.Name)
	}
	want := []string{"Name", "Nickname", "Link", "ExpiresIn", "Role", "Locale", "At"}
	if !slices.Equal(fields, want) {
		t.Errorf("Data has the fields %q, want %q: a new one must not leak into mails", fields, want)
	}
}

func TestWithoutASupportAddressTheTeamIsNamed(t *testing.T) {
	t.Parallel()
	product := testProduct()
	product.SupportEmail, product.LogoURL = "", ""
	r, err := NewRenderer(product)
	if err != nil {
		t.Fatal(err)
	}
	content := mustRender(t, r, KindLocked, Data{})
	if !strings.Contains(flat(content.Text), "contact the Acme Users team.") {
		t.Errorf("nobody to contact:\n%s", content.Text)
	}
	if got, want := urlsIn(t, content.HTML), []string{product.URL}; !slices.Equal(got, want) {
		t.Errorf("URLs = %q, want %q", got, want)
	}
	if !strings.Contains(visibleText(t, content.HTML), product.Name) {
		t.Error("without a logo the header does not show the product's name")
	}
}

func TestAMailIsInTheLanguageAskedForOrInEnglish(t *testing.T) {
	t.Parallel()
	r := testRenderer(t)
	german := english()
	german.greeting = "Hallo {name},"
	r.locales["de"] = german
	for tag, want := range map[string]string{
		"": "Hi Ada,", "en": "Hi Ada,", "en-GB": "Hi Ada,", "tlh": "Hi Ada,", "-": "Hi Ada,", "\r\nx-de": "Hi Ada,",
		"de": "Hallo Ada,", "DE": "Hallo Ada,", "de-CH": "Hallo Ada,", "de_AT": "Hallo Ada,", "de-CH-1996": "Hallo Ada,",
	} {
		d := fullData()
		d.Locale = tag
		if content := mustRender(t, r, KindUpgraded, d); !strings.Contains(content.Text, want) {
			t.Errorf("locale %q: text lacks %q", tag, want)
		}
	}
	if got, want := r.Locales(), []string{"de", "en"}; !slices.Equal(got, want) {
		t.Errorf("Locales() = %q, want %q", got, want)
	}
}

func TestAProductThatWouldBreakMailsIsRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Product){
		"no name":             func(p *Product) { p.Name = "" },
		"name on two lines":   func(p *Product) { p.Name = "Acme\r\nBcc: a@example.com" }, // I-18
		"name with U+2028":    func(p *Product) { p.Name = "Acme\u2028x" },
		"name with bidi":      func(p *Product) { p.Name = "Acme\u202e" },
		"name not UTF-8":      func(p *Product) { p.Name = "Acme\xff" },
		"long name":           func(p *Product) { p.Name = strings.Repeat("a", 101) },
		"no URL":              func(p *Product) { p.URL = "" },
		"relative URL":        func(p *Product) { p.URL = "/" },
		"URL without host":    func(p *Product) { p.URL = "https:///x" },
		"script URL":          func(p *Product) { p.URL = "javascript:alert(1)" },
		"script logo":         func(p *Product) { p.LogoURL = "javascript:alert(1)" },
		"logo with attribute": func(p *Product) { p.LogoURL = `https://x.example/" onload="x` },
		"support with name":   func(p *Product) { p.SupportEmail = "Help <help@example.com>" },
	} {
		p := testProduct()
		change(&p)
		if _, err := NewRenderer(p); err == nil {
			t.Errorf("%s: accepted, want an error", name)
		}
	}
}

func TestADurationIsRoundedDownToWords(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		time.Second:                "1 minute",
		time.Minute:                "1 minute",
		30*time.Minute + 59:        "30 minutes",
		time.Hour:                  "1 hour",
		90 * time.Minute:           "90 minutes",
		2 * time.Hour:              "2 hours",
		24*time.Hour - time.Second: "23 hours",
		24 * time.Hour:             "24 hours",
		71 * time.Hour:             "2 days",
		168 * time.Hour:            "7 days",
	} {
		if got := englishDuration(d); got != want {
			t.Errorf("englishDuration(%s) = %q, want %q", d, got, want)
		}
	}
}
