package secret

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// ErrPasswordNotText means that a password is not text that can be typed again
// the same way: invalid UTF-8, a NUL, or more than MaxPasswordBytes. The policy
// names these for people; this is the last guard.
var ErrPasswordNotText = errors.New("password is not valid text")

// MaxPasswordBytes bounds the work of normalising. The policy's limit of 256
// code points is reached long before.
const MaxPasswordBytes = 4096

const (
	saltSize = 16 // bytes; RFC 9106 section 3.1
	tagSize  = 32 // bytes; RFC 9106 section 4
)

// Params is the cost of argon2id.
type Params struct {
	MemoryKiB   uint32 // memory per hash, in KiB
	Iterations  uint32 // passes over that memory
	Parallelism uint8  // lanes; more than the free cores gains nothing
}

// DefaultParams is OWASP's recommendation for argon2id (Password Storage Cheat
// Sheet; ASVS 5.0 appendix C): 19 MiB and two passes, about 45 ms of one core.
func DefaultParams() Params { return Params{MemoryKiB: 19456, Iterations: 2, Parallelism: 1} }

// HasherOptions configure NewHasher. Zero values take the defaults.
type HasherOptions struct {
	Params      Params        // of new hashes; default DefaultParams
	Concurrency int           // hashes at once; default GOMAXPROCS
	Queue       int           // callers that may wait for their turn; default 32, negative means none
	MaxWait     time.Duration // longest wait for a turn; default one second
}

// Hasher makes and checks password hashes. All work passes one gate, see
// HasherOptions. It is safe for concurrent use.
type Hasher struct {
	params        Params
	gate          *gate
	dummy         string
	verifications atomic.Int64
}

// NewHasher checks the options. It refuses parameters that Verify would refuse
// to compute.
func NewHasher(options HasherOptions) (*Hasher, error) {
	if options.Params == (Params{}) {
		options.Params = DefaultParams()
	}
	if err := options.Params.check(); err != nil {
		return nil, fmt.Errorf("argon2id parameters: %w", err)
	}
	if options.Concurrency <= 0 {
		options.Concurrency = runtime.GOMAXPROCS(0)
	}
	switch {
	case options.Queue == 0:
		options.Queue = 32
	case options.Queue < 0:
		options.Queue = 0
	}
	if options.MaxWait <= 0 {
		options.MaxWait = time.Second
	}
	h := &Hasher{
		params: options.Params,
		gate:   newGate(options.Concurrency, options.Queue, options.MaxWait),
	}
	// A random tag is as good as a computed one: no password is known for it.
	h.dummy = h.params.format(randomBytes(saltSize), randomBytes(tagSize))
	return h, nil
}

// Hash returns the PHC string to store: argon2id with a fresh salt over the
// NFKC form of the password, all of it. The error is ErrPasswordNotText, a
// *BusyError, or the context's.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	if !isText(password) {
		return "", ErrPasswordNotText
	}
	salt := randomBytes(saltSize)
	var tag []byte
	err := h.gate.run(ctx, func() {
		tag = h.params.key(norm.NFKC.Bytes([]byte(password)), salt, tagSize)
	})
	if err != nil {
		return "", err
	}
	return h.params.format(salt, tag), nil
}

// Verify reports whether the password belongs to the stored hash, in any form
// that this package reads (see parseHash), and whether the hash is outdated:
// not argon2id with the current parameters. After a match, an outdated hash
// should be replaced by a new Hash.
//
// The error is ErrMalformedHash at once for a hash that is damaged or too
// costly to compute, a *BusyError, or the context's.
//
// An outdated hash is compared with the password as typed too, because other
// systems hashed it without normalising.
func (h *Hasher) Verify(ctx context.Context, phc, password string) (match, outdated bool, err error) {
	stored, err := parseHash(phc)
	if err != nil {
		return false, false, err
	}
	outdated = !stored.isCurrent(h.params)
	if !isText(password) {
		return false, outdated, nil
	}
	err = h.gate.run(ctx, func() {
		h.verifications.Add(1)
		normalised := norm.NFKC.String(password)
		match = stored.matches([]byte(normalised))
		if !match && outdated && normalised != password {
			match = stored.matches([]byte(password))
		}
	})
	if err != nil {
		return false, outdated, err
	}
	return match, outdated, nil
}

// VerifyDummy does the work of a Verify that fails, for accounts that do not
// exist or have no password, so that the time of an answer does not tell them
// from others (OWASP ASVS 6.3.8). It never matches. The error is a *BusyError
// or the context's.
func (h *Hasher) VerifyDummy(ctx context.Context, password string) error {
	_, _, err := h.Verify(ctx, h.dummy, password)
	return err
}

// Verifications returns how many passwords were compared so far, dummies
// included and those turned away by the gate not.
func (h *Hasher) Verifications() int64 { return h.verifications.Load() }

// isText refuses what two different inputs could share: invalid UTF-8, which
// some decoders replace by U+FFFD, and NUL, where C implementations stop.
func isText(password string) bool {
	return len(password) <= MaxPasswordBytes && utf8.ValidString(password) && !strings.ContainsRune(password, 0)
}

func (p Params) key(password, salt []byte, size uint32) []byte {
	return argon2.IDKey(password, salt, p.Iterations, p.MemoryKiB, p.Parallelism, size)
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never returns an error: it ends the program instead
	return b
}
