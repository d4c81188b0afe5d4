package server_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

// forget asks for a reset link, from an address of its own.
func forget(s *system, email string) response {
	return s.call(http.MethodPost, "/password/forgot", "", map[string]string{"email": email}, "X-Forwarded-For", uniqueAddress())
}

// forgotten asks for a reset link and returns the token of its mail.
func forgotten(s *system, email string) string {
	s.t.Helper()
	before := resetMails(s, email)
	if got := forget(s, email); got.status != http.StatusAccepted {
		s.t.Fatalf("got %d: %s", got.status, got.body)
	}
	s.eventually("a reset mail to "+email, func() bool { return resetMails(s, email) > before })
	return linkToken(s.t, s.mailTo(email, "Password Reset Instructions"), "/password/reset/")
}

func resetMails(s *system, email string) int {
	n := 0
	for _, m := range s.inbox.Mails(email) {
		if strings.HasPrefix(m.Subject, "Password Reset Instructions") {
			n++
		}
	}
	return n
}

func resetPassword(s *system, token, password string) response {
	return s.call(http.MethodPost, "/password/reset", "", map[string]string{"token": token, "password": password}, "X-Forwarded-For", uniqueAddress())
}

// mustReset sets Compiler*1952.
func (s *system) mustReset(token string) {
	s.t.Helper()
	if got := resetPassword(s, token, "Compiler*1952"); got.status != http.StatusNoContent || len(got.body) > 0 {
		s.t.Fatalf("got %d: %s, want 204 and nothing", got.status, got.body)
	}
}

// lookAt opens the pages of mailed links as mail scanners do, and fails when anything is stored by it.
func (s *system) lookAt(paths ...string) {
	s.t.Helper()
	s.idle()
	(&contractWorld{system: s}).storesNothing(func() {
		for _, path := range paths {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				for _, purpose := range []string{"", "prefetch"} {
					if got := s.call(method, path, "", nil, "Sec-Purpose", purpose, "User-Agent", "SafeLinks"); got.status != http.StatusOK {
						s.t.Errorf("%s: got %d: %s", method, got.status, got.body)
					}
				}
			}
		}
	})
}

// isSignedIn says whether an access token is still taken.
func (s *system) isSignedIn(token string) bool {
	s.t.Helper()
	got := s.call(http.MethodGet, "/users/me", token, nil)
	if got.status != http.StatusOK {
		got.problem(s.t, api.ProblemCodeInvalidAccessToken)
	}
	return got.status == http.StatusOK
}

func (s *system) audited(action query.AuditAction, id uuid.UUID) int {
	s.t.Helper()
	return s.count("SELECT count(*) FROM audit WHERE action = $1 AND subject_id = $2", action, id)
}

// The whole way: forgot, the mail, its page, the new password; what was there before has ended.
func TestResetPasswordLetsTheOwnerInAndEverybodyElseOut(t *testing.T) {
	t.Parallel()
	s := newSystem(t, trustedPeer)
	owner := s.account(verifiedUser)
	devices := []string{s.login(owner.email, goodPassword), s.login(owner.email, goodPassword)}
	const source = "198.51.100.7"
	for range 5 { // somebody guesses, from the owner's own network
		signInFrom(s, source, owner.email, "Wrong*1843xyz").problem(t, api.ProblemCodeInvalidCredentials)
	}
	signInFrom(s, source, owner.email, goodPassword).problem(t, api.ProblemCodeTooManyAttempts)
	older := forgotten(s, owner.email)
	endMinute(s)
	token := forgotten(s, owner.email)

	s.lookAt("/password/reset/" + token)
	resetPassword(s, older, "Compiler*1952").problem(t, api.ProblemCodeTokenUsed)
	s.mustReset(token)

	for _, device := range devices {
		if s.isSignedIn(device) {
			t.Error("a session from before the reset goes on")
		}
	}
	if got := s.count("SELECT count(*) FROM sessions WHERE ended_at IS NULL"); got != 0 {
		t.Errorf("got %d sessions, want that a reset signs nobody in", got)
	}
	mustSignIn(t, signInFrom(s, source, owner.email, "Compiler*1952")) // the wait is over
	signInFrom(s, "198.51.100.8", owner.email, goodPassword).problem(t, api.ProblemCodeInvalidCredentials)
	resetPassword(s, token, goodPassword).problem(t, api.ProblemCodeTokenUsed)
	told := s.mailTo(owner.email, "password at Test Product was changed")
	if !strings.Contains(told.Text, "\n"+s.url+"/password/forgot\n") {
		t.Errorf("got %q, want a way to set another password", told.Text)
	}
	for action, want := range map[query.AuditAction]int{
		query.AuditActionPasswordResetRequested: 2, query.AuditActionPasswordReset: 1, query.AuditActionEmailVerified: 0,
	} {
		if got := s.audited(action, owner.id); got != want {
			t.Errorf("got %d audit rows %s, want %d", got, action, want)
		}
	}
	if got := s.count("SELECT version FROM users WHERE id = $1", owner.id); got != 2 { // made and verified, nothing else
		t.Errorf("got version %d, want that a reset is no edit", got)
	}
}

