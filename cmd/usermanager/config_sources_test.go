package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestTheFileSpeaksYAML(t *testing.T) {
	t.Parallel()
	l := loadWith(t, nil, nil, `
# numbers, switches, lists and nothing at all
registration_limit: 50
docs: false
cors_origins: [https://a.example.com, https://b.example.com]
drain_delay: 2s
support_email:
product_name: ""
`)
	if err := l.err(); err != nil {
		t.Fatal(err)
	}
	c := l.config
	if c.RegistrationLimit != 50 || c.Docs || len(c.CORSOrigins) != 2 || c.DrainDelay.Seconds() != 2 ||
		c.SupportEmail != "" || c.ProductName != "User Management System" {
		t.Errorf("got %+v", c)
	}
}

func TestABadFileIsRefusedInOneSentence(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"lisen_addr: ':1'":             "unknown key lisen_addr",
		"LISTEN_ADDR: ':1'":            "listen_addr",
		"docs: true\ndocs: false":      "line 2",
		"docs: [unclosed":              "not a YAML map",
		"- docs":                       "not a YAML map",
		"just text":                    "not a YAML map",
		"docs: {a: b}":                 "DOCS",
		"cors_origins: [{a: b}]":       "CORS_ORIGINS",
		"listen_addr_file: /some/file": "unknown key listen_addr_file", // only secrets come from files
	} {
		err := loadWith(t, nil, nil, file).err()
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want %q", file, err, want)
		}
	}
}

func TestConfigNamesAnotherFile(t *testing.T) {
	t.Parallel()
	path := writeTo(t, filepath.Join(t.TempDir(), "other.yaml"), "product_name: Other\n")
	if got := runCommand(t, nil, "config", "--config", path); got.code != 0 || !strings.Contains(got.stdout, "Other") {
		t.Errorf("exit code %d with\n%s%s", got.code, got.stdout, got.stderr)
	}
	if got := runCommand(t, nil, "config", "--config", path+".missing"); got.code != 1 || !strings.Contains(got.stderr, "configuration file") {
		t.Errorf("a file that is not there: exit code %d with %q", got.code, got.stderr)
	}
}

func TestASecretComesFromAFile(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	key := writeTo(t, filepath.Join(folder, "key"), goodKey+"\n")
	url := writeTo(t, filepath.Join(folder, "url"), " postgres://u:p@h/d \r\n")

	l := loadWith(t, []string{"SECRET_KEY_FILE=" + key}, nil, "database_url_file: "+url+"\nsecret_key: overridden-by-the-environment\n")
	if err := l.err(); err != nil {
		t.Fatal(err)
	}
	if l.config.DatabaseURL.reveal() != "postgres://u:p@h/d" || len(l.config.SecretKey.reveal()) != 32 {
		t.Errorf("got the URL %q and a key of %d bytes", l.config.DatabaseURL.reveal(), len(l.config.SecretKey.reveal()))
	}
}

func TestASecretFileThatCannotBeUsedIsNamedBySetting(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	empty := writeTo(t, filepath.Join(folder, "empty"), "\n")
	large := writeTo(t, filepath.Join(folder, "large"), strings.Repeat("x", maxSecretFile+1))
	for value, want := range map[string]string{
		empty: "empty", large: "KiB", folder: "cannot be read", filepath.Join(folder, "missing"): "cannot be read",
		goodKey: "cannot be read", // the key itself where its file's name should be
	} {
		l := loadWith(t, []string{"SECRET_KEY_FILE=" + value}, nil, "")
		l.require("SECRET_KEY")
		text := l.err().Error()
		if !strings.HasPrefix(text, "SECRET_KEY_FILE (environment)") || !strings.Contains(text, want) || strings.Contains(text, "\n") {
			t.Errorf("want one sentence with %q, got %s", want, text)
		}
		if strings.Contains(text, value) { // H-09
			t.Errorf("the sentence repeats the value: %s", text)
		}
	}
	both := loadWith(t, []string{"SECRET_KEY=" + goodKey, "SECRET_KEY_FILE=" + empty}, nil, "").err()
	if both == nil || !strings.Contains(both.Error(), "both set") {
		t.Errorf("a key and its file: %v", both)
	}
}

// canary is part of every secret in the tests below. It must never be printed: H-09.
const canary = "c4n4ry"

