package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

// sameEmails are 40 spellings of one address.
func sameEmails() []string {
	var variants []string
	for _, local := range []string{"ada.lovelace+x", "ADA.LOVELACE+X", "Ada.Lovelace+x", "aDA.lOVELACE+X", " ada.lovelace+x"} {
		for _, domain := range []string{
			"bücher.example", "BÜCHER.EXAMPLE", norm.NFD.String("bücher.example"), "xn--bcher-kva.example", "XN--BCHER-KVA.Example",
			"ｂücher.example", "bücher。example", "Bücher.example \u00a0",
		} {
			variants = append(variants, local+"@"+domain)
		}
	}
	return variants
}

func TestEmailIsUniqueHoweverItIsSpelt(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	variants := sameEmails()
	if len(variants) != 40 {
		t.Fatalf("got %d variants, want 40", len(variants))
	}
	for i, email := range variants {
		got := s.call(http.MethodPost, "/register", "", registrationBody(map[string]any{"email": email}))
		if i == 0 && got.status != http.StatusCreated {
			t.Fatalf("got %d: %s", got.status, got.body)
		}
		if i > 0 {
			got.problem(t, api.ProblemCodeEmailTaken)
		}
	}
	if got := s.count("SELECT count(*) FROM users"); got != 1 {
		t.Errorf("got %d accounts of one address, want 1", got)
	}
	var email, canonical string
	s.scan("SELECT email, email_canonical FROM users", nil, &email, &canonical)
	if email != "ada.lovelace+x@xn--bcher-kva.example" || canonical != email {
		t.Errorf("stored %q and %q", email, canonical)
	}
	for _, distinct := range []string{"adalovelace+x@bücher.example", "ada.lovelace@bücher.example", "ada.lovelace+x@bucher.example"} {
		registered(s, map[string]any{"email": distinct}) // dots and plus tags are kept distinct
	}
	s.mailTo(email, "confirm")
	if got := s.inbox.Mails(variants[0]); len(got) != 0 {
		t.Errorf("a mail went to the typed address instead of the stored one")
	}
}

func TestEmailIsOneBucketHoweverItIsSpelt(t *testing.T) {
	t.Parallel()
	s := newSystem(t, trustedPeer, func(o *server.Options) { o.LoginAttempts = 3 })
	owner := s.account(server.NewAccount{Email: "ada.lovelace+x@bücher.example"})
	variants := append(sameEmails(), sameEmails()...)
	for i := range 20 {
		variants = append(variants, strings.Repeat(" ", i)+strings.ToUpper(owner.email))
	}
	for i, email := range variants {
		s.call(http.MethodPost, "/verify-email/resend", "", map[string]any{"email": email}, "X-Forwarded-For", fmt.Sprintf("192.0.2.%d", i))
		login := "grant_type=password&username=" + urlQuery(email) + "&password=wrong"
		got := s.call(http.MethodPost, "/login", "", login, "Content-Type", "application/x-www-form-urlencoded", "X-Forwarded-For", "198.51.100.1")
		if isThrottled := got.status == http.StatusTooManyRequests; isThrottled != (i >= 3) {
			t.Errorf("attempt %d as %q: got %d", i+1, email, got.status)
		}
	}
	s.idle()
	if got := s.count("SELECT count(*) FROM mails WHERE kind = 'verify_email'"); got != 1 {
		t.Errorf("got %d links mailed, want 1: there is one address", got)
	}
	if got := s.count("SELECT count(DISTINCT address_key) FROM login_failures WHERE address_key <> ''"); got != 1 {
		t.Errorf("got %d counted addresses, want 1", got)
	}
}

