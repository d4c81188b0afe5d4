package secret_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/uuid"

	"usermanager/server/secret"
)

// Fixed ids, so that golden values and failures read the same in every run.
var (
	tokenID   = uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8057")
	userID    = uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8058")
	sessionID = uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8059")
)

// now is a whole second, as the claims of tokens are.
func now() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// rootOf makes a root from one repeated byte per key; NewRoot judges only lengths.
func rootOf(t testing.TB, current byte, previous ...byte) *secret.Root {
	t.Helper()
	var old []byte
	if len(previous) > 0 {
		old = bytes.Repeat(previous[:1], 32)
	}
	root, err := secret.NewRoot(bytes.Repeat([]byte{current}, 32), old)
	if err != nil {
		t.Fatalf("NewRoot: %v", err)
	}
	return root
}

func cheapParams() secret.Params {
	return secret.Params{MemoryKiB: 64, Iterations: 1, Parallelism: 1}
}

func cheapHasher(t testing.TB) *secret.Hasher {
	t.Helper()
	hasher, err := secret.NewHasher(secret.HasherOptions{Params: cheapParams(), Queue: 1000, MaxWait: time.Minute})
	if err != nil {
		t.Fatalf("NewHasher: %v", err)
	}
	return hasher
}

func rules() secret.TokenRules {
	return secret.TokenRules{Issuer: "https://id.test", Audience: "https://api.test", MaxLifetime: 15 * time.Minute}
}

func signingKey(t testing.TB) *secret.SigningKey {
	t.Helper()
	key, err := secret.NewSigningKey()
	if err != nil {
		t.Fatalf("NewSigningKey: %v", err)
	}
	return key
}

func keySet(t testing.TB, entries ...secret.KeyEntry) *secret.KeySet {
	t.Helper()
	set, err := secret.NewKeySet(rules(), entries...)
	if err != nil {
		t.Fatalf("NewKeySet: %v", err)
	}
	return set
}

func claims() secret.Claims {
	return secret.Claims{
		Subject: userID, SessionID: sessionID, Scope: "profile:read",
		IssuedAt: now(), ExpiresAt: now().Add(15 * time.Minute),
	}
}

func sign(t testing.TB, set *secret.KeySet) string {
	t.Helper()
	token, err := set.Sign(claims())
	if err != nil {
		t.Fatalf("Sign: %v", err)
	}
	return token
}
