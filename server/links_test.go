package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

// linkTargets make an account in a state, and linkOffers are the operations that each caller is offered on it.
var linkTargets = map[string]server.NewAccount{
	"user":            {Role: query.UserRoleAUTHENTICATED, EmailVerified: true},
	"professional":    {Role: query.UserRoleAUTHENTICATED, EmailVerified: true, IsProfessional: true},
	"locked":          {Role: query.UserRoleAUTHENTICATED, EmailVerified: true, LockReason: "x"},
	"unverified":      {Role: query.UserRoleAUTHENTICATED},
	"locked, too":     {Role: query.UserRoleAUTHENTICATED, LockReason: "x", IsProfessional: true},
	"manager":         {Role: query.UserRoleMANAGER, EmailVerified: true},
	"invited manager": {Role: query.UserRoleMANAGER},
	"admin":           {Role: query.UserRoleADMIN, EmailVerified: true},
}

var linkOffers = map[query.UserRole]map[string]string{
	query.UserRoleMANAGER: {
		"user":            "getUser updateUser deleteUser upgradeUser lockUser listUserSessions",
		"professional":    "getUser updateUser deleteUser downgradeUser lockUser listUserSessions",
		"locked":          "getUser updateUser deleteUser upgradeUser unlockUser listUserSessions",
		"unverified":      "getUser updateUser deleteUser upgradeUser lockUser listUserSessions resendInvitation",
		"locked, too":     "getUser updateUser deleteUser downgradeUser unlockUser listUserSessions resendInvitation",
		"manager":         "getUser",
		"invited manager": "getUser",
		"admin":           "getUser",
		"self":            "getUser",
	},
	query.UserRoleADMIN: {
		"user":            "getUser updateUser deleteUser upgradeUser setUserRole lockUser listUserSessions",
		"professional":    "getUser updateUser deleteUser downgradeUser setUserRole lockUser listUserSessions",
		"locked":          "getUser updateUser deleteUser upgradeUser setUserRole unlockUser listUserSessions",
		"unverified":      "getUser updateUser deleteUser upgradeUser setUserRole lockUser listUserSessions resendInvitation",
		"locked, too":     "getUser updateUser deleteUser downgradeUser setUserRole unlockUser listUserSessions resendInvitation",
		"manager":         "getUser updateUser deleteUser upgradeUser setUserRole lockUser listUserSessions",
		"invited manager": "getUser updateUser deleteUser upgradeUser setUserRole lockUser listUserSessions resendInvitation",
		"admin":           "getUser updateUser deleteUser upgradeUser setUserRole lockUser listUserSessions",
		"self":            "getUser updateUser upgradeUser listUserSessions",
	},
}

func linkedOperations(links []api.Link) string {
	var ids []string
	for _, link := range links {
		ids = append(ids, link.OperationID)
	}
	return strings.Join(ids, " ")
}

// Every link that is shown works, for this caller and now: each is followed on an account of its own.
func TestEveryLinkOnAUserCanBeFollowed(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	for role, offers := range linkOffers {
		for kind, want := range offers {
			for operationID := range strings.FieldsSeq(want) {
				caller := s.signedIn(role)
				target := caller
				if kind != "self" {
					target = s.account(linkTargets[kind])
				}
				user, tag := staffGet(s, caller.token, target.id)
				if got := linkedOperations(user.Links); got != want {
					t.Errorf("%s on %s: got links %s, want %s", role, kind, got, want)
					break
				}
				at := slices.IndexFunc(user.Links, func(l api.Link) bool { return l.OperationID == operationID })
				if got := linkFollow(s, caller.token, user.Links[at], tag); got.status >= 400 {
					t.Errorf("%s on %s: following %s: got %d %s", role, kind, operationID, got.status, got.body)
				}
			}
		}
	}
}

// linkFollow calls a link as it stands there, with a valid body where the operation wants one.
func linkFollow(s *system, token string, link api.Link, tag string) response {
	s.t.Helper()
	path, isHere := strings.CutPrefix(link.Href, s.url)
	if !isHere {
		s.t.Fatalf("got %s, want an absolute link to %s", link.Href, s.url)
	}
	return s.call(string(link.Method), path, token, authzBody(link.OperationID, ""), "If-Match", tag)
}

