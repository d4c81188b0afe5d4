package secret_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"usermanager/server/secret"
)

func TestARootKeyNeeds32Bytes(t *testing.T) {
	t.Parallel()
	good := bytes.Repeat([]byte{7}, 32)
	for _, tc := range []struct {
		name              string
		current, previous []byte
		wantError         string // empty means accepted
	}{
		{"32 bytes and no previous key", good, nil, ""},
		{"both keys", good, bytes.Repeat([]byte{8}, 64), ""},
		{"empty previous key counts as none", good, []byte{}, ""},
		{"no current key", nil, nil, "current root key: has 0 bytes, needs at least 32"},
		{"current key one byte short", good[:31], nil, "current root key: has 31 bytes, needs at least 32"},
		{"previous key one byte short", good, good[:31], "previous root key: has 31 bytes, needs at least 32"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := secret.NewRoot(tc.current, tc.previous)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != tc.wantError {
				t.Errorf("NewRoot error = %q, want %q", got, tc.wantError)
			}
		})
	}
}

func TestACheckValueTellsKeysApart(t *testing.T) {
	t.Parallel()
	one, two := rootOf(t, 1), rootOf(t, 2)
	rotated := rootOf(t, 2, 1)
	for _, tc := range []struct {
		name                   string
		root                   *secret.Root
		check                  string
		wantMatch, wantCurrent bool
	}{
		{"own", one, one.CheckValue(), true, true},
		{"another key's", one, two.CheckValue(), false, false},
		{"the previous key's", rotated, one.CheckValue(), true, false},
		{"the current key's after a rotation", rotated, two.CheckValue(), true, true},
		{"the previous key before it was replaced", two, one.CheckValue(), false, false},
		{"empty", one, "", false, false},
		{"cut short", one, one.CheckValue()[:10], false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := tc.root.Matches(tc.check); got != tc.wantMatch {
				t.Errorf("Matches = %v, want %v", got, tc.wantMatch)
			}
			if got := tc.root.IsCurrent(tc.check); got != tc.wantCurrent {
				t.Errorf("IsCurrent = %v, want %v", got, tc.wantCurrent)
			}
		})
	}
}

// Stored values outlive releases: a change of derivation would lock everyone
// out, so it must be a decision and not an accident.
func TestDerivedValuesStayTheSameAcrossReleases(t *testing.T) {
	t.Parallel()
	root := rootOf(t, 1)
	for _, tc := range []struct{ name, got, want string }{
		{"check value", root.CheckValue(), goldenCheck},
		{"address key", hex.EncodeToString(root.AddressKey("jane@example.com")), goldenAddress},
		{"token", root.MintToken(secret.PurposeVerifyEmail, tokenID, userID, "jane@example.com"), goldenToken},
	} {
		if tc.got != tc.want {
			t.Errorf("%s = %s, want %s", tc.name, tc.got, tc.want)
		}
	}
	sealed, err := hex.DecodeString(goldenSealed)
	if err != nil {
		t.Fatalf("golden sealed value: %v", err)
	}
	plaintext, err := root.Open(secret.PurposeCursor, sealed, []byte("filter"))
	if err != nil || string(plaintext) != "plaintext" {
		t.Errorf("Open of a value sealed by an earlier release = %q, %v", plaintext, err)
	}
}

func TestKeyedHashesDependOnKeyPurposeAndValue(t *testing.T) {
	t.Parallel()
	root := rootOf(t, 1)
	base := root.KeyedHash(secret.PurposeAddress, "jane@example.com")
	if len(base) != 32 {
		t.Fatalf("len = %d, want 32", len(base))
	}
	if !bytes.Equal(base, root.AddressKey("jane@example.com")) {
		t.Error("AddressKey differs from KeyedHash(PurposeAddress)")
	}
	if !bytes.Equal(base, rootOf(t, 1, 9).AddressKey("jane@example.com")) {
		t.Error("the previous key changes new hashes")
	}
	for name, other := range map[string][]byte{
		"another key":     rootOf(t, 2).KeyedHash(secret.PurposeAddress, "jane@example.com"),
		"another purpose": root.KeyedHash(secret.PurposeCursor, "jane@example.com"),
		"another value":   root.KeyedHash(secret.PurposeAddress, "Jane@example.com"),
		"empty value":     root.KeyedHash(secret.PurposeAddress, ""),
	} {
		if bytes.Equal(base, other) {
			t.Errorf("%s gives the same hash", name)
		}
	}
}

// H-09
func TestNothingThatHoldsAKeyPrintsIt(t *testing.T) {
	t.Parallel()
	const canary = "CANARY-root-key-0123456789-abcdefghij"
	root, err := secret.NewRoot([]byte(canary), []byte(canary+"-previous"))
	if err != nil {
		t.Fatalf("NewRoot: %v", err)
	}
	key := signingKey(t)
	set := keySet(t, secret.KeyEntry{Key: key, State: secret.KeyCurrent})
	verifier, err := secret.NewVerifier(set, 10)
	if err != nil {
		t.Fatalf("NewVerifier: %v", err)
	}
	token, err := secret.ParseToken(root.MintToken(secret.PurposeInvitation, tokenID, userID, ""))
	if err != nil {
		t.Fatalf("ParseToken: %v", err)
	}
	for name, value := range map[string]any{
		"root": root, "root value": *root, "signing key": key, "signing key value": *key,
		"key set": set, "verifier": verifier, "token": token,
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T%v"} {
			if got := fmt.Sprintf(verb, value); !strings.HasSuffix(got, "[secret]") && verb != "%T%v" {
				t.Errorf("%s with %s prints %s", name, verb, got)
			}
		}
		if got := fmt.Sprint(errors.Join(fmt.Errorf("context: %v", value))); got != "context: [secret]" {
			t.Errorf("%s in an error prints %s", name, got)
		}
		text, err := json.Marshal(value)
		if err != nil || string(text) != `"[secret]"` {
			t.Errorf("%s as JSON is %s, %v", name, text, err)
		}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("test", "value", value)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("test", "value", value)
		if strings.Count(log.String(), "[secret]") != 2 || strings.Contains(log.String(), "CANARY") {
			t.Errorf("%s logs as %s", name, log.String())
		}
	}
	if got := root.String() + root.GoString(); got != "[secret][secret]" {
		t.Errorf("String and GoString = %s", got)
	}
}

// A key in a field that fmt cannot reach by its methods must not print either.
func TestAKeyInAnUnexportedFieldDoesNotPrint(t *testing.T) {
	t.Parallel()
	canary := strings.Repeat("CANARY", 6)
	root, err := secret.NewRoot([]byte(canary), nil)
	if err != nil {
		t.Fatalf("NewRoot: %v", err)
	}
	holder := struct {
		byPointer *secret.Root
		byValue   secret.Root
	}{root, *root}
	// The derived keys are as secret as the root: look for the bytes of one of them too.
	got := fmt.Sprintf("%v %+v %#v", holder, holder, holder)
	if strings.Contains(got, "CANARY") || len(got) > 1000 {
		t.Errorf("prints %s", got)
	}
}
