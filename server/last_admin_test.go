package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"

	"usermanager/gen/query"
)

// lastAdminWays are the four ways to take an administrator away.
var lastAdminWays = map[string]func(s *system, token string, id uuid.UUID) response{
	"demote": func(s *system, token string, id uuid.UUID) response { return staffSetRole(s, token, id, "MANAGER") },
	"lock":   func(s *system, token string, id uuid.UUID) response { return staffLock(s, token, id, "race") },
	"delete": func(s *system, token string, id uuid.UUID) response {
		return s.call(http.MethodDelete, "/users/"+id.String(), token, nil, "If-Match", "*")
	},
	"correct the address of": func(s *system, token string, id uuid.UUID) response {
		return staffPatch(s, token, id, map[string]string{"email": uniqueEmail()}, "*")
	},
}

// lastAdminRound lets each administrator take the next one away, all at once, and returns the statuses.
func lastAdminRound(s *system, admins []account, ways []string) []int {
	statuses := make([]int, len(admins))
	var wait sync.WaitGroup
	start := make(chan struct{})
	for i, admin := range admins {
		wait.Go(func() {
			<-start
			statuses[i] = lastAdminWays[ways[i]](s, admin.token, admins[(i+1)%len(admins)].id).status
		})
	}
	close(start)
	wait.Wait()
	return statuses
}

// lastAdminReset makes all of them administrators with their sessions again.
func lastAdminReset(s *system, admins []account) {
	for _, a := range admins {
		s.exec(`UPDATE users SET role = 'ADMIN', role_when_verified = 'ADMIN', email_verified = true, is_locked = false, lock_reason = NULL,
			deleted_at = NULL WHERE id = $1`, a.id)
	}
	s.exec("UPDATE sessions SET ended_at = NULL")
}

// Z-06: whatever two administrators do to each other at once, one of them can still sign in.
func TestOfTwoAdministratorsWhoRemoveEachOtherOneStays(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admins := []account{s.signedIn(query.UserRoleADMIN), s.signedIn(query.UserRoleADMIN)}
	ways := []string{"demote", "lock", "delete", "correct the address of"}
	removed, outcomes := 0, map[string]int{}
	for round := range 50 {
		pair := []string{ways[round%4], ways[(round/4)%4]}
		lastAdminReset(s, admins)
		statuses := lastAdminRound(s, admins, pair)
		for _, status := range statuses {
			if !slices.Contains([]int{200, 204, 401, 403, 404, 409}, status) {
				t.Errorf("round %d, %v: got status %d", round, pair, status)
			}
			if status < 300 {
				removed++
			}
		}
		outcomes[fmt.Sprint(statuses)]++
		if usable := s.count("SELECT count(*) FROM users WHERE role = 'ADMIN' AND NOT is_locked AND deleted_at IS NULL"); usable != 1 {
			t.Errorf("round %d, %v: got %v and %d usable administrators, want 1", round, pair, statuses, usable)
		}
	}
	if removed != 50 {
		t.Errorf("got %d of 50 rounds in which one removed the other: %v", removed, outcomes)
	}
}

func TestOfThreeAdministratorsInACircleOneStays(t *testing.T) { // Z-06
	t.Parallel()
	s := newSystem(t)
	admins := []account{s.signedIn(query.UserRoleADMIN), s.signedIn(query.UserRoleADMIN), s.signedIn(query.UserRoleADMIN)}
	for round, way := range []string{"demote", "lock", "delete", "demote", "lock", "delete", "demote", "lock", "delete", "demote"} {
		lastAdminReset(s, admins)
		statuses := lastAdminRound(s, admins, []string{way, way, way})
		for _, status := range statuses {
			if status >= 500 {
				t.Errorf("round %d, %s: got status %d", round, way, status)
			}
		}
		if usable := s.count("SELECT count(*) FROM users WHERE role = 'ADMIN' AND NOT is_locked AND deleted_at IS NULL"); usable < 1 {
			t.Errorf("round %d, %s: got %v and nobody left", round, way, statuses)
		}
	}
}

// The guard counts only those who can sign in, and looks at nothing but the loss of one.
func TestTheLastAdministratorIsTheLastWhoCanSignIn(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	useless := []account{s.signedIn(query.UserRoleADMIN), s.signedIn(query.UserRoleADMIN), s.signedIn(query.UserRoleADMIN)}
	staffUserOf(t, staffLock(s, admin.token, useless[0].id, "x"), 200)
	staffDelete(s, admin.token, useless[1].id)
	staffUserOf(t, staffPatch(s, admin.token, useless[2].id, map[string]string{"email": uniqueEmail()}, "*"), 200)
	for name, way := range lastAdminWays {
		got := way(s, admin.token, admin.id)
		if got.problem(t, "last_admin"); got.status != http.StatusConflict {
			t.Errorf("%s themselves: got %d, want 409", name, got.status)
		}
	}
	// What is no loss is not guarded: edits of the last one, and the end of those who were of no use before.
	if got := staffPatch(s, admin.token, admin.id, map[string]string{"bio": "Alone"}, "*"); got.status != 200 {
		t.Errorf("got %s, want the last administrator to edit their profile", got.body)
	}
	staffUserOf(t, staffSetRole(s, admin.token, useless[0].id, "AUTHENTICATED"), 200)
	staffDelete(s, admin.token, useless[2].id)
}