func TestResetPasswordAtOnceHappensOnce(t *testing.T) {
	t.Parallel()
	s := newSystem(t, trustedPeer)
	owner := s.account(verifiedUser)
	token := forgotten(s, owner.email)
	var winners []string
	for i, got := range answersAtOnce(50, func(i int) response { return resetPassword(s, token, numberedPassword(i)) }) {
		if got.status == http.StatusNoContent {
			winners = append(winners, numberedPassword(i))
			continue
		}
		if got.problem(t, api.ProblemCodeTokenUsed); got.status != http.StatusGone {
			t.Errorf("request %d got %d, want 410", i, got.status)
		}
	}
	if len(winners) != 1 {
		t.Fatalf("%d of 50 requests set a password, want 1", len(winners))
	}
	s.login(owner.email, winners[0])
	s.idle()
	if got := s.audited(query.AuditActionPasswordReset, owner.id); got != 1 {
		t.Errorf("got %d audit rows, want 1", got)
	}
	if got := s.count("SELECT count(*) FROM mails WHERE kind = 'password_changed'"); got != 1 {
		t.Errorf("got %d mails, want 1", got)
	}
}

// A sign-in whose password was right when it was checked opens no session behind the reset that ended all.
func TestResetPasswordLetsNoSignInThroughThatWasUnderWay(t *testing.T) {
	t.Parallel()
	s := newSystem(t, behindLoopbackProxy)
	owner := s.account(verifiedUser)
	token := forgotten(s, owner.email)
	holding, release := make(chan struct{}), make(chan struct{})
	var held sync.WaitGroup
	held.Go(func() { // so that the sign-in stands between its check and its session
		err := s.server.InTx(context.Background(), func(q *query.Queries, _ pgx.Tx) error {
			_, err := q.UserLock(context.Background(), owner.id)
			close(holding)
			<-release
			return err
		})
		if err != nil {
			t.Errorf("hold the account: %v", err)
		}
	})
	<-holding
	var reset, signIn response
	var both sync.WaitGroup
	both.Go(func() { reset = resetPassword(s, token, "Compiler*1952") })
	waitForLockedQuery(s, 1)
	both.Go(func() { signIn = signInAttempt(s, owner.email, goodPassword) })
	waitForLockedQuery(s, 2)
	close(release)
	both.Wait()
	held.Wait()
	if reset.status != http.StatusNoContent {
		t.Fatalf("got %d: %s", reset.status, reset.body)
	}
	signIn.problem(t, api.ProblemCodeInvalidCredentials)
	if got := s.count("SELECT count(*) FROM sessions WHERE ended_at IS NULL"); got != 0 {
		t.Errorf("got %d sessions behind the reset, want none", got)
	}
}

