package main

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"usermanager/server"
	"usermanager/server/secret"
)

// loadWith reads settings as a command would, without running one.
func loadWith(t *testing.T, env, flags []string, file string) *loaded {
	t.Helper()
	p := process{env: env, dir: t.TempDir(), cores: 2}
	set := pflag.NewFlagSet("test", pflag.ContinueOnError)
	set.String("config", "", "")
	addFlags(set)
	if file != "" {
		writeTo(t, filepath.Join(p.dir, defaultFile), file)
	}
	if err := set.Parse(flags); err != nil {
		t.Fatal(err)
	}
	return p.load(set, nil)
}

func writeTo(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSettingsHaveTheirDefaults(t *testing.T) {
	t.Parallel()
	l := loadWith(t, nil, nil, "")
	if err := l.err(); err != nil {
		t.Fatalf("without any setting: %v", err)
	}
	c := l.config
	for name, got := range map[string]bool{
		"LISTEN_ADDR":              c.ListenAddr == ":8080",
		"PUBLIC_URL":               c.PublicURL.String() == "http://localhost:8080",
		"PRODUCT_URL":              c.ProductURL == "http://localhost:8080",
		"REGISTRATION":             c.RegistrationOpen,
		"REGISTRATION_CONCEAL":     !c.RegistrationConceal,
		"REGISTRATION_LIMIT":       c.RegistrationLimit == 1000,
		"PASSWORD_POLICY":          c.PasswordPolicy == secret.PolicyComposition,
		"MAX_LOGIN_ATTEMPTS":       c.MaxLoginAttempts == 5,
		"LOGIN_WAIT":               c.LoginWait == time.Minute,
		"ACCESS_TTL":               c.AccessTTL == 15*time.Minute,
		"SESSION_IDLE":             c.SessionIdle == 24*time.Hour,
		"SESSION_IDLE_REMEMBERED":  c.SessionIdleRemembered == 30*24*time.Hour,
		"SESSION_MAX":              c.SessionMax == 90*24*time.Hour,
		"REFRESH_GRACE":            c.RefreshGrace == 2*time.Minute,
		"KEY_ROTATION":             c.KeyRotation == 90*24*time.Hour,
		"DOCS":                     c.Docs,
		"LOG_LEVEL":                c.LogLevel == slog.LevelInfo,
		"LOG_FORMAT":               c.LogJSON,
		"DRAIN_DELAY":              c.DrainDelay == 5*time.Second,
		"DATABASE_MAX_CONNECTIONS": c.DatabaseMaxConnections == 8,
		"CORS_ORIGINS":             c.CORSOrigins == nil,
		"TRUSTED_PROXIES":          c.TrustedProxies == nil,
		"SECRET_KEY":               c.SecretKey.reveal() == "",
	} {
		if !got {
			t.Errorf("%s has another default", name)
		}
	}
}

func TestConnectionsGrowWithTheCores(t *testing.T) {
	t.Parallel()
	for cores, want := range map[int]int{1: 8, 2: 8, 3: 12, 16: 64} {
		p := process{dir: t.TempDir(), cores: cores}
		l := p.load(pflag.NewFlagSet("", pflag.ContinueOnError), nil)
		if got := l.config.DatabaseMaxConnections; got != want {
			t.Errorf("%d cores: %d connections, want %d", cores, got, want)
		}
	}
}

func TestEverySettingIsParsedAndChecked(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		good map[string]func(c *config) bool
		bad  []string
	}{
		"DATABASE_URL": {
			good: map[string]func(*config) bool{
				"postgres://u:p@h:5432/d":             func(c *config) bool { return c.DatabaseURL.reveal() == "postgres://u:p@h:5432/d" },
				"postgres://u@a,b/d?pool_max_conns=3": func(*config) bool { return true },
				"host=h user=u password=p dbname=d":   func(*config) bool { return true },
			},
			bad: []string{"postgres://u:p%zz@h/d", "mysql://u:hunter22@h/d", "postgres://u:p@h:port/d",
				"postgres://u:p@h/d?sslmode=verify-full&sslrootcert=/nowhere/ca.pem", "postgres://u:p@h/d?pool_max_conns=x"},
		},
		"DATABASE_MAX_CONNECTIONS": {
			good: map[string]func(*config) bool{"20": func(c *config) bool { return c.DatabaseMaxConnections == 20 }},
			bad:  []string{"1", "0", "-3", "1001", "many", "8.5"},
		},
		"LISTEN_ADDR": {
			good: map[string]func(*config) bool{
				":0":         func(c *config) bool { return c.ListenAddr == ":0" },
				"[::1]:8080": func(c *config) bool { return c.ListenAddr == "[::1]:8080" },
				"0.0.0.0:80": func(c *config) bool { return c.ListenAddr == "0.0.0.0:80" },
			},
			bad: []string{"8080", "localhost", "localhost:http", ":65536", ":-1", "::1:8080"},
		},
		"PUBLIC_URL": {
			good: map[string]func(*config) bool{
				"https://accounts.example.com/":  func(c *config) bool { return c.PublicURL.String() == "https://accounts.example.com" },
				"https://example.com/accounts//": func(c *config) bool { return c.PublicURL.Path == "/accounts" },
			},
			bad: []string{"accounts.acme.example", "ftp://example.com", "https://", "https://u:p@example.com",
				"https://example.com?a=b", "https://example.com#top", "https://exa mple.com", "//example.com"},
		},
		"SECRET_KEY": {
			good: map[string]func(*config) bool{goodKey: func(c *config) bool { return len(c.SecretKey.reveal()) == 32 }},
			bad:  []string{"short", "a_very_secret_key", "change-me-change-me-change-me-change-me", strings.Repeat("ab", 40)},
		},
		"SECRET_KEY_PREVIOUS": {
			good: map[string]func(*config) bool{goodKey: func(c *config) bool { return len(c.SecretKeyPrevious.reveal()) == 32 }},
			bad:  []string{"short"},
		},
		"SMTP_URL": {
			good: map[string]func(*config) bool{
				"smtp://u:p@mail.example.com": func(c *config) bool { return c.SMTP.Addr() == "mail.example.com:587" },
			},
			bad: []string{"mail.example.com", "http://mail.example.com", "smtp://u:p%@h", "smtps://h?ca=/nowhere/ca.pem"},
		},
		"MAIL_FROM": {
			good: map[string]func(*config) bool{
				"Acme <a@example.com>": func(c *config) bool { return c.MailFrom.String() == `"Acme" <a@example.com>` },
			},
			bad: []string{"Acme", "a@example.com, b@example.com", "a@"},
		},
		"REGISTRATION": {
			good: map[string]func(*config) bool{
				"closed": func(c *config) bool { return !c.RegistrationOpen }, "OPEN": func(c *config) bool { return c.RegistrationOpen },
			},
			bad: []string{"no", "true"},
		},
		"REGISTRATION_CONCEAL": {
			good: map[string]func(*config) bool{"true": func(c *config) bool { return c.RegistrationConceal }},
			bad:  []string{"1", "yes"},
		},
		"REGISTRATION_LIMIT": {
			good: map[string]func(*config) bool{"10": func(c *config) bool { return c.RegistrationLimit == 10 }},
			bad:  []string{"0", "-1", "1000001", "ten"},
		},
		"PASSWORD_POLICY": {
			good: map[string]func(*config) bool{"nist": func(c *config) bool { return c.PasswordPolicy == secret.PolicyNIST }},
			bad:  []string{"none", "strong"},
		},
		"MAX_LOGIN_ATTEMPTS": {
			good: map[string]func(*config) bool{"3": func(c *config) bool { return c.MaxLoginAttempts == 3 }},
			bad:  []string{"0", "101", "x"},
		},
		"LOGIN_WAIT": {
			good: map[string]func(*config) bool{"90s": func(c *config) bool { return c.LoginWait == 90*time.Second }},
			bad:  []string{"0", "60", "2h", "-1m", "500ms"},
		},
		"ACCESS_TTL": {
			good: map[string]func(*config) bool{"5m": func(c *config) bool { return c.AccessTTL == 5*time.Minute }},
			bad:  []string{"0s", "900", "-5m", "forever"},
		},
		"SESSION_IDLE": {
			good: map[string]func(*config) bool{"8h": func(c *config) bool { return c.SessionIdle == 8*time.Hour }},
			bad:  []string{"0s", "30s", "1d", "9000h"},
		},
		"SESSION_IDLE_REMEMBERED": {
			good: map[string]func(*config) bool{"48h": func(c *config) bool { return c.SessionIdleRemembered == 48*time.Hour }},
			bad:  []string{"-1h", "forever"},
		},
		"SESSION_MAX": {
			good: map[string]func(*config) bool{"240h": func(c *config) bool { return c.SessionMax == 240*time.Hour }},
			bad:  []string{"0", "10000h"},
		},
		"REFRESH_GRACE": {
			good: map[string]func(*config) bool{"30s": func(c *config) bool { return c.RefreshGrace == 30*time.Second }},
			bad:  []string{"30", "11m", "-1s", "5s"},
		},
		"KEY_ROTATION": {
			good: map[string]func(*config) bool{
				"0":   func(c *config) bool { return c.KeyRotation == 0 },
				"24h": func(c *config) bool { return c.KeyRotation == 24*time.Hour },
			},
			bad: []string{"1h", "90d", "-24h", "90000h", "never"},
		},
		"CORS_ORIGINS": {
			good: map[string]func(*config) bool{
				"https://a.example.com, http://localhost:3000": func(c *config) bool {
					return slices.Equal(c.CORSOrigins, []string{"https://a.example.com", "http://localhost:3000"})
				},
			},
			bad: []string{"*", "null", "https://*.example.com", "https://a.example.com/", "HTTPS://a.example.com",
				"a.example.com", "https://A.example.com", "https://a.example.com,https://b.example.com/x"},
		},
		"TRUSTED_PROXIES": {
			good: map[string]func(*config) bool{
				"10.1.2.3/8,192.0.2.7,2001:db8::/32": func(c *config) bool {
					return slices.Equal(c.TrustedProxies, []netip.Prefix{
						netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("2001:db8::/32"),
					})
				},
			},
			bad: []string{"10.0.0.0/33", "proxy.example.com", "fe80::1%eth0", "10.0.0.0-10.0.0.9"},
		},
		"DOCS": {
			good: map[string]func(*config) bool{"false": func(c *config) bool { return !c.Docs }},
			bad:  []string{"off"},
		},
		"PRODUCT_NAME": {
			good: map[string]func(*config) bool{"Acme Users": func(c *config) bool { return c.ProductName == "Acme Users" }},
			bad:  []string{"Acme\nBcc: x@example.com", strings.Repeat("x", 101)},
		},
		"PRODUCT_URL": {
			good: map[string]func(*config) bool{"https://acme.example": func(c *config) bool { return c.ProductURL == "https://acme.example" }},
			bad:  []string{"acme.example", "javascript:alert(1)"},
		},
		"PRODUCT_LOGO_URL": {
			good: map[string]func(*config) bool{"https://acme.example/l.png": func(c *config) bool { return c.ProductLogoURL != "" }},
			bad:  []string{"/logo.png", "data:image/png;base64,AA"},
		},
		"SUPPORT_EMAIL": {
			good: map[string]func(*config) bool{"help@example.com": func(c *config) bool { return c.SupportEmail == "help@example.com" }},
			bad:  []string{"help", "Help <help@example.com>"},
		},
		"LINK_VERIFY_EMAIL": {
			good: map[string]func(*config) bool{
				"https://app.example.com/#/verify?t={token}": func(c *config) bool { return c.LinkVerifyEmail != "" },
				"acme-app:verify/{token}":                    func(c *config) bool { return c.LinkVerifyEmail != "" },
			},
			bad: []string{"https://app.example.com/verify", "/verify/{token}", "javascript:go('{token}')", "data:text/html,{token}",
				"https://{token}", "https://{token}.example.com/", "https:///verify/{token}", "https://a.example/{token}/{token}",
				"https://a.example/ {token}", "https://u:p@a.example/{token}", "file:///{token}"},
		},
		"LINK_INVITATION": {
			good: map[string]func(*config) bool{"https://a.example/{token}": func(c *config) bool { return c.LinkInvitation != "" }},
			bad:  []string{"https://a.example/"},
		},
		"LINK_CANCEL_DELETION": {
			good: map[string]func(*config) bool{"https://a.example/{token}": func(c *config) bool { return c.LinkCancelDeletion != "" }},
			bad:  []string{"https://a.example/", "javascript:{token}"},
		},
		"LINK_RESET_PASSWORD": {
			good: map[string]func(*config) bool{"https://a.example/{token}": func(c *config) bool { return c.LinkResetPassword != "" }},
			bad:  []string{"https://a.example/"},
		},
		"LINK_CONFIRM_EMAIL_CHANGE": {
			good: map[string]func(*config) bool{"https://a.example/{token}": func(c *config) bool { return c.LinkConfirmEmailChange != "" }},
			bad:  []string{"https://a.example/"},
		},
		"LINK_REVOKE_EMAIL_CHANGE": {
			good: map[string]func(*config) bool{"https://a.example/{token}": func(c *config) bool { return c.LinkRevokeEmailChange != "" }},
			bad:  []string{"https://a.example/"},
		},
		"LINK_CHANGE_PASSWORD": {
			good: map[string]func(*config) bool{"https://a.example/pw": func(c *config) bool { return c.LinkChangePassword != "" }},
			bad:  []string{"https://a.example/{token}", "pw"},
		},
		"LINK_SIGN_IN": {
			good: map[string]func(*config) bool{"https://a.example/in": func(c *config) bool { return c.LinkSignIn != "" }},
			bad:  []string{"https://a.example/{token}", "in"},
		},
		"BOOTSTRAP_ADMIN_EMAIL": {bad: []string{"admin", "a@b@c"}},
		"LOG_LEVEL": {
			good: map[string]func(*config) bool{"debug": func(c *config) bool { return c.LogLevel == slog.LevelDebug }},
			bad:  []string{"verbose", "4"},
		},
		"LOG_FORMAT": {
			good: map[string]func(*config) bool{"text": func(c *config) bool { return !c.LogJSON }},
			bad:  []string{"xml"},
		},
		"DRAIN_DELAY": {
			good: map[string]func(*config) bool{"0s": func(c *config) bool { return c.DrainDelay == 0 }},
			bad:  []string{"-1s", "6m"},
		},
		"BOOTSTRAP_ADMIN_PASSWORD": {bad: []string{"alone*1234"}},
	}
	for _, s := range allSettings() {
		test, tested := tests[s.name]
		if !tested {
			t.Errorf("%s has no test", s.name)
		}
		for value, holds := range test.good {
			l := loadWith(t, []string{s.name + "=" + value}, nil, "")
			if err := l.err(); err != nil || !holds(&l.config) {
				t.Errorf("%s=%s: %+v, error %v", s.name, value, l.config, err)
			}
		}
		for _, value := range test.bad {
			err := loadWith(t, []string{s.name + "=" + value}, nil, "").err()
			if err == nil || !strings.Contains(err.Error(), s.name) || strings.Count(err.Error(), "\n") > 0 {
				t.Errorf("%s=%s: want one sentence with the name, got %v", s.name, value, err)
			} else if len(value) > 12 && strings.Contains(err.Error(), value) {
				t.Errorf("%s: the sentence repeats the value: %v", s.name, err) // H-09
			}
		}
	}
}

