package mail

import (
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"usermanager/server/mail/mailtest"
)

func TestAnSMTPURLNamesTheServerAndItsProtection(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]struct {
		shown string
		auth  bool
	}{
		"smtp://mail.example.com":                    {"smtp://mail.example.com:587", false},
		"smtp://user:pass@mail.example.com":          {"smtp://mail.example.com:587", true},
		"smtp://a%40b.example:p%2F%3A%23@host:2525/": {"smtp://host:2525", true},
		"smtps://user:pass@mail.example.com":         {"smtps://mail.example.com:465", true},
		"smtps://mail.example.com:4650":              {"smtps://mail.example.com:4650", false},
		"smtp+plain://mailpit:1025":                  {"smtp+plain://mailpit:1025", false},
		"smtp+plain://relay.internal":                {"smtp+plain://relay.internal:25", false},
		"smtp+plain://user:pass@127.0.0.1":           {"smtp+plain://127.0.0.1:25", true},
		"smtp+plain://user:pass@localhost:1025":      {"smtp+plain://localhost:1025", true},
		"smtp+plain://user:pass@[::1]:1025":          {"smtp+plain://[::1]:1025", true},
		"smtps://user:pass@[2001:db8::1]":            {"smtps://[2001:db8::1]:465", true},
		"SMTP://mail.example.com:587":                {"smtp://mail.example.com:587", false},
	} {
		u, err := ParseURL(raw)
		if err != nil {
			t.Errorf("ParseURL(%q): %v", raw, err)
			continue
		}
		if u.String() != want.shown || (u.signIn != nil) != want.auth {
			t.Errorf("ParseURL(%q) = %s, signs in: %t; want %s, %t", raw, u, u.signIn != nil, want.shown, want.auth)
		}
	}
}

func TestCredentialsAreDecodedFromTheURL(t *testing.T) {
	t.Parallel()
	u, err := ParseURL("smtps://a%40b.example:p%2F%3A%23%20@host")
	if err != nil {
		t.Fatal(err)
	}
	if c := u.signIn(); c.user != "a@b.example" || c.password != "p/:# " || c.host != "host" {
		t.Errorf("credentials = %q %q for %q", c.user, c.password, c.host)
	}
}

// Where the password was not percent-encoded, any part of the URL may be it.
func TestABadSMTPURLIsRefusedWithoutShowingThePassword(t *testing.T) { // H-09
	t.Parallel()
	folder := t.TempDir()
	empty := filepath.Join(folder, "empty.pem")
	if err := os.WriteFile(empty, []byte("hunter2 is no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string]string{
		"empty":                     "",
		"no scheme":                 "user:hunter2@host:587",
		"other scheme":              "http://user:hunter2@host",
		"no host":                   "smtp://user:hunter2@",
		"only a port":               "smtp://user:hunter2@:587",
		"port is a word":            "smtp://user:hunter2@host:submission",
		"port 0":                    "smtp://user:hunter2@host:0",
		"port too high":             "smtp://user:hunter2@host:65536",
		"slash in password":         "smtp://user:hunter2/x@host",
		"number and slash":          "smtp://user:25/hunter2@host",
		"hash in password":          "smtp://user:25#hunter2@host",
		"question mark in password": "smtp://user:25?hunter2@host",
		"percent in password":       "smtp://user:hunter2%zz@host",
		"space in password":         "smtp://user:hunter2 x@host",
		"line break":                "smtp://user:hunter2\n@host",
		"path":                      "smtp://user:hunter2@host/hunter2",
		"fragment":                  "smtp://user:hunter2@host#hunter2",
		"unknown parameter":         "smtp://user:hunter2@host?hunter2=1",
		"skipping verification":     "smtp://user:hunter2@host?insecure=true",
		"tls=none":                  "smtp://user:hunter2@host?tls=none",
		"query not well-formed":     "smtp://user:hunter2@host?ca=%zz",
		"two CAs":                   "smtp://user:hunter2@host?ca=a&ca=b",
		"empty CA":                  "smtp://user:hunter2@host?ca=",
		"missing CA file":           "smtp://user:hunter2@host?ca=" + url.QueryEscape(filepath.Join(folder, "none.pem")),
		"CA file without one":       "smtp://user:hunter2@host?ca=" + url.QueryEscape(empty),
		"CA without TLS":            "smtp+plain://user:hunter2@localhost?ca=" + url.QueryEscape(empty),
		"password in the open":      "smtp+plain://user:hunter2@mail.example.com",
		"password to 127.evil":      "smtp+plain://user:hunter2@127.0.0.1.evil.example",
		"user without password":     "smtp://hunter2@host",
		"password without user":     "smtp://:hunter2@host",
		"empty password":            "smtp://hunter2:@host",
	} {
		u, err := ParseURL(raw)
		if err == nil {
			t.Errorf("%s: ParseURL(%q) = %s, want an error", name, raw, u)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: error shows the password: %v", name, err)
		}
	}
}

func TestThePasswordIsNeverPrinted(t *testing.T) { // H-09
	t.Parallel()
	u, err := ParseURL("smtp://user-canary:hunter2-canary@mail.example.com")
	if err != nil {
		t.Fatal(err)
	}
	from, err := ParseFrom("noreply@example.com")
	if err != nil {
		t.Fatal(err)
	}
	sender := NewSMTP(u, from)
	type holder struct {
		Public  any
		private any
		byValue ServerURL
		sender  SMTP
	}
	var logged strings.Builder
	logger := slog.New(slog.NewJSONHandler(&logged, nil))
	logger.Info("start", "url", u, "sender", sender, "holder", holder{u, sender, *u, *sender})
	printed := []string{logged.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		for _, value := range []any{u, *u, sender, *sender, holder{u, sender, *u, *sender}, &holder{u, sender, *u, *sender}, []any{u, sender}} {
			printed = append(printed, fmt.Sprintf(verb, value))
		}
	}
	for _, line := range printed {
		if strings.Contains(line, "canary") || strings.Contains(line, fmt.Sprintf("%x", "canary")) {
			t.Errorf("the credentials are printed: %s", line)
		}
	}
	for _, shown := range []string{u.String(), u.GoString(), sender.String(), sender.GoString(), u.LogValue().String(), sender.LogValue().String()} {
		if shown != "smtp://mail.example.com:587" {
			t.Errorf("shown as %q, want smtp://mail.example.com:587", shown)
		}
	}
}

func TestACAFileReplacesTheSystemsAuthorities(t *testing.T) {
	t.Parallel()
	server := mailtest.Start(t, mailtest.TLS())
	u, err := ParseURL(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	config := u.tlsConfig()
	if config.RootCAs == nil || config.InsecureSkipVerify || config.ServerName != "127.0.0.1" || config.MinVersion < 0x0303 {
		t.Errorf("TLS: own roots %t, skips verification %t, name %q, minimum %#x",
			config.RootCAs != nil, config.InsecureSkipVerify, config.ServerName, config.MinVersion)
	}
}