func secretsWithCanary() map[string][]string {
	return map[string][]string{
		"DATABASE_URL": {
			"postgres://user:" + canary + "@127.0.0.1:1/d", "postgres://user:" + canary + "%zz@h/d", "postgres://" + canary + " @h",
			"postgres://u:" + canary + "@h:port/d", "host=127.0.0.1 port=1 password=" + canary + " dbname=d",
			"password='" + canary, "mysql://user:" + canary + "@h", canary,
			"postgres://u:" + canary + "@h/d?sslmode=" + canary, "postgres://u:p@h/d?sslrootcert=/" + canary + "&sslmode=require",
		},
		"SECRET_KEY":               {canary, canary + "Yk4XU0mJ1tUvM0Y2n9oQ7m0p3sVhR5xZ8cLwK6dE2gA", "changeme" + canary},
		"SECRET_KEY_PREVIOUS":      {canary, canary + "Yk4XU0mJ1tUvM0Y2n9oQ7m0p3sVhR5xZ8cLwK6dE2gA"},
		"SMTP_URL":                 {"smtp://u:" + canary + "@127.0.0.1:1", "smtp://u:" + canary + "%@h", "http://u:" + canary + "@h", canary, "smtp+plain://u:" + canary + "@mail.example.com"},
		"BOOTSTRAP_ADMIN_PASSWORD": {canary, "Secure*1234" + canary},
	}
}

func TestNoSecretIsEverPrinted(t *testing.T) {
	t.Parallel()
	all := secretsWithCanary()
	for _, s := range allSettings() {
		if s.secret && len(all[s.name]) == 0 {
			t.Errorf("%s has no canary", s.name)
		}
	}
	others := []string{"MAIL_FROM=a@example.com", "LISTEN_ADDR=127.0.0.1:0", "BOOTSTRAP_ADMIN_EMAIL=a@example.com"}
	for name, values := range all {
		for _, value := range values {
			file := writeTo(t, filepath.Join(t.TempDir(), "secret"), value)
			yaml := writeTo(t, filepath.Join(t.TempDir(), "c.yaml"), fmt.Sprintf("%s: %q\n", strings.ToLower(name), value))
			broken := writeTo(t, filepath.Join(t.TempDir(), "b.yaml"), value)
			for _, env := range [][]string{{name + "=" + value}, {name + "_FILE=" + file}, {name + "_FILE=" + value}} {
				for _, args := range [][]string{{"config"}, {"serve"}, {"migrate", "status"}, {"admin", "create", "--email", "a@example.com"}} {
					got := runCommand(t, withEnv(append(slices.Clone(others), env...)...), args...)
					if strings.Contains(got.stdout+got.stderr, canary) {
						t.Errorf("%s prints %s:\n%s%s", args, name, got.stdout, got.stderr)
					}
				}
			}
			for _, path := range []string{yaml, broken} {
				if got := runCommand(t, nil, "config", "--config", path); strings.Contains(got.stdout+got.stderr, canary) {
					t.Errorf("config prints %s of a file:\n%s%s", name, got.stdout, got.stderr)
				}
			}
		}
	}
}

func TestAConfigurationPrintsWithoutItsSecrets(t *testing.T) {
	t.Parallel()
	l := loadWith(t, []string{ // H-09
		"DATABASE_URL=postgres://u:" + canary + "@h/d", "SECRET_KEY=" + canary + goodKey, "SECRET_KEY_PREVIOUS=" + goodKey + canary,
		"SMTP_URL=smtp://u:" + canary + "@mail.example.com", "BOOTSTRAP_ADMIN_EMAIL=a@example.com", "BOOTSTRAP_ADMIN_PASSWORD=" + canary,
	}, nil, "")
	if err := l.err(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(l.config.DatabaseURL.reveal(), canary) {
		t.Fatal("the canary is not in the configuration, so this test cannot fail")
	}
	encoded, _ := json.Marshal(l.config) //nolint:musttag // what a careless caller would do
	printed := []string{string(encoded)}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		printed = append(printed, fmt.Sprintf(format, l), fmt.Sprintf(format, *l), fmt.Sprintf(format, l.config))
	}
	for _, text := range printed {
		if strings.Contains(text, canary) || strings.Contains(text, fmt.Sprintf("%x", canary)) {
			t.Errorf("printed: %s", text)
		}
	}
}