func TestAFlagBeatsTheEnvironmentBeatsTheFile(t *testing.T) {
	t.Parallel()
	const file = "listen_addr: ':1'\npublic_url: http://file.example\nproduct_name: File\ndocs: false\nlog_level: error\n"
	l := loadWith(t, []string{"LISTEN_ADDR=:2", "PUBLIC_URL=http://environment.example", "LOG_LEVEL="}, []string{"--listen", ":3"}, file)
	if err := l.err(); err != nil {
		t.Fatal(err)
	}
	c := l.config
	if c.ListenAddr != ":3" || c.PublicURL.Host != "environment.example" || c.ProductName != "File" || c.Docs ||
		c.LogLevel != slog.LevelError { // an empty variable is an unset one
		t.Errorf("got %+v", c)
	}
	want := map[string]string{
		"LISTEN_ADDR": "flag", "PUBLIC_URL": "environment", "PRODUCT_NAME": "file", "DOCS": "file",
		"REGISTRATION": "default", "SUPPORT_EMAIL": "",
	}
	for _, r := range l.rows {
		if source, asked := want[r.name]; asked && r.source != source {
			t.Errorf("%s comes from %q, want %q", r.name, r.source, source)
		}
	}
}

func TestASwitchNeedsNoValueAsAFlag(t *testing.T) {
	t.Parallel()
	l := loadWith(t, []string{"REGISTRATION_CONCEAL=false"}, []string{"--registration-conceal", "--docs=false"}, "")
	if !l.config.RegistrationConceal || l.config.Docs {
		t.Errorf("got conceal %v, docs %v", l.config.RegistrationConceal, l.config.Docs)
	}
}

