package server_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/google/uuid"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

func TestUpgradeUserSuccess(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	manager, user := s.signedIn(query.UserRoleMANAGER), s.signedIn(query.UserRoleAUTHENTICATED)
	for range 2 { // idempotent: the time stamp moves and the mail goes out once
		resp, err := s.client(manager.token).UpgradeUserWithResponse(context.Background(), user.id)
		if err != nil {
			t.Fatal(err)
		}
		if resp.JSON200 == nil || !resp.JSON200.IsProfessional || resp.JSON200.ProfessionalStatusUpdatedAt.IsNull() {
			t.Fatalf("got %s, want a professional with a time stamp", resp.Body)
		}
	}
	s.mailTo(user.email, "professional")
	s.idle()
	if got := s.count("SELECT count(*) FROM mails WHERE kind = 'upgraded'"); got != 1 {
		t.Errorf("got %d mails, want 1", got)
	}
	if got := s.count("SELECT count(*) FROM audit WHERE action = 'user_upgraded' AND actor_id = $1 AND subject_id = $2", manager.id, user.id); got != 1 {
		t.Errorf("got %d audit rows, want 1", got)
	}
}

func TestUpgradeUserForbidden(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	user, other := s.signedIn(query.UserRoleAUTHENTICATED), s.signedIn(query.UserRoleAUTHENTICATED)
	s.call(http.MethodPost, "/users/"+other.id.String()+"/upgrade", user.token, nil).problem(t, api.ProblemCodeMissingPermission)
	s.call(http.MethodPost, "/users/"+other.id.String()+"/upgrade", "", nil).problem(t, api.ProblemCodeAuthenticationRequired)
	if got := s.count("SELECT count(*) FROM users WHERE is_professional"); got != 0 {
		t.Errorf("got %d professionals, want none", got)
	}
}

func TestUpgradeUserNotFound(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	manager := s.signedIn(query.UserRoleMANAGER)
	got := s.call(http.MethodPost, "/users/"+uuid.NewString()+"/upgrade", manager.token, nil)
	if got.status != http.StatusNotFound {
		t.Errorf("got status %d, want 404", got.status)
	}
	got.problem(t, api.ProblemCodeNotFound)
}

func TestUpgradeUserInsufficientRole(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	manager, peer, admin := s.signedIn(query.UserRoleMANAGER), s.signedIn(query.UserRoleMANAGER), s.signedIn(query.UserRoleADMIN)
	for _, target := range []account{manager, peer, admin} {
		s.call(http.MethodPost, "/users/"+target.id.String()+"/upgrade", manager.token, nil).problem(t, api.ProblemCodeRankTooLow)
	}
	if got := s.count("SELECT count(*) FROM users WHERE is_professional"); got != 0 {
		t.Errorf("got %d professionals, want none", got)
	}
}
