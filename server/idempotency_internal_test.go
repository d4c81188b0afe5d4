package server

import (
	"bytes"
	"encoding/hex"
	"testing"

	"usermanager/server/secret"
)

// No two operations that take a key have callers in common yet, so this cannot be seen from outside.
func TestAnotherOperationCallerOrKeyIsAnotherRequest(t *testing.T) { // I-24
	t.Parallel()
	root, err := secret.NewRoot([]byte("tests only: 0123456789abcdef0123456789abcdef"), nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Options: Options{Secret: root}}
	seen := map[string][3]string{}
	for _, parts := range [][3]string{
		{"createUser", "ada", "k"}, {"createKey", "ada", "k"}, {"createUser", "grace", "k"}, {"createUser", "ada", "l"},
		{"createUser", "adak", ""}, {"createUserada", "", "k"}, {"ada", "createUser", "k"},
	} {
		o := s.newOnce(parts[0], parts[1], parts[2], "body")
		hash := hex.EncodeToString(o.keyHash)
		if other, isSeen := seen[hash]; isSeen {
			t.Errorf("%v and %v are one request", parts, other)
		}
		seen[hash] = parts
		if again := s.newOnce(parts[0], parts[1], parts[2], "body"); hex.EncodeToString(again.keyHash) != hash || !bytes.Equal(again.bodyHash, o.bodyHash) {
			t.Errorf("%v is not the same request twice", parts)
		}
		if bytes.Equal(s.newOnce(parts[0], parts[1], parts[2], "Body").bodyHash, o.bodyHash) {
			t.Errorf("%v with another body is the same request", parts)
		}
	}
}
