package main

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"usermanager/db/dbtest"
	"usermanager/server"
	"usermanager/server/secret"
)

func TestTheServerGetsEverySetting(t *testing.T) {
	t.Parallel()
	l := loadWith(t, []string{
		"SECRET_KEY=" + goodKey, "PUBLIC_URL=https://accounts.example.com", "REGISTRATION=closed", "REGISTRATION_CONCEAL=true",
		"REGISTRATION_LIMIT=7", "PASSWORD_POLICY=nist", "MAX_LOGIN_ATTEMPTS=3", "LOGIN_WAIT=2m", "ACCESS_TTL=4m", "KEY_ROTATION=48h",
		"SESSION_IDLE=5h", "SESSION_IDLE_REMEMBERED=6h", "SESSION_MAX=7h", "REFRESH_GRACE=1m",
		"CORS_ORIGINS=https://app.example.com", "TRUSTED_PROXIES=10.0.0.0/8", "DOCS=false", "PRODUCT_NAME=Acme",
		"PRODUCT_URL=https://acme.example", "PRODUCT_LOGO_URL=https://acme.example/l.png", "SUPPORT_EMAIL=help@acme.example",
		"LINK_VERIFY_EMAIL=https://app.example.com/v/{token}", "LINK_INVITATION=https://app.example.com/i/{token}",
		"LINK_SIGN_IN=https://app.example.com/in",
	}, nil, "")
	if err := l.err(); err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	got, err := l.serverOptions(nil, logger, relayed{})
	if err != nil {
		t.Fatal(err)
	}
	links := server.LinkTemplates{
		VerifyEmail: "https://app.example.com/v/{token}", Invitation: "https://app.example.com/i/{token}", SignIn: "https://app.example.com/in",
	}
	for name, holds := range map[string]bool{
		"logger":          got.Logger == logger,
		"mail":            got.Mail == relayed{},
		"key":             got.Secret != nil && got.Hasher != nil,
		"public URL":      got.PublicURL.String() == "https://accounts.example.com",
		"registration":    !got.RegistrationOpen && got.RegistrationConceal && got.RegistrationLimit == 7,
		"password policy": got.PasswordPolicy == secret.PolicyNIST,
		"sign-in":         got.LoginAttempts == 3 && got.LoginWait == 2*time.Minute && got.AccessTTL == 4*time.Minute,
		"sessions": got.SessionIdle == 5*time.Hour && got.SessionIdleRemembered == 6*time.Hour && got.SessionMax == 7*time.Hour &&
			got.RefreshGrace == time.Minute,
		"rotation": got.KeyTimes == server.KeyTimes{Rotation: 48 * time.Hour},
		"origins":  slices.Equal(got.CORSOrigins, []string{"https://app.example.com"}) && !got.CORSLocalhost,
		"proxies":  slices.Equal(got.TrustedProxies, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}),
		"docs":     !got.Docs,
		"version":  got.Version != "",
		"product": got.Product.Name == "Acme" && got.Product.URL == "https://acme.example" &&
			got.Product.LogoURL == "https://acme.example/l.png" && got.Product.SupportEmail == "help@acme.example",
		"links": reflect.DeepEqual(got.Links, map[string]server.LinkTemplates{"": links}),
		"inbox": got.Inbox == nil, // of dev only
	} {
		if !holds {
			t.Errorf("the server has another %s: %+v", name, got)
		}
	}
}

func TestTheOldKeyIsAcceptedBesideTheNewOne(t *testing.T) {
	t.Parallel()
	const newKey = "m0p3sVhR5xZ8cLwK6dE2gAYk4XU0mJ1tUvM0Y2n9oQ7="
	old, err := (&config{SecretKey: hide(goodKey)}).root()
	if err != nil {
		t.Fatal(err)
	}
	both, err := (&config{SecretKey: hide(newKey), SecretKeyPrevious: hide(goodKey)}).root()
	if err != nil {
		t.Fatal(err)
	}
	if !both.Matches(old.CheckValue()) || both.IsCurrent(old.CheckValue()) {
		t.Error("the previous key is not accepted, or taken for the current one")
	}
	if _, err := (&config{}).root(); err == nil {
		t.Error("no key at all is accepted")
	}
	if _, err := new(loaded).serverOptions(nil, nil, nil); err == nil || !strings.Contains(err.Error(), "SECRET_KEY") {
		t.Errorf("options without a key: %v", err)
	}
}

func TestServeOnADatabaseOfAnotherKeySaysSo(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	first := start(t, withEnv(serveEnv(url)...), "serve")
	if first.stderr.wait(`"msg":"ready"`, first.done) == nil {
		t.Fatalf("not ready:\n%s", first.stderr)
	}
	other := append(serveEnv(url), "SECRET_KEY=m0p3sVhR5xZ8cLwK6dE2gAYk4XU0mJ1tUvM0Y2n9oQ7=")
	got := runCommand(t, withEnv(other...), "serve")
	if got.code != 1 || !strings.Contains(got.stderr, "SECRET_KEY") || strings.Count(got.stderr, "\n") != 1 {
		t.Errorf("exit code %d with\n%s", got.code, got.stderr)
	}
}

func TestAStopIsAnnouncedBeforeItHappens(t *testing.T) {
	t.Parallel()
	r := start(t, withEnv(serveEnv(dbtest.URL(t), "DRAIN_DELAY=3s")...), "serve") // F-30
	ready := r.stderr.wait(`"msg":"ready","address":"([^"]+)"`, r.done)
	if ready == nil {
		t.Fatalf("not ready:\n%s", r.stderr)
	}
	url := "http://" + ready[1] + "/readyz"
	if status := get(t, url); status != http.StatusOK {
		t.Fatalf("/readyz is %d, want 200", status)
	}
	begun := time.Now()
	r.cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for status := 0; status != http.StatusServiceUnavailable; {
		select {
		case <-again.C:
			status = get(t, url)
		case <-r.done:
			t.Fatal("it stopped without a refusal of /readyz")
		}
	}
	if status := get(t, "http://"+ready[1]+"/livez"); status != http.StatusOK {
		t.Errorf("/livez is %d while it drains, want 200", status)
	}
	if code := r.stop(t); code != 0 || time.Since(begun) < 3*time.Second {
		t.Errorf("exit code %d after %s, want 0 after the delay", code, time.Since(begun))
	}
}

func TestLogsAreJSONOrTextOfALevel(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		env  []string
		want string
	}{
		"json":        {nil, `"level":"INFO","msg":"hello","key":"value"`},
		"text":        {[]string{"LOG_FORMAT=text"}, "level=INFO msg=hello key=value"},
		"errors only": {[]string{"LOG_LEVEL=error"}, ""},
	} {
		var out bytes.Buffer
		l := loadWith(t, test.env, nil, "")
		l.config.logger(&out).Info("hello", "key", "value")
		if got := out.String(); !strings.Contains(got, test.want) || test.want == "" && got != "" {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestASecretInALogIsHidden(t *testing.T) {
	t.Parallel()
	l := loadWith(t, []string{"DATABASE_URL=postgres://u:" + canary + "@h/d", "SMTP_URL=smtp://u:" + canary + "@h"}, nil, "")
	for _, format := range []string{"json", "text"} {
		var out bytes.Buffer
		c := config{LogJSON: format == "json"}
		c.logger(&out).Info("settings", "config", l.config, "pointer", &l.config, "url", l.config.DatabaseURL, "smtp", l.config.SMTP)
		if strings.Contains(out.String(), canary) { // H-09
			t.Errorf("%s: %s", format, out.String())
		}
	}
}
