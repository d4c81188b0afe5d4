package secret_test

import (
	"bytes"
	"errors"
	"testing"

	"usermanager/server/secret"
)

func TestWhatIsSealedOpens(t *testing.T) {
	t.Parallel()
	root := rootOf(t, 1)
	for _, tc := range []struct {
		name           string
		plaintext, aad []byte
	}{
		{"text", []byte("a cursor"), []byte("filter")},
		{"no additional data", []byte("a key"), nil},
		{"empty", nil, []byte("filter")},
		{"large", bytes.Repeat([]byte("x"), 1<<16), []byte("row 1")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			sealed := root.Seal(secret.PurposeCursor, tc.plaintext, tc.aad)
			if len(sealed) != len(tc.plaintext)+secret.SealOverhead {
				t.Errorf("sealed to %d bytes, want %d", len(sealed), len(tc.plaintext)+secret.SealOverhead)
			}
			if len(tc.plaintext) > 4 && bytes.Contains(sealed, tc.plaintext) {
				t.Error("the plaintext shows")
			}
			got, err := root.Open(secret.PurposeCursor, sealed, tc.aad)
			if err != nil || !bytes.Equal(got, tc.plaintext) {
				t.Errorf("Open = %q, %v, want %q", got, err, tc.plaintext)
			}
		})
	}
}

func TestTwoSealsOfOneTextDiffer(t *testing.T) {
	t.Parallel()
	root := rootOf(t, 1)
	seen := map[string]bool{}
	for range 1000 {
		sealed := string(root.Seal(secret.PurposeCursor, []byte("same"), nil))
		if seen[sealed] {
			t.Fatal("sealed twice alike")
		}
		seen[sealed] = true
	}
}

// I-13
func TestATamperedSealDoesNotOpen(t *testing.T) {
	t.Parallel()
	root := rootOf(t, 1)
	aad := []byte("status=locked&sort=email")
	sealed := root.Seal(secret.PurposeCursor, []byte("after jane@example.com, page 3"), aad)

	refused := func(name string, root *secret.Root, purpose secret.Purpose, sealed, aad []byte) {
		t.Helper()
		got, err := root.Open(purpose, sealed, aad)
		if !errors.Is(err, secret.ErrSealed) || got != nil {
			t.Errorf("%s: Open = %q, %v, want ErrSealed", name, got, err)
		}
	}
	for i := range len(sealed) * 8 {
		flipped := bytes.Clone(sealed)
		flipped[i/8] ^= 1 << (i % 8)
		refused("flipped bit", root, secret.PurposeCursor, flipped, aad)
	}
	for n := range sealed {
		refused("cut at the end", root, secret.PurposeCursor, sealed[:n], aad)
		refused("cut at the start", root, secret.PurposeCursor, sealed[n+1:], aad)
	}
	refused("a byte more", root, secret.PurposeCursor, append(bytes.Clone(sealed), 0), aad)
	refused("another filter", root, secret.PurposeCursor, sealed, []byte("status=active&sort=email"))
	refused("no filter", root, secret.PurposeCursor, sealed, nil)
	refused("another purpose", root, secret.PurposeSigningKey, sealed, aad)
	refused("another server's key", rootOf(t, 2), secret.PurposeCursor, sealed, aad)
	refused("nothing", root, secret.PurposeCursor, nil, nil)
	refused("a megabyte of zeros", root, secret.PurposeCursor, make([]byte, 1<<20), nil)
}

func TestAReplacedRootKeyStillOpens(t *testing.T) {
	t.Parallel()
	old := rootOf(t, 1)
	sealed := old.Seal(secret.PurposeSigningKey, []byte("key"), []byte("kid"))
	for _, tc := range []struct {
		name string
		root *secret.Root
		want bool
	}{
		{"as the previous key", rootOf(t, 2, 1), true},
		{"not when it was dropped", rootOf(t, 2), false},
		{"not when it was replaced twice", rootOf(t, 3, 2), false},
	} {
		got, err := tc.root.Open(secret.PurposeSigningKey, sealed, []byte("kid"))
		if (err == nil && string(got) == "key") != tc.want {
			t.Errorf("%s: Open = %q, %v", tc.name, got, err)
		}
	}
	fresh := rootOf(t, 2, 1).Seal(secret.PurposeSigningKey, []byte("key"), nil)
	if _, err := rootOf(t, 2).Open(secret.PurposeSigningKey, fresh, nil); err != nil {
		t.Errorf("a new value is not sealed with the current key: %v", err)
	}
}

func FuzzSealAndOpen(f *testing.F) {
	root := rootOf(f, 1, 2)
	f.Add([]byte("plaintext"), []byte("aad"), 0, byte(1))
	f.Add([]byte{}, []byte{}, 44, byte(0x80))
	f.Fuzz(func(t *testing.T, plaintext, aad []byte, position int, flip byte) {
		sealed := root.Seal(secret.PurposeCursor, plaintext, aad)
		got, err := root.Open(secret.PurposeCursor, sealed, aad)
		if err != nil || !bytes.Equal(got, plaintext) {
			t.Fatalf("Open = %x, %v, want %x", got, err, plaintext)
		}
		if _, err := root.Open(secret.PurposeCursor, plaintext, aad); err == nil {
			t.Error("a text that nobody sealed opens")
		}
		if flip == 0 {
			return
		}
		sealed[uint(position)%uint(len(sealed))] ^= flip
		if _, err := root.Open(secret.PurposeCursor, sealed, aad); err == nil {
			t.Errorf("opens with byte %d changed by %x", position, flip)
		}
	})
}

func BenchmarkSealAndOpenACursor(b *testing.B) {
	root := rootOf(b, 1)
	cursor := bytes.Repeat([]byte("c"), 120)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := root.Open(secret.PurposeCursor, root.Seal(secret.PurposeCursor, cursor, nil), nil); err != nil {
			b.Fatal(err)
		}
	}
}

func TestASealNamesTheKeyThatMadeIt(t *testing.T) {
	t.Parallel()
	before, after := rootOf(t, 1), rootOf(t, 2, 1)
	old, young := before.Seal(secret.PurposeCursor, []byte("text"), nil), after.Seal(secret.PurposeCursor, []byte("text"), nil)
	for _, tc := range []struct {
		name   string
		sealed []byte
		want   bool
	}{{"the previous key", old, false}, {"the current key", young, true}, {"nothing", nil, false}, {"a piece", young[:4], false}} {
		if got := after.IsSealedByCurrent(tc.sealed); got != tc.want {
			t.Errorf("sealed by %s: got %v, want %v", tc.name, got, tc.want)
		}
	}
}
