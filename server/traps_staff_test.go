package server_test

import (
	"net/http"
	"slices"
	"sync"
	"testing"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

// staffTraps is who may do what to whom.
func staffTraps() []trap {
	return []trap{
		{"a manager cannot make an administrator of anyone", managerMakesNoAdministrator}, // Z-03, Z-05
		{"a manager cannot edit an administrator", func(t *testing.T, s *system) { // Z-05
			_, manager, admin := trapStaff(s)
			trapUntouched(s, admin, func() {
				for _, body := range []any{map[string]any{"first_name": "Mallory"}, map[string]any{"email": uniqueEmail()}} {
					s.call(http.MethodPatch, trapPath(admin, ""), manager.token, body, "If-Match", "*").problem(t, api.ProblemCodeRankTooLow)
				}
			})
		}},
		{"a manager cannot delete an administrator", func(t *testing.T, s *system) { // Z-05
			_, manager, admin := trapStaff(s)
			trapUntouched(s, admin, func() {
				s.call(http.MethodDelete, trapPath(admin, ""), manager.token, nil, "If-Match", "*").problem(t, api.ProblemCodeRankTooLow)
			})
			trapStatus(s, "the administrator goes on", s.call(http.MethodGet, "/users/me", admin.token, nil), http.StatusOK)
		}},
		{"staff cannot delete their own account", func(t *testing.T, s *system) { // Z-07
			_, manager, admin := trapStaff(s)
			s.signedIn(query.UserRoleADMIN) // so that it is not about being the last one
			trapUntouched(s, admin, func() {
				s.call(http.MethodDelete, trapPath(admin, ""), admin.token, nil, "If-Match", "*").problem(t, api.ProblemCodeOwnAccount)
			})
			trapUntouched(s, manager, func() {
				s.call(http.MethodDelete, trapPath(manager, ""), manager.token, nil, "If-Match", "*").problem(t, api.ProblemCodeRankTooLow)
			})
		}},
		{"the last administrator stays one, whoever tries", lastAdministratorStays},              // Z-06
		{"two administrators who demote each other leave one", administratorsDemoteEachOther},    // Z-06
		{"a demotion or promotion holds for tokens that were made before", roleComesFromAccount}, // Z-08, Z-10
		{"a lock holds at the next request and an unlock revives no token", func(t *testing.T, s *system) { // Z-08
			user, manager, _ := trapStaff(s)
			trapStatus(s, "lock", s.call(http.MethodPost, trapPath(user, "/lock"), manager.token, map[string]any{"reason": "Spam"}), http.StatusOK)
			s.call(http.MethodGet, "/users/me", user.token, nil).problem(t, api.ProblemCodeInvalidAccessToken)
			trapStatus(s, "unlock", s.call(http.MethodPost, trapPath(user, "/unlock"), manager.token, nil), http.StatusOK)
			s.call(http.MethodGet, "/users/me", user.token, nil).problem(t, api.ProblemCodeInvalidAccessToken)
			trapStatus(s, "sign in anew", signInFrom(s, trapAddress(), user.email, goodPassword), http.StatusOK)
			if kinds := trapMails(s, user.id); !slices.Equal(kinds, []string{"locked", "unlocked"}) {
				t.Errorf("got mails %v, want one about each", kinds)
			}
		}},
		{"a deleted account's token opens nothing, and not the next account of that address", func(t *testing.T, s *system) { // Z-07, Z-08
			user, manager, _ := trapStaff(s)
			trapStatus(s, "delete", s.call(http.MethodDelete, trapPath(user, ""), manager.token, nil, "If-Match", "*"), http.StatusNoContent)
			s.call(http.MethodGet, "/users/me", user.token, nil).problem(t, api.ProblemCodeInvalidAccessToken)
			next := trapRegister(s, map[string]any{"email": user.email, "nickname": user.nickname})
			if next.id == user.id {
				t.Error("the new account has the old one's id")
			}
			s.call(http.MethodGet, "/users/me", user.token, nil).problem(t, api.ProblemCodeInvalidAccessToken)
		}},
		{"nobody locks an account without the right to", func(t *testing.T, s *system) { // Z-05
			user, manager, admin := trapStaff(s)
			reason := map[string]any{"reason": "Because"}
			trapUntouched(s, manager, func() {
				s.call(http.MethodPost, trapPath(manager, "/lock"), user.token, reason).problem(t, api.ProblemCodeMissingPermission)
				s.call(http.MethodPost, trapPath(manager, "/lock"), "", reason).problem(t, api.ProblemCodeAuthenticationRequired)
			})
			trapUntouched(s, admin, func() {
				s.call(http.MethodPost, trapPath(admin, "/lock"), manager.token, reason).problem(t, api.ProblemCodeRankTooLow)
			})
		}},
		{"a part of a role's name is no role", func(t *testing.T, s *system) { // the old check was: role in "ADMIN, MANAGER"
			user, manager, admin := trapStaff(s)
			trapUntouched(s, user, func() {
				for _, role := range []string{"", "ADMI", "MAN", "A", "admin", "ADMIN, MANAGER", "ADMIN ", "ANONYMOUS"} {
					got := s.call(http.MethodPut, trapPath(user, "/role"), admin.token, map[string]any{"role": role})
					trapFields(s, got, map[string][]api.FieldCode{"/role": {api.FieldCodeNotInEnum}})
				}
			})
			trapStatus(s, "filter by a part", s.call(http.MethodGet, "/users?role=MAN", manager.token, nil), http.StatusUnprocessableEntity)
			s.call(http.MethodGet, "/users", user.token, nil).problem(t, api.ProblemCodeMissingPermission)
		}},
		{"an upgrade of nobody is not found instead of forbidden", func(t *testing.T, s *system) {
			_, manager, _ := trapStaff(s)
			gone := s.signedIn(query.UserRoleAUTHENTICATED)
			trapStatus(s, "delete", s.call(http.MethodDelete, trapPath(gone, ""), manager.token, nil, "If-Match", "*"), http.StatusNoContent)
			for _, id := range []string{gone.id.String(), "01981d5c-7a00-7000-8000-000000000001", "1", "not-an-id"} {
				s.call(http.MethodPost, "/users/"+id+"/upgrade", manager.token, nil).problem(t, api.ProblemCodeNotFound)
			}
		}},
		{"an upgrade happens once and the user is told once", upgradeHappensOnce},
		{"staff never choose the password of another", func(t *testing.T, s *system) {
			_, manager, _ := trapStaff(s)
			email := uniqueEmail()
			got := s.call(http.MethodPost, "/users", manager.token, map[string]any{"email": email, "password": goodPassword})
			trapFields(s, got, map[string][]api.FieldCode{"/password": {api.FieldCodeUnknownField}})
			if n := s.count("SELECT count(*) FROM users WHERE email = $1", email); n != 0 {
				t.Errorf("%d accounts were made", n)
			}
			var invited api.User
			trapJSON(s, s.call(http.MethodPost, "/users", manager.token, map[string]any{"email": email}), http.StatusCreated, &invited)
			token := linkToken(t, s.mailTo(email, "invited"), "/invitations/")
			trapStatus(s, "accept", s.call(http.MethodPost, "/invitations/accept", "", map[string]any{"token": token, "password": goodPassword}), http.StatusOK)
			trapStatus(s, "sign in", signInFrom(s, trapAddress(), email, goodPassword), http.StatusOK)
		}},
	}
}

func managerMakesNoAdministrator(t *testing.T, s *system) {
	user, manager, _ := trapStaff(s)
	invited := uniqueEmail()
	role := map[string]any{"role": "ADMIN"}
	trapUntouched(s, user, func() {
		s.call(http.MethodPut, trapPath(user, "/role"), manager.token, role).problem(t, api.ProblemCodeMissingPermission)
		got := s.call(http.MethodPatch, trapPath(user, ""), manager.token, role, "If-Match", "*")
		trapFields(s, got, map[string][]api.FieldCode{"/role": {api.FieldCodeUnknownField}})
	})
	trapUntouched(s, manager, func() {
		s.call(http.MethodPut, trapPath(manager, "/role"), manager.token, role).problem(t, api.ProblemCodeMissingPermission)
		trapStatus(s, "own profile", s.call(http.MethodPatch, "/users/me", manager.token, role), http.StatusUnprocessableEntity)
	})
	got := s.call(http.MethodPost, "/users", manager.token, map[string]any{"email": invited, "role": "ADMIN"})
	got.problem(t, api.ProblemCodeMissingPermission)
	if n := s.count("SELECT count(*) FROM users WHERE email = $1", invited); n != 0 {
		t.Errorf("%d administrators were invited", n)
	}
}

func lastAdministratorStays(t *testing.T, _ *system) {
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	trapUntouched(s, admin, func() {
		for _, attempt := range []response{
			s.call(http.MethodPut, trapPath(admin, "/role"), admin.token, map[string]any{"role": "AUTHENTICATED"}),
			s.call(http.MethodPost, trapPath(admin, "/lock"), admin.token, map[string]any{"reason": "Holiday"}),
			s.call(http.MethodDelete, trapPath(admin, ""), admin.token, nil, "If-Match", "*"),
			s.call(http.MethodPatch, trapPath(admin, ""), admin.token, map[string]any{"email": uniqueEmail()}, "If-Match", "*"),
		} {
			attempt.problem(t, api.ProblemCodeLastAdmin)
		}
	})
}

func administratorsDemoteEachOther(t *testing.T, _ *system) {
	s := newSystem(t)
	one, two := s.signedIn(query.UserRoleADMIN), s.signedIn(query.UserRoleADMIN)
	// Both get as far as their last statement before either commits, so that neither could see the other.
	meanwhile, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := meanwhile.Exec(t.Context(), "LOCK TABLE audit IN EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	var both [2]response
	var wg sync.WaitGroup
	for i, pair := range [][2]account{{one, two}, {two, one}} {
		wg.Go(func() {
			both[i] = s.call(http.MethodPut, trapPath(pair[1], "/role"), pair[0].token, map[string]any{"role": "MANAGER"})
		})
	}
	waitForLockedQuery(s, len(both))
	if err := meanwhile.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	succeeded := 0
	for _, got := range both {
		switch got.status {
		case http.StatusOK:
			succeeded++
		case http.StatusConflict, http.StatusForbidden: // the last one by then, or no administrator any more
		default:
			t.Errorf("got %d %s", got.status, got.body)
		}
	}
	if left := s.count("SELECT count(*) FROM users WHERE role = 'ADMIN'"); left != 1 || succeeded != 1 {
		t.Errorf("%d demotions succeeded and %d administrators are left, want one of each", succeeded, left)
	}
}

func roleComesFromAccount(t *testing.T, s *system) {
	user, manager, admin := trapStaff(s)
	s.call(http.MethodGet, "/users", user.token, nil).problem(t, api.ProblemCodeMissingPermission)
	for _, change := range []struct {
		who  account
		role string
	}{{user, "MANAGER"}, {manager, "AUTHENTICATED"}} {
		got := s.call(http.MethodPut, trapPath(change.who, "/role"), admin.token, map[string]any{"role": change.role})
		trapStatus(s, "change the role", got, http.StatusOK)
	}
	trapStatus(s, "the promoted user lists with the old token", s.call(http.MethodGet, "/users", user.token, nil), http.StatusOK)
	s.call(http.MethodGet, "/users", manager.token, nil).problem(t, api.ProblemCodeMissingPermission)
}

func upgradeHappensOnce(t *testing.T, s *system) {
	user, manager, _ := trapStaff(s)
	var first, second api.User
	trapJSON(s, s.call(http.MethodPost, trapPath(user, "/upgrade"), manager.token, nil), http.StatusOK, &first)
	trapUntouched(s, user, func() {
		trapJSON(s, s.call(http.MethodPost, trapPath(user, "/upgrade"), manager.token, nil), http.StatusOK, &second)
	})
	if !second.IsProfessional || second.ProfessionalStatusUpdatedAt.MustGet() != first.ProfessionalStatusUpdatedAt.MustGet() {
		t.Errorf("got %v after %v, want the first time stamp", second.ProfessionalStatusUpdatedAt, first.ProfessionalStatusUpdatedAt)
	}
	if kinds := trapMails(s, user.id); !slices.Equal(kinds, []string{"upgraded"}) {
		t.Errorf("got mails %v, want one", kinds)
	}
}