// Z-02: what the oracle refuses is not offered.
func TestNoLinkIsShownForWhatWouldBeRefused(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	callers := map[string]account{"MANAGER": s.signedIn(query.UserRoleMANAGER), "ADMIN": s.signedIn(query.UserRoleADMIN)}
	targets := map[string]account{
		"AUTHENTICATED": s.signedIn(query.UserRoleAUTHENTICATED), "MANAGER": s.signedIn(query.UserRoleMANAGER), "ADMIN": s.signedIn(query.UserRoleADMIN),
	}
	checked := 0
	for _, cell := range authzOracle(t) {
		caller, ok := callers[cell.caller]
		target, isAccount := targets[cell.target]
		if cell.target == "self" {
			target, isAccount = caller, true
		}
		if !ok || !isAccount || cell.status < 400 || cell.operation == "verifyEmailLink" {
			continue
		}
		user, _ := staffGet(s, caller.token, target.id)
		if slices.ContainsFunc(user.Links, func(l api.Link) bool { return l.OperationID == cell.operation }) {
			t.Errorf("%s: offered and refused with %d", cell, cell.status)
		}
		checked++
	}
	if checked < 30 {
		t.Errorf("checked %d refusals, want all of them", checked)
	}
}

func TestTheLinksOfAListAreThoseOfItsUsers(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	for _, account := range linkTargets {
		s.account(account)
	}
	for _, caller := range []account{s.signedIn(query.UserRoleMANAGER), s.signedIn(query.UserRoleADMIN)} {
		page := listPage(s, caller.token, "limit=100")
		if len(page.Items) < len(linkTargets)+1 {
			t.Fatalf("got %d users", len(page.Items))
		}
		for _, item := range page.Items {
			user, _ := staffGet(s, caller.token, item.ID)
			if !slices.Equal(user.Links, item.Links) {
				t.Errorf("got %v in the list and %v alone", item.Links, user.Links)
			}
		}
		for _, link := range page.Links {
			want := http.StatusOK
			if link.OperationID == "createUser" {
				want = http.StatusCreated
			}
			if got := linkFollow(s, caller.token, link, ""); got.status != want {
				t.Errorf("%s: got %d %s", link.Rel, got.status, got.body)
			}
		}
	}
}

func TestTheLinksOfAnActionAreThoseOfTheNewState(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	manager, user := s.signedIn(query.UserRoleMANAGER), s.account(linkTargets["user"])
	path := "/users/" + user.id.String()
	for _, step := range []struct{ action, before, after string }{
		{"lock", "lockUser", "unlockUser"}, {"unlock", "unlockUser", "lockUser"},
		{"upgrade", "upgradeUser", "downgradeUser"}, {"downgrade", "downgradeUser", "upgradeUser"},
	} {
		var body any
		if step.action == "lock" {
			body = map[string]string{"reason": "x"}
		}
		got := linkedOperations(staffUserOf(t, s.call(http.MethodPost, path+"/"+step.action, manager.token, body), 200).Links)
		if !strings.Contains(got, step.after) || slices.Contains(strings.Fields(got), step.before) {
			t.Errorf("after %s: got links %s, want %s instead of %s", step.action, got, step.after, step.before)
		}
	}
}

func TestTheLinksOfTheOwnProfileGrowWithTheRole(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	for role, want := range map[query.UserRole]string{
		query.UserRoleAUTHENTICATED: "getOwnProfile updateOwnProfile listOwnSessions",
		query.UserRoleMANAGER:       "getOwnProfile updateOwnProfile listOwnSessions listUsers",
		query.UserRoleADMIN:         "getOwnProfile updateOwnProfile listOwnSessions listUsers",
	} {
		user := s.signedIn(role)
		resp, err := s.client(user.token).GetOwnProfileWithResponse(t.Context())
		if err != nil || resp.JSON200 == nil {
			t.Fatalf("got %v", err)
		}
		if got := linkedOperations(resp.JSON200.Links); got != want {
			t.Errorf("%s: got links %s, want %s", role, got, want)
		}
		for _, link := range resp.JSON200.Links {
			if got := linkFollow(s, user.token, link, resp.HTTPResponse.Header.Get("ETag")); got.status != http.StatusOK {
				t.Errorf("%s: following %s: got %d %s", role, link.OperationID, got.status, got.body)
			}
		}
	}
	// Whoever has not proven their address is offered nothing: nothing would work.
	got := s.call(http.MethodPost, "/register", "", map[string]string{"email": uniqueEmail(), "password": goodPassword})
	if links, ok := staffFieldOf(t, got.body, "links").([]any); !ok || len(links) != 0 {
		t.Errorf("got links %v after a registration, want none", links)
	}
}