func TestNoSecretHasAFlag(t *testing.T) {
	t.Parallel()
	for _, s := range allSettings() {
		if s.secret && s.flag != "" { // the process list shows arguments
			t.Errorf("%s has the flag --%s", s.name, s.flag)
		}
		if s.about == "" || !strings.HasSuffix(s.about, ".") {
			t.Errorf("%s is described by %q, want a sentence", s.name, s.about)
		}
	}
}

func TestEverythingWrongIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	l := loadWith(t, []string{"LISTEN_ADDR=x", "DOCS=x", "LOG_LEVEL=x"}, []string{"--public-url", "x"}, "prot: 1\nmail_from: x\n")
	text := l.err().Error()
	for _, want := range []string{
		"LISTEN_ADDR (environment)", "DOCS (environment)", "LOG_LEVEL (environment)", "PUBLIC_URL (flag)", "MAIL_FROM (file)", "prot",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in:\n%s", want, text)
		}
	}
	if got := strings.Count(text, "\n") + 1; got != 6 {
		t.Errorf("%d sentences, want 6:\n%s", got, text)
	}
}

func TestBootstrapSettingsComeTogether(t *testing.T) {
	t.Parallel()
	for _, alone := range []string{"BOOTSTRAP_ADMIN_EMAIL=a@example.com", "BOOTSTRAP_ADMIN_PASSWORD=Secure*1234"} {
		if err := loadWith(t, []string{alone}, nil, "").err(); err == nil || !strings.Contains(err.Error(), "together") {
			t.Errorf("%s alone: %v", alone, err)
		}
	}
	both := []string{"BOOTSTRAP_ADMIN_EMAIL=a@example.com", "BOOTSTRAP_ADMIN_PASSWORD=Secure*1234"}
	l := loadWith(t, both, nil, "")
	if err := l.err(); err != nil || l.config.BootstrapAdminPassword.reveal() != "Secure*1234" {
		t.Errorf("both: %v", err)
	}
}

