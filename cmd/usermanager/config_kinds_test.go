package main

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestEveryKindHasAParserThatFitsItsField(t *testing.T) {
	t.Parallel()
	examples := map[string]string{
		"database": "postgres://h/d", "connections": "9", "address": ":1", "base": "http://h", "key": goodKey, "smtp": "smtp://h",
		"sender": "a@example.com", "registration": "open", "switch": "true", "limit": "1", "policy": "nist", "attempts": "1",
		"wait": "1m", "ttl": "1m", "origins": "http://h", "networks": "10.0.0.0/8", "line": "x", "page": "http://h",
		"mailbox": "a@example.com", "token link": "x:{token}", "plain link": "x:y", "password": "x", "level": "info",
		"format": "json", "pause": "1s", "idle": "1h", "grace": "1m", "rotation": "24h",
	}
	for _, s := range allSettings() {
		value, err := parseKind(s.kind, examples[s.kind])
		if err != nil {
			t.Errorf("%s: %v", s.name, err)
			continue
		}
		if field := reflect.TypeFor[config]().Field(s.field).Type; reflect.TypeOf(value) != field {
			t.Errorf("%s: its kind makes a %T, its field is a %s", s.name, value, field)
		}
		if s.preset != "" {
			if _, err := parseKind(s.kind, s.preset); err != nil {
				t.Errorf("%s: its default is refused: %v", s.name, err)
			}
		}
	}
	if _, err := parseKind("no such kind", "x"); err == nil {
		t.Error("an unknown kind is accepted")
	}
}

func TestTheDefaultsOfDevAreAcceptedByDev(t *testing.T) {
	t.Parallel()
	names := map[string]setting{}
	for _, s := range allSettings() {
		names[s.name] = s
	}
	for name, value := range devPresets() {
		s, known := names[name]
		if !known {
			t.Errorf("%s is no setting", name)
			continue
		}
		if _, err := parseKind(s.kind, value); err != nil {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
}

func TestSentencesSayWhatIsAccepted(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ kind, text, want string }{
		{"level", "x", "must be one of debug, error, info, warn"},
		{"switch", "x", "must be one of false, true"},
		{"attempts", "x", "must be a whole number from 1 to 100"},
		{"pause", "x", "must be a time from 0s to 5m0s, such as 90s or 5m"},
		{"address", "x", "must be host:port, such as :8080 or 127.0.0.1:8080"},
		{"mailbox", "x", "must be one plain e-mail address"},
		{"token link", "https://h/", "must contain {token} once, where the token goes"},
		{"plain link", "https://h/{token}", "must not contain {token}: this link carries none"},
		{"token link", "https:///{token}", "must name a host, such as https://app.example.com/page"},
		{"page", "x", "must be an absolute http or https URL"},
	} {
		if _, err := parseKind(test.kind, test.text); err == nil || err.Error() != test.want {
			t.Errorf("%s %q: %v, want %q", test.kind, test.text, err, test.want)
		}
	}
}

func TestBoundsBelongToTheRange(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		kind, text string
		want       any // nil: refused
	}{
		{"connections", "2", 2}, {"connections", "1000", 1000}, {"connections", "1", nil}, {"connections", "1001", nil},
		{"attempts", "1", 1}, {"attempts", "100", 100}, {"attempts", "101", nil},
		{"wait", "1s", time.Second}, {"wait", "1h", time.Hour}, {"wait", "3601s", nil}, {"wait", "999ms", nil},
		{"ttl", "720h", 720 * time.Hour}, {"ttl", "721h", nil},
		{"pause", "5m", 5 * time.Minute}, {"pause", "301s", nil}, {"pause", "-1ns", nil},
	} {
		got, err := parseKind(test.kind, test.text)
		if refused := test.want == nil; refused != (err != nil) || !refused && got != test.want {
			t.Errorf("%s %s: %v (error %v), want %v", test.kind, test.text, got, err, test.want)
		}
	}
}

func TestListsLeaveOutWhatIsEmpty(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"a,b": {"a", "b"}, "a , b ,": {"a", "b"}, ",,": nil, "": nil, "a": {"a"},
	} {
		if got := splitList(text); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestAHiddenTextIsGivenToWhoAsksForItOnly(t *testing.T) {
	t.Parallel()
	h := hide(canary)
	if h.reveal() != canary || strings.Contains(h.String(), canary) {
		t.Errorf("got %q, prints %q", h.reveal(), h)
	}
	if (hidden{}).reveal() != "" {
		t.Error("an unset one is not empty")
	}
}
