package server_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"usermanager/gen/api"
	"usermanager/server"
	"usermanager/server/mail"
	"usermanager/server/mail/mailtest"
)

// mailTraps is about a mail server that is away, hangs or is used too early.
func mailTraps() []trap {
	return []trap{
		{"a registration succeeds without a mail server and its mail arrives later, once", mailArrivesLater}, // F-01
		{"an account that was made without a mail server can be retried", retryFindsTheAccount},              // F-01
		{"a mail server that hangs holds nobody up", hangHoldsNobodyUp},                                      // F-01
		{"a registration that is refused mails nobody", func(t *testing.T, _ *system) { // F-20: it mailed before the commit
			s := newSystem(t)
			taken := trapRegister(s, nil)
			for _, fields := range []map[string]any{{"nickname": taken.nickname}, {"email": taken.email}, {"password": "short"}} {
				if got := s.call(http.MethodPost, "/register", "", trapRegistration(fields)); got.status < http.StatusBadRequest {
					t.Errorf("got %d %s", got.status, got.body)
				}
			}
			s.idle()
			if mails, rows := len(s.inbox.Mails("")), s.count("SELECT count(*) FROM mails"); mails != 1 || rows != 1 {
				t.Errorf("%d mails and %d rows, want the first one's only", mails, rows)
			}
		}},
	}
}

// trapRelay is a system that mails through a real mail server.
func trapRelay(t *testing.T) (*system, *mailtest.Server) {
	t.Helper()
	relay := mailtest.Start(t)
	address, err := mail.ParseURL(relay.URL())
	if err != nil {
		t.Fatal(err)
	}
	from, err := mail.ParseFrom("tests@example.com")
	if err != nil {
		t.Fatal(err)
	}
	return newSystem(t, trapOptions, func(o *server.Options) { o.Mail = mail.NewSMTP(address, from) }), relay
}

// trapRelayed waits for so many mails and returns the token in the last one to the account.
func trapRelayed(t *testing.T, relay *mailtest.Server, n int, a account) string {
	t.Helper()
	relay.Wait(n)
	received := relay.MessagesTo(a.email)
	if len(received) != 1 {
		t.Fatalf("%d mails to %s, want 1", len(received), a.email)
	}
	return linkToken(t, mail.InboxMail{Text: received[0].Text}, "/verify-email/")
}

func trapRetrying(s *system, id uuid.UUID) {
	s.t.Helper()
	s.eventually("the first try to fail", func() bool {
		return s.count("SELECT count(*) FROM mails WHERE user_id = $1 AND state = 'retrying'", id) > 0
	})
}

func mailArrivesLater(t *testing.T, _ *system) {
	s, relay := trapRelay(t)
	relay.Stop()
	user := trapRegister(s, nil)
	trapRetrying(s, user.id)
	relay.Restart()
	token := trapRelayed(t, relay, 1, user)
	trapStatus(s, "verify", trapVerify(s, token), http.StatusOK)
	trapStatus(s, "sign in", signInFrom(s, trapAddress(), user.email, goodPassword), http.StatusOK)
	if kinds := trapMails(s, user.id); !slices.Equal(kinds, []string{"verify_email"}) || len(relay.Messages()) != 1 {
		t.Errorf("got mails %v, %d messages", kinds, len(relay.Messages()))
	}
}

func retryFindsTheAccount(t *testing.T, _ *system) {
	s, relay := trapRelay(t)
	relay.Stop()
	user := trapRegister(s, nil)
	trapRetrying(s, user.id)
	again := s.call(http.MethodPost, "/register", "", trapRegistration(map[string]any{"email": user.email}))
	again.problem(t, api.ProblemCodeEmailTaken)
	trapStatus(s, "ask for the link", s.call(http.MethodPost, "/verify-email/resend", "", map[string]any{"email": user.email}), http.StatusAccepted)
	relay.Restart()
	// The newer link replaced the older, whose mail is not sent any more.
	trapStatus(s, "verify", trapVerify(s, trapRelayed(t, relay, 1, user)), http.StatusOK)
	if kinds := trapMails(s, user.id); len(kinds) != 1 || len(relay.Messages()) != 1 {
		t.Errorf("got mails %v, %d messages, want one", kinds, len(relay.Messages()))
	}
}

func hangHoldsNobodyUp(t *testing.T, _ *system) {
	s, relay := trapRelay(t)
	known := s.account(verifiedUser)
	relay.Hang(mailtest.AtMail)
	s.http.Timeout = 10 * time.Second // far less than a mail server may take
	var users []account
	for range 15 { // more than mails are sent at once
		users = append(users, trapRegister(s, nil))
	}
	trapStatus(s, "sign in", signInFrom(s, trapAddress(), known.email, goodPassword), http.StatusOK)
	trapStatus(s, "readiness", s.call(http.MethodGet, "/readyz", "", nil), http.StatusOK)
	s.eventually("mails to hang", func() bool { return relay.Attempts() > 0 })
	if n := len(relay.Messages()); n != 0 {
		t.Errorf("%d mails went through", n)
	}
	relay.Accept()
	relay.Wait(len(users))
	for _, user := range users {
		trapStatus(s, "verify", trapVerify(s, trapRelayed(t, relay, len(users), user)), http.StatusOK)
	}
}
