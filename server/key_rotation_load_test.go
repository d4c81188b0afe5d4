package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"

	"usermanager/db/dbtest"
	"usermanager/gen/query"
	"usermanager/server"
)

// Times of the rotation under load: the inequalities of the real ones, a hundred times as fast.
const (
	loadTTL       = 3 * time.Second
	loadJWKSCache = time.Second // of the service that verifies tokens itself
	loadFor       = 10 * time.Second
	loadEvery     = 5 * time.Millisecond // 200 requests a second
)

var loadTimes = server.KeyTimes{
	Lead:        2 * time.Second, // > loadJWKSCache + Reload
	Reload:      250 * time.Millisecond,
	RetireAfter: 4 * time.Second, // > Reload + loadTTL
}

// rotationLoad sends requests to servers in turn, with the newest and the oldest live token in turn.
type rotationLoad struct {
	urls   []string
	client *http.Client
	busy   atomic.Int32 // answers 503

	mu       sync.Mutex
	tokens   []loadToken // oldest first
	sent     int
	failures []string
}

type loadToken struct {
	text    string
	expires time.Time
}

func (l *rotationLoad) add(token string, expires time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tokens = append(l.tokens, loadToken{token, expires})
}

// take counts a request and returns its token.
func (l *rotationLoad) take(newest bool) loadToken {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent++
	for len(l.tokens) > 1 && time.Now().After(l.tokens[0].expires) {
		l.tokens = l.tokens[1:]
	}
	if newest {
		return l.tokens[len(l.tokens)-1]
	}
	return l.tokens[0]
}

func (l *rotationLoad) run(ctx context.Context) {
	var group sync.WaitGroup
	began := time.Now()
	for i := range int(loadFor / loadEvery) {
		<-time.After(time.Until(began.Add(time.Duration(i) * loadEvery))) // after a hold-up those that are late go at once
		group.Go(func() { l.send(ctx, l.urls[i%2], l.take(i/2%2 == 0)) })
	}
	group.Wait()
}

func (l *rotationLoad) send(ctx context.Context, url string, token loadToken) {
	status, err := l.get(ctx, url, token.text)
	if status == http.StatusServiceUnavailable {
		l.busy.Add(1)
		return
	}
	if status == http.StatusOK || status == http.StatusUnauthorized && time.Now().After(token.expires) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures = append(l.failures, fmt.Sprintf("%d %v, %s before its token expires", status, err, time.Until(token.expires)))
}

func (l *rotationLoad) get(ctx context.Context, url, token string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/users/me", nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := l.client.Do(req)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, errors.Join(err, resp.Body.Close())
}

// resourceServer verifies tokens itself, by a JWKS that it keeps as long as it may and does not read again for an
// unknown kid.
type resourceServer struct {
	s      *system
	set    jwk.Set
	readAt time.Time
}

func (r *resourceServer) verify(token string) error {
	if time.Since(r.readAt) > loadJWKSCache {
		r.readAt = time.Now()
		set, err := jwk.Parse(r.s.call(http.MethodGet, "/.well-known/jwks.json", "", nil).body)
		if err != nil {
			return err
		}
		r.set = set
	}
	_, err := jws.Verify([]byte(token), jws.WithKeySet(r.set))
	return err
}

// T-20: a whole rotation under 200 requests a second on two servers. A machine that does not keep up answers some of
// them 503, which says nothing about their tokens.
func TestARotationUnderLoadRefusesNoLiveToken(t *testing.T) { //nolint:paralleltest // the load wants the cores for itself
	configure := func(o *server.Options) { o.AccessTTL, o.KeyTimes = loadTTL, loadTimes }
	url, roomy := dbtest.URL(t), func(c *pgxpool.Config) { c.MaxConns = 20 }
	systems := []*system{
		newSystemOn(t, poolOver(t, url, roomy), sameIssuer(t), configure), newSystemOn(t, poolOver(t, url, roomy), sameIssuer(t), configure),
	}
	user := systems[0].signedIn(query.UserRoleAUTHENTICATED)
	users := []string{user.email} // enough of them that no session ends because its user has too many
	for range 3 {
		users = append(users, systems[0].account(verifiedUser).email)
	}
	oldKey := newTokenForge(systems[0], user.token)
	services := []*resourceServer{{s: systems[0]}, {s: systems[1]}}
	load := &rotationLoad{urls: []string{systems[0].url, systems[1].url}, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}}
	keys := keysOf(t, systems[0].pool, loadTimes)

	signers := map[string]int{}
	renew := func(i int) {
		at := time.Now().Truncate(time.Second)                                                   // iat has whole seconds
		token, err := systems[i%2].server.AccessToken(context.Background(), users[i%len(users)]) // not a login: hashing gives way to the load
		if err != nil {
			t.Fatal(err)
		}
		load.add(token, at.Add(loadTTL))
		signers[kidOf(t, token)]++
		for n, service := range services {
			if err := service.verify(token); err != nil {
				t.Errorf("service %d, which keeps the JWKS, refuses a new token: %v", n, err)
			}
		}
	}
	renew(0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		load.run(context.Background())
	}()
	var rotation server.Rotation
	began := time.Now()
	for i := 0; ; i++ {
		select {
		case <-done:
		case <-time.After(100 * time.Millisecond):
			if rotation.Next == "" && time.Since(began) > loadFor/10 {
				var err error
				if rotation, err = keys.Begin(context.Background()); err != nil {
					t.Fatal(err)
				}
			}
			renew(i)
			continue
		}
		break
	}

	if want := int(loadFor / loadEvery); load.sent != want || len(load.failures) > 0 {
		t.Errorf("of %d requests, want %d, %d failed: %v", load.sent, want, len(load.failures), load.failures[:min(5, len(load.failures))])
	}
	if busy := int(load.busy.Load()); busy > load.sent/20 {
		t.Errorf("%d of %d requests were answered 503: too many to say anything", busy, load.sent)
	}
	if signers[oldKey.kid] == 0 || signers[rotation.Next] == 0 || len(signers) != 2 {
		t.Errorf("got signatures %v, want some of %s, then of %s", signers, oldKey.kid, rotation.Next)
	}
	t.Logf("%d requests in %s, tokens by key: %v", load.sent, time.Since(began).Round(time.Millisecond), signers)
	now := time.Now().Unix()
	afresh := oldKey.with(map[string]any{"iat": now, "exp": now + int64(loadTTL.Seconds())})
	for _, s := range systems {
		s.eventually("the end of the old key", func() bool { return slices.Equal(publishedIDs(s), []string{rotation.Next}) })
		if got := kidOf(t, s.login(user.email, goodPassword)); got != rotation.Next {
			t.Errorf("%s signs, want %s", got, rotation.Next)
		}
		if got := s.call(http.MethodGet, "/users/me", afresh, nil).status; got != http.StatusUnauthorized {
			t.Errorf("a fresh token of the old key: got %d, want 401", got)
		}
	}
	want := []string{
		"signing_key_published " + rotation.Next + " by the command line",
		"signing_key_took_over " + rotation.Next + " by the system",
		"signing_key_retired " + oldKey.kid + " by the system",
	}
	if got := keyAudits(systems[0]); !slices.Equal(got, want) {
		t.Errorf("got audit %q, want %q", got, want)
	}
}