func TestClientsAreNamedSetsOfLinks(t *testing.T) {
	t.Parallel()
	l := loadWith(t, []string{"LINK_SIGN_IN=https://a.example/in"}, nil, `
clients:
  web:
    link_verify_email: https://web.example/#/verify/{token}
    link_invitation: https://web.example/#/join/{token}
    link_sign_in: https://web.example/#/in
    link_reset_password: https://web.example/#/reset/{token}
    link_confirm_email_change: https://web.example/#/confirm/{token}
    link_revoke_email_change: https://web.example/#/revoke/{token}
    link_cancel_deletion: https://web.example/#/keep/{token}
  ios_app:
    link_verify_email: acme:verify/{token}
  empty: {}
`)
	if err := l.err(); err != nil {
		t.Fatal(err)
	}
	want := map[string]server.LinkTemplates{
		"": {SignIn: "https://a.example/in"},
		"web": {
			VerifyEmail: "https://web.example/#/verify/{token}", Invitation: "https://web.example/#/join/{token}",
			SignIn: "https://web.example/#/in", ResetPassword: "https://web.example/#/reset/{token}",
			ConfirmEmailChange: "https://web.example/#/confirm/{token}", RevokeEmailChange: "https://web.example/#/revoke/{token}",
			CancelDeletion: "https://web.example/#/keep/{token}",
		},
		"ios_app": {VerifyEmail: "acme:verify/{token}"},
		"empty":   {},
	}
	if len(l.links) != len(want) {
		t.Errorf("got %d sets, want %d", len(l.links), len(want))
	}
	for name, links := range want {
		if l.links[name] != links {
			t.Errorf("client %q: got %+v, want %+v", name, l.links[name], links)
		}
	}
}

func TestBadClientsAreRefusedByName(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"clients: [web]": "clients must be a map",
		"clients: {Web: {link_sign_in: 'https://a.example'}}":        `"Web"`,
		"clients: {web: https://a.example}":                          "clients.web must be a map",
		"clients: {web: {link_reset: 'https://a.example'}}":          "unknown key link_reset",
		"clients: {web: {link_verify_email: 'https://a.example'}}":   "clients.web.link_verify_email",
		"clients: {web: {link_reset_password: 'https://a.example'}}": "clients.web.link_reset_password",
		"clients: {web: {link_sign_in: {a: b}}}":                     "clients.web.link_sign_in",
	} {
		if err := loadWith(t, nil, nil, file).err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", file, err, want)
		}
	}
}
