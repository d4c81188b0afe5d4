package server_test

import (
	"net/http"
	"strings"
	"testing"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

// TestTheWayBackIn is one person who forgets her password, changes it, and whose address somebody else changes; all
// through the generated client.
func TestTheWayBackIn(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := newSystem(t)
	j := journey{t, s}
	manager, ada := s.signedIn(query.UserRoleMANAGER), s.account(verifiedUser)

	// She forgets her password; the mailed link shows a page that asks for another.
	forgot, err := j.as("").ForgotPasswordWithResponse(ctx, api.ForgotPasswordRequest{Email: strings.ToUpper(ada.email)})
	j.must(err, forgot.HTTPResponse, forgot.Body, http.StatusAccepted)
	token := linkToken(t, s.mailTo(ada.email, "Password Reset Instructions"), "/password/reset/")
	page, err := j.as("").ShowPasswordResetWithResponse(ctx, token)
	j.must(err, page.HTTPResponse, page.Body, http.StatusOK)
	if !strings.Contains(string(page.Body), `type="password"`) {
		t.Errorf("got %s, want a page that asks for a password", page.Body)
	}
	reset, err := j.as("").ResetPasswordWithResponse(ctx, api.ResetPasswordRequest{Token: token, Password: "Compiler*1952"})
	j.must(err, reset.HTTPResponse, reset.Body, http.StatusNoContent)
	access := s.login(ada.email, "Compiler*1952")

	// She sets one that she likes better, and goes on.
	changed, err := j.as(access).ChangeOwnPasswordWithResponse(ctx, api.ChangeOwnPasswordRequest{CurrentPassword: "Compiler*1952", NewPassword: goodPassword})
	j.must(err, changed.HTTPResponse, changed.Body, http.StatusNoContent)
	me, err := j.as(access).GetOwnProfileWithResponse(ctx)
	j.must(err, me.HTTPResponse, me.Body, http.StatusOK)

	// Somebody at her desk, who saw her type, gives the account another address.
	next := uniqueEmail()
	wanted, err := j.as(access).ChangeOwnEmailWithResponse(ctx, api.ChangeOwnEmailRequest{CurrentPassword: goodPassword, Email: next})
	j.must(err, wanted.HTTPResponse, wanted.Body, http.StatusAccepted)
	confirmed, err := j.as("").ConfirmEmailChangeWithResponse(ctx, api.ConfirmEmailChangeRequest{Token: confirmationOf(s, next)})
	j.must(err, confirmed.HTTPResponse, confirmed.Body, http.StatusOK)
	if got := confirmed.JSON200; got.Email != next || got.UserID != ada.id {
		t.Errorf("got %s", confirmed.Body)
	}

	// She finds the notice, takes her address back and sets another password by a link that staff mail.
	token = revocationOf(s, ada.email)
	page2, err := j.as("").ShowEmailChangeRevocationWithResponse(ctx, token)
	j.must(err, page2.HTTPResponse, page2.Body, http.StatusOK)
	revoked, err := j.as("").RevokeEmailChangeWithResponse(ctx, api.RevokeEmailChangeRequest{Token: token})
	j.must(err, revoked.HTTPResponse, revoked.Body, http.StatusNoContent)
	j.isRefused(access)
	sent, err := j.as(manager.token).SendPasswordResetMailWithResponse(ctx, ada.id)
	j.must(err, sent.HTTPResponse, sent.Body, http.StatusAccepted)
	s.eventually("the second link", func() bool { return resetMails(s, ada.email) == 2 })
	token = linkToken(t, s.mailTo(ada.email, "Password Reset Instructions"), "/password/reset/")
	reset, err = j.as("").ResetPasswordWithResponse(ctx, api.ResetPasswordRequest{Token: token, Password: "Compiler*1952"})
	j.must(err, reset.HTTPResponse, reset.Body, http.StatusNoContent)
	s.login(ada.email, "Compiler*1952")
}
