package server_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

// linkWalk follows links as a frontend does that knows nothing but them, and remembers which it was shown.
type linkWalk struct {
	*system
	rand  *rand.Rand
	shown map[string]int // by "MANAGER lockUser"
}

// Whatever state accounts are in, whoever looks and in whatever order: a link that is shown is never answered 401,
// 403, 404 or 405, and never leads to an operation that the role lacks a scope for.
func TestNoLinkThatIsShownIsRefused(t *testing.T) { // Z-02
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	defer func() {
		if t.Failed() {
			t.Logf("the seed was %d", seed)
		}
	}()
	w := &linkWalk{newSystem(t), rand.New(rand.NewPCG(seed, 0)), map[string]int{}}
	w.account(server.NewAccount{Role: query.UserRoleADMIN, EmailVerified: true}) // the last one is never among the others
	for i := range 300 {
		role := pick(w.rand, query.UserRoleAUTHENTICATED, query.UserRoleMANAGER, query.UserRoleADMIN)
		caller := w.signedIn(role)
		w.follow(caller, role, func() ([]api.Link, string) { return w.ownLinks(caller) })
		if role != query.UserRoleAUTHENTICATED {
			target := w.account(w.anyAccount())
			w.follow(caller, role, func() ([]api.Link, string) { return w.linksOn(caller, target) })
			if i%20 == 0 {
				w.pages(caller, role)
			}
		}
	}
	for _, want := range []string{
		"AUTHENTICATED getOwnProfile", "AUTHENTICATED updateOwnProfile", "MANAGER deleteUser",
		"MANAGER resendInvitation", "MANAGER unlockUser", "ADMIN setUserRole", "ADMIN downgradeUser",
	} {
		if w.shown[want] == 0 {
			t.Errorf("the walk never met %s, so it proves nothing about it: %v", want, w.shown)
		}
	}
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

func (w *linkWalk) anyAccount() server.NewAccount {
	return server.NewAccount{
		Role:          pick(w.rand, query.UserRoleAUTHENTICATED, query.UserRoleAUTHENTICATED, query.UserRoleMANAGER, query.UserRoleADMIN),
		EmailVerified: pick(w.rand, true, false), IsProfessional: pick(w.rand, true, false), LockReason: pick(w.rand, "", "", "x"),
	}
}

// follow calls what is shown in any order, each time looking again: an action may end another.
func (w *linkWalk) follow(caller account, role query.UserRole, look func() ([]api.Link, string)) {
	w.t.Helper()
	done := map[string]bool{}
	for {
		links, tag := look()
		left := slices.DeleteFunc(slices.Clone(links), func(l api.Link) bool { return done[l.OperationID] })
		if len(left) == 0 {
			return
		}
		link := pick(w.rand, left...)
		done[link.OperationID] = true
		w.check(caller, role, link, tag)
		if link.OperationID == "deleteUser" {
			return // there is nothing to look at any more
		}
	}
}

func (w *linkWalk) check(caller account, role query.UserRole, link api.Link, tag string) {
	w.t.Helper()
	w.shown[fmt.Sprintf("%s %s", role, link.OperationID)]++
	if missing := missingScopes(role, contractOperationOf(w.t, link.OperationID)); missing != nil {
		w.t.Errorf("%s is shown %s without the scopes %q", role, link.OperationID, missing)
	}
	got := linkFollow(w.system, caller.token, link, tag)
	switch got.status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed:
		w.t.Errorf("%s followed %s %s: got %d %s", role, link.Method, link.Href, got.status, got.body)
	}
}

func (w *linkWalk) ownLinks(caller account) (links []api.Link, tag string) {
	w.t.Helper()
	resp, err := w.client(caller.token).GetOwnProfileWithResponse(w.t.Context())
	if err != nil || resp.JSON200 == nil {
		w.t.Fatalf("read the own profile: %v %s", err, resp.Body)
	}
	return resp.JSON200.Links, resp.HTTPResponse.Header.Get("ETag")
}

func (w *linkWalk) linksOn(caller, target account) (links []api.Link, tag string) {
	w.t.Helper()
	user, tag := staffGet(w.system, caller.token, target.id)
	return user.Links, tag
}

// pages walks a list to its end and back by the links alone, in the body and in the header.
func (w *linkWalk) pages(caller account, role query.UserRole) {
	w.t.Helper()
	page := listPage(w.system, caller.token, fmt.Sprintf("limit=%d", 1+w.rand.IntN(40)))
	for _, direction := range []string{"next", "prev"} {
		for {
			at := slices.IndexFunc(page.Links, func(l api.Link) bool { return string(l.Rel) == direction })
			w.check(caller, role, pick(w.rand, page.Links...), "")
			if at < 0 {
				break
			}
			_, query, _ := strings.Cut(page.Links[at].Href, "?")
			page = listPage(w.system, caller.token, query)
		}
	}
}