// refusedEmails are 60 addresses that no mail may go to.
func refusedEmails() []string {
	longLabel, longLocal := strings.Repeat("a", 64), strings.Repeat("a", 65)
	longDomain := strings.Repeat(strings.Repeat("a", 60)+".", 4) + "example.com"
	return []string{
		// more than one recipient, or more than an address
		"a@x.example.com,b@y.example.com", "a@x.example.com;b@y.example.com", "a@x.example.com b@y.example.com",
		"a@x.example.com\r\nBcc: b@y.example.com", "a@x.example.com\nBcc: b@y.example.com", "a@x.example.com\rBcc: b@y.example.com",
		"a\r\nBcc:b@y.example.com", "a@x.example.com\x00", "a\x00@x.example.com", "a@x.example.com%0d%0aBcc:b@y.example.com",
		"a@x.example.com>", "<a@x.example.com>", "Ada <a@x.example.com>", `"Ada" <a@x.example.com>`, "a@x.example.com (Ada)", "(Ada)a@x.example.com",
		`"a b"@x.example.com`, `"a"@x.example.com`, `"a@b"@x.example.com`, `"a\"@x.example.com`, `a\@b@x.example.com`, "a b@x.example.com",
		"mailto:a@x.example.com", "a@b@x.example.com", "@b.example.com:a@x.example.com", "a:b@x.example.com;", "group:a@x.example.com;",
		// no domain that mail can go to
		"a@[127.0.0.1]", "a@[IPv6:::1]", "a@127.0.0.1", "a@::1", "a@1.2.3.4.5", "a@example.1", "a@localhost", "a@x.localhost", "a@x.local",
		"a@x.invalid", "a@x.test", "a@x.onion", "a@com", "a@", "@x.example.com", "a", "", "a@.example.com", "a@x..example.com",
		"a@example.com.", "a@-x.example.com", "a@x-.example.com", "a@x_y.example.com", "a@" + longLabel + ".example.com", "a@" + longDomain,
		// no local part that every mail server takes, and letters that only look like others
		longLocal + "@x.example.com", ".a@x.example.com", "a.@x.example.com", "a..b@x.example.com", "\u0430da@x.example.com", "ad\u0131a@x.example.com",
		"a\u200bda@x.example.com", "a\u202eda@x.example.com",
	}
}

func TestEmailThatNoMailMayGoToIsRefusedEverywhere(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin, user := s.signedIn(query.UserRoleADMIN), s.signedIn(query.UserRoleAUTHENTICATED)
	samples := refusedEmails()
	if len(samples) != 60 {
		t.Fatalf("got %d samples, want 60", len(samples))
	}
	for _, email := range samples {
		for name, got := range map[string]response{
			"register": s.call(http.MethodPost, "/register", "", registrationBody(map[string]any{"email": email})),
			"invite":   s.call(http.MethodPost, "/users", admin.token, map[string]any{"email": email}),
			"resend":   s.call(http.MethodPost, "/verify-email/resend", "", map[string]any{"email": email}),
			"correct":  s.call(http.MethodPatch, "/users/"+user.id.String(), admin.token, map[string]any{"email": email}, "If-Match", `"2"`),
		} {
			if got.status != http.StatusUnprocessableEntity {
				t.Errorf("%s: %q got %d: %s", name, email, got.status, got.body)
				continue
			}
			if codes := fieldCodes(got.problem(t, api.ProblemCodeValidationFailed)); len(codes) != 1 || len(codes["/email"]) != 1 {
				t.Errorf("%s: %q got %v, want one reason", name, email, codes)
			}
		}
	}
	if got := s.count("SELECT (SELECT count(*) FROM users) + (SELECT count(*) FROM mails)"); got != 2 {
		t.Errorf("got %d accounts and mails, want the two of the test", got)
	}
}

func TestEmailOfLookAlikesNeverReachesSomeoneElse(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	victim := s.account(server.NewAccount{Email: "kim@example.com"})
	for typed, stored := range map[string]string{
		"\u212aim@EXAMPLE.com":    "", // the Kelvin sign is a K, also to NFC
		"kim@e\u00adxample.com":   "", // UTS 46 drops the soft hyphen
		"kim@ex\u0430mple.com":    "kim@xn--exmple-4nf.com",
		"kim@example.\u0441om":    "kim@example.xn--om-nmc",
		"kim@\u0131nstance.com":   "kim@xn--nstance-qfb.com",
		"kim@ﬁle.example.com":     "kim@file.example.com",
		"kim@\u24d4xample.org":    "kim@example.org",
		"kim@stra\u00dfe.example": "kim@xn--strae-oqa.example",
	} {
		got := s.call(http.MethodPost, "/register", "", registrationBody(map[string]any{"email": typed}))
		if stored == "" {
			got.problem(t, api.ProblemCodeEmailTaken)
			continue
		}
		if got.status != http.StatusCreated || !strings.Contains(string(got.body), `"email":"`+stored+`"`) {
			t.Errorf("%q: got %s, want %s", typed, got.body, stored)
		}
		s.mailTo(stored, "confirm")
	}
	if got := s.inbox.Mails(victim.email); len(got) != 0 {
		t.Errorf("got %d mails to somebody else, want none", len(got))
	}
}