func TestForgotPasswordAnswersAlikeWhoeverAsks(t *testing.T) {
	t.Parallel()
	s := newSystem(t, trustedPeer)
	verified, waiting, locked := s.account(verifiedUser), s.account(server.NewAccount{}), s.account(linkTargets["locked"])
	deleted := s.account(verifiedUser)
	s.exec("UPDATE users SET deleted_at = now() WHERE id = $1", deleted.id)
	unknown := uniqueEmail()
	var want string
	for name, email := range map[string]string{
		"verified": verified.email, "unverified": waiting.email, "locked": locked.email, "deleted": deleted.email, "unknown": unknown,
		"again": strings.ToUpper(verified.email), "unknown again": strings.ToUpper(unknown),
	} {
		got := forget(s, email)
		if want == "" {
			want = outerShape(got)
		}
		if got.status != http.StatusAccepted || outerShape(got) != want {
			t.Errorf("%s: got %d: %s, want %s", name, got.status, got.body, want)
		}
	}
	// The request queues one job and writes one audit row for each address, known or not: the rest is not its work.
	if jobs, rows := s.count("SELECT count(*) FROM river_job WHERE kind = 'forgot_password'"),
		s.count("SELECT count(*) FROM audit WHERE action = 'password_reset_requested'"); jobs != 5 || rows != 5 {
		t.Errorf("got %d jobs and %d audit rows, want one for each of five addresses", jobs, rows)
	}
	s.idle()
	for email, want := range map[string]int{verified.email: 1, waiting.email: 1, locked.email: 1, deleted.email: 0, unknown: 0} {
		if got := len(s.inbox.Mails(email)); got != want {
			t.Errorf("got %d mails to %s, want %d", got, email, want)
		}
	}
	if got := s.count("SELECT count(*) FROM sessions"); got != 0 {
		t.Errorf("got %d sessions", got)
	}
}

func TestForgotPasswordIsLimitedPerAddressAndPerSource(t *testing.T) {
	t.Parallel()
	s := newSystem(t, trustedPeer)
	owner := s.account(verifiedUser)
	sent := func() int {
		s.idle()
		return resetMails(s, owner.email)
	}
	for i, want := range []int{1, 2, 3, 3} { // a minute apart
		answersAtOnce(5, func(int) response { return forget(s, owner.email) })
		if got := sent(); got != want {
			t.Errorf("minute %d: got %d mails, want %d", i+1, got, want)
		}
		endMinute(s)
	}
	endHour(s)
	if forget(s, owner.email); sent() != 4 {
		t.Errorf("got %d mails after the hour, want 4", sent())
	}
	var last account
	for range 21 {
		last = s.account(verifiedUser)
		got := s.call(http.MethodPost, "/password/forgot", "", map[string]string{"email": last.email}, "X-Forwarded-For", "198.51.100.1")
		if got.status != http.StatusAccepted {
			t.Fatalf("got %d: %s", got.status, got.body)
		}
	}
	s.idle()
	if got := resetMails(s, last.email); got != 0 {
		t.Errorf("got %d mails for the 21st address of one source, want none", got)
	}
	if got := s.count("SELECT count(DISTINCT user_id) FROM mails WHERE kind = 'password_reset'"); got != 1+20 {
		t.Errorf("got mails to %d accounts, want the owner's and twenty", got)
	}
}

func TestResetPasswordDoesNotLiftALock(t *testing.T) { // Z-09, A-66
	t.Parallel()
	s := newSystem(t, trustedPeer)
	locked := s.account(linkTargets["locked"])
	s.mustReset(forgotten(s, locked.email))
	signInAttempt(s, locked.email, "Compiler*1952").problem(t, api.ProblemCodeAccountLocked)
	if got := s.count("SELECT count(*) FROM users WHERE id = $1 AND is_locked AND lock_reason = 'x'", locked.id); got != 1 {
		t.Error("a reset lifted an administrator's lock")
	}
}

