package secret

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// ErrTokenInvalid is the error of every access token that is not accepted.
// Its text names the broken rule for logs, and never a part of the token.
var ErrTokenInvalid = errors.New("access token is not valid")

// ErrTokenExpired is the ErrTokenInvalid of a genuine token whose time is over.
var ErrTokenExpired = fmt.Errorf("%w: it has expired", ErrTokenInvalid)

const (
	// MaxTokenBytes is refused before anything is parsed.
	MaxTokenBytes = 8 << 10

	// ClockLeeway forgives other servers' clocks in "iat" and "nbf". "exp" gets
	// none: a token that ends early is refreshed, one that ends late is a hole.
	ClockLeeway = 30 * time.Second

	signatureLength = 86 // characters of 64 bytes in base64url
)

// TokenRules are what access tokens of this deployment must say.
type TokenRules struct {
	Issuer      string        // "iss", compared exactly
	Audience    string        // "aud", compared exactly
	MaxLifetime time.Duration // from "iat" to "exp"; a longer token is refused even with a good signature
}

func (r TokenRules) check() error {
	if r.Issuer == "" || r.Audience == "" || r.MaxLifetime < time.Second {
		return errors.New("token rules need an issuer, an audience and a lifetime of a second or more")
	}
	return nil
}

// Claims are the contents of an access token (RFC 9068 section 2.2, without
// client_id, as there are no registered clients).
type Claims struct {
	Subject   uuid.UUID // "sub": the user
	SessionID uuid.UUID // "sid": the session, which the database may have ended
	Issuer    string    // "iss"; empty in Sign means the set's
	Audience  string    // "aud"; empty in Sign means the set's
	IssuedAt  time.Time // "iat", whole seconds
	ExpiresAt time.Time // "exp", whole seconds
	Scope     string    // "scope": for information, the database decides
	JWTID     string    // "jti"; empty in Sign means a random one
}

// Sign returns a signed access token (JWS compact form, ES256, typ "at+jwt").
// It refuses claims that Verify would refuse.
func (s *KeySet) Sign(claims Claims) (string, error) {
	if s.current == nil {
		return "", errors.New("sign access token: the key that signed was retired, and no other one could be read")
	}
	if claims.Issuer == "" {
		claims.Issuer = s.rules.Issuer
	}
	if claims.Audience == "" {
		claims.Audience = s.rules.Audience
	}
	if claims.JWTID == "" {
		claims.JWTID = base64.RawURLEncoding.EncodeToString(randomBytes(16))
	}
	claims.IssuedAt, claims.ExpiresAt = claims.IssuedAt.Truncate(time.Second), claims.ExpiresAt.Truncate(time.Second)
	if err := s.rules.accept(claims, claims.IssuedAt); err != nil {
		return "", fmt.Errorf("sign access token: %w", err)
	}
	payload, err := encodeClaims(claims)
	if err != nil {
		return "", fmt.Errorf("encode claims: %w", err)
	}
	input := s.current.header() + "." + base64.RawURLEncoding.EncodeToString(payload)
	if len(input)+1+signatureLength > MaxTokenBytes {
		return "", fmt.Errorf("sign access token: longer than %d bytes", MaxTokenBytes)
	}
	signer, err := jws.NewSigner(jwa.ES256)
	if err != nil {
		return "", fmt.Errorf("sign access token: %w", err)
	}
	signature, err := signer.Sign([]byte(input), s.current.private)
	if err != nil {
		return "", fmt.Errorf("sign access token: %w", err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// Verify returns the claims of a token that this deployment signed and that is
// valid at now. Every other one is ErrTokenInvalid, a genuine but old one
// ErrTokenExpired. It says nothing about the session, which may have ended.
func (s *KeySet) Verify(token string, now time.Time) (Claims, error) {
	claims, _, err := s.verify(token, now)
	return claims, err
}

// verify also returns the key that signed.
//
// The first part of a token is looked up, not parsed. Only this package makes
// access tokens, so each key has exactly one header, and whatever an attacker
// writes there ("alg":"none", another "typ", a "jwk" of his own, a kid that is
// a path or a query; RFC 8725 sections 3.1 to 3.11) is simply not in the map.
func (s *KeySet) verify(token string, now time.Time) (Claims, *SigningKey, error) {
	if len(token) > MaxTokenBytes {
		return Claims{}, nil, invalid("too long")
	}
	header, rest, _ := strings.Cut(token, ".")
	payload, signatureText, _ := strings.Cut(rest, ".")
	key := s.byHeader[header]
	if key == nil {
		return Claims{}, nil, invalid("unknown header")
	}
	if len(signatureText) != signatureLength {
		return Claims{}, nil, invalid("signature length")
	}
	// Strict: without it the last character has four free bits, and two texts
	// would be one token.
	signature, err := base64.RawURLEncoding.Strict().DecodeString(signatureText)
	if err != nil {
		return Claims{}, nil, invalid("signature encoding")
	}
	verifier, err := jws.NewVerifier(jwa.ES256)
	if err != nil {
		return Claims{}, nil, fmt.Errorf("verify access token: %w", err)
	}
	signed := token[:len(token)-signatureLength-1]
	if verifier.Verify([]byte(signed), signature, key.public) != nil {
		return Claims{}, nil, invalid("signature")
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(payload)
	if err != nil {
		return Claims{}, nil, invalid("claims encoding")
	}
	claims, err := decodeClaims(raw, s.rules.Audience, now)
	if err != nil {
		return Claims{}, nil, err
	}
	if err := s.rules.accept(claims, now); err != nil {
		return Claims{}, nil, err
	}
	return claims, key, nil
}

// accept holds claims to the rules, at signing and at verifying alike.
func (r TokenRules) accept(claims Claims, now time.Time) error {
	switch {
	case claims.Issuer != r.Issuer:
		return invalid("iss")
	case claims.Audience != r.Audience:
		return invalid("aud")
	case claims.Subject == uuid.Nil:
		return invalid("sub")
	case claims.SessionID == uuid.Nil:
		return invalid("sid")
	case claims.JWTID == "":
		return invalid("jti")
	case claims.IssuedAt.Unix() <= 0 || claims.IssuedAt.After(now.Add(ClockLeeway)):
		return invalid("iat")
	case !claims.ExpiresAt.After(claims.IssuedAt) || claims.ExpiresAt.Sub(claims.IssuedAt) > r.MaxLifetime:
		return invalid("lifetime")
	case !now.Before(claims.ExpiresAt):
		return ErrTokenExpired
	}
	return nil
}

func invalid(rule string) error { return fmt.Errorf("%w: %s", ErrTokenInvalid, rule) }

// header is the one first part that a token signed with this key has.
func (k *SigningKey) header() string {
	text := `{"alg":"ES256","kid":"` + k.ID + `","typ":"at+jwt"}` // isKeyID leaves nothing to escape
	return base64.RawURLEncoding.EncodeToString([]byte(text))
}

func encodeClaims(claims Claims) ([]byte, error) {
	return json.Marshal(struct {
		Issuer    string    `json:"iss"`
		Subject   uuid.UUID `json:"sub"`
		Audience  string    `json:"aud"`
		ExpiresAt int64     `json:"exp"`
		IssuedAt  int64     `json:"iat"`
		JWTID     string    `json:"jti"`
		SessionID uuid.UUID `json:"sid"`
		Scope     string    `json:"scope,omitempty"`
	}{
		claims.Issuer, claims.Subject, claims.Audience, claims.ExpiresAt.Unix(),
		claims.IssuedAt.Unix(), claims.JWTID, claims.SessionID, claims.Scope,
	})
}