// Whoever registered with an address of somebody else has proven nothing: the reset is the first proof.
func TestResetPasswordProvesAnUnverifiedAddress(t *testing.T) {
	t.Parallel()
	s := newSystem(t, trustedPeer)
	profile, verification := unverified(s)
	const squatter = "198.51.100.66"
	signInFrom(s, squatter, profile.Email, goodPassword).problem(t, api.ProblemCodeEmailNotVerified)
	if got := s.count("SELECT count(*) FROM login_failures WHERE succeeded_at IS NOT NULL"); got != 1 {
		t.Fatalf("got %d sources that knew the password, want the squatter's", got)
	}
	s.mustReset(forgotten(s, profile.Email))
	verifyByToken(s, verification).problem(t, api.ProblemCodeTokenUsed)
	signInFrom(s, squatter, profile.Email, goodPassword).problem(t, api.ProblemCodeInvalidCredentials)
	if got := s.count("SELECT count(*) FROM login_failures WHERE succeeded_at IS NOT NULL"); got != 0 {
		t.Error("a source is known for a password that is void")
	}
	if got := tokenPart(t, s.login(profile.Email, "Compiler*1952"), 1)["scope"]; got != "profile:read profile:write sessions:own tokens:introspect" {
		t.Errorf("got scope %q, want that of the role", got)
	}
	if got := s.audited(query.AuditActionEmailVerified, profile.ID); got != 1 {
		t.Errorf("got %d audit rows of the proof, want 1", got)
	}
}

func TestResetPasswordIsAsGoodAsAnInvitation(t *testing.T) {
	t.Parallel()
	s := newSystem(t, trustedPeer)
	admin := s.signedIn(query.UserRoleADMIN)
	email, invitation := invited(s, admin.token, map[string]any{"role": "MANAGER"})
	s.mustReset(forgotten(s, email))
	acceptInvitation(s, invitation, goodPassword).problem(t, api.ProblemCodeTokenUsed)
	s.login(email, "Compiler*1952")
	if got := s.count("SELECT count(*) FROM users WHERE email = $1 AND role = 'MANAGER'", email); got != 1 {
		t.Error("the account did not get the role that it was invited for")
	}
}

func TestResetPasswordHoldsThePasswordToThePolicyAndTheAccountsWords(t *testing.T) {
	t.Parallel()
	s := newSystem(t, trustedPeer)
	owner := s.account(server.NewAccount{Role: query.UserRoleAUTHENTICATED, EmailVerified: true, FirstName: "Wilhelmina", Nickname: "lighthouse"})
	token := forgotten(s, owner.email)
	for password, want := range map[string]api.FieldCode{
		"qzvxk": api.FieldCodeTooShort, "Password1!": api.FieldCodeTooCommon, "Wilhelmina*1": api.FieldCodeTooPersonal, "Lighthouse#22": api.FieldCodeTooPersonal,
	} {
		got := resetPassword(s, token, password)
		if codes := fieldCodes(got.problem(t, api.ProblemCodeValidationFailed))["/password"]; !slices.Contains(codes, want) {
			t.Errorf("%q: got %v, want %s", password, codes, want)
		}
		if strings.Contains(string(got.body), password) {
			t.Errorf("%q: the answer repeats the password", password)
		}
	}
	s.mustReset(token) // none of the tries used it up
}

func TestResetLinkDiesWithItsAccountAndWithItsAddress(t *testing.T) {
	t.Parallel()
	s := newSystem(t, trustedPeer)
	admin := s.signedIn(query.UserRoleADMIN)
	corrected, deleted := s.account(verifiedUser), s.account(verifiedUser)
	ofCorrected, ofDeleted := forgotten(s, corrected.email), forgotten(s, deleted.email)
	s.call(http.MethodPatch, "/users/"+corrected.id.String(), admin.token, map[string]any{"email": uniqueEmail()}, "If-Match", "*")
	s.call(http.MethodDelete, "/users/"+deleted.id.String(), admin.token, nil, "If-Match", "*")
	for _, token := range []string{ofCorrected, ofDeleted} {
		resetPassword(s, token, "Compiler*1952").problem(t, api.ProblemCodeTokenUsed)
	}
	s.exec("UPDATE one_time_tokens SET superseded_at = NULL WHERE purpose = 'reset_password'") // even if the rows were open
	heir := s.account(server.NewAccount{Email: corrected.email, EmailVerified: true})          // and the address somebody else's
	for _, token := range []string{ofCorrected, ofDeleted} {
		resetPassword(s, token, "Compiler*1952").problem(t, api.ProblemCodeTokenInvalid)
	}
	s.login(heir.email, goodPassword)
	if got := s.count("SELECT count(*) FROM audit WHERE action = 'password_reset'"); got != 0 {
		t.Errorf("got %d resets, want none", got)
	}
}
