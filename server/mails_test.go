package server_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
	"usermanager/server/mail"
	"usermanager/server/mail/mailtest"
)

// newQuietSystem is a server on the database of another one, which answers requests and works no jobs.
func newQuietSystem(t *testing.T, of *system, configure ...func(*server.Options)) *system {
	t.Helper()
	quiet := newSystemOn(t, of.pool, configure...)
	quiet.stop()
	listening := httptest.NewServer(quiet.server.Handler())
	t.Cleanup(listening.Close)
	quiet.url = listening.URL
	return quiet
}

// throughSMTP makes a server send its mails through a real mail server.
func throughSMTP(t *testing.T, smtp *mailtest.Server) func(*server.Options) {
	t.Helper()
	address, err := mail.ParseURL(smtp.URL())
	if err != nil {
		t.Fatal(err)
	}
	from, err := mail.ParseFrom("Tests <tests@example.com>")
	if err != nil {
		t.Fatal(err)
	}
	return func(o *server.Options) { o.Mail = mail.NewSMTP(address, from) }
}

// lastMail is what staff see of the newest mail to a user.
func lastMail(s *system, staffToken string, id uuid.UUID) api.LastMail {
	s.t.Helper()
	got := s.call(http.MethodGet, "/users/"+id.String(), staffToken, nil)
	var user api.User
	if err := json.Unmarshal(got.body, &user); err != nil || got.status != http.StatusOK {
		s.t.Fatalf("got %d: %s", got.status, got.body)
	}
	return user.LastMail
}

func awaitMailState(s *system, staffToken string, id uuid.UUID, want api.LastMailState) {
	s.t.Helper()
	s.eventually("a mail that is "+string(want), func() bool { return lastMail(s, staffToken, id).State == want })
}

// retryNow ends the pause before the next try of every mail.
func retryNow(s *system) {
	s.exec("UPDATE river_job SET scheduled_at = now(), state = 'available' WHERE kind = 'mail' AND state IN ('retryable', 'scheduled', 'available')")
}

func TestMailArrivesOnceTheMailServerIsBack(t *testing.T) { // F-01
	t.Parallel()
	smtp := mailtest.Start(t)
	smtp.Stop()
	s := newSystem(t, throughSMTP(t, smtp))
	admin := s.signedIn(query.UserRoleADMIN)
	var profiles []api.OwnProfile
	for range 5 {
		profiles = append(profiles, registered(s, nil)) // 201 at once
	}
	for _, profile := range profiles {
		awaitMailState(s, admin.token, profile.ID, api.LastMailStateRetrying)
	}
	s.exec("UPDATE one_time_tokens SET created_at = created_at - interval '2 days', expires_at = expires_at - interval '2 days'") // a long outage
	smtp.Restart()
	retryNow(s)
	smtp.Wait(len(profiles))
	for _, profile := range profiles {
		awaitMailState(s, admin.token, profile.ID, api.LastMailStateSent)
		if got := len(smtp.MessagesTo(profile.Email)); got != 1 {
			t.Errorf("got %d copies, want 1", got)
		}
		if got := verifyByToken(s, smtpToken(t, smtp, profile.Email)); got.status != http.StatusOK { // its time began with the delivery
			t.Errorf("got %d: %s", got.status, got.body)
		}
	}
}

// smtpToken is the token of the newest message to an address.
func smtpToken(t *testing.T, smtp *mailtest.Server, email string) string {
	t.Helper()
	messages := smtp.MessagesTo(email)
	if len(messages) == 0 {
		t.Fatalf("no message to %s", email)
	}
	return linkToken(t, mail.InboxMail{Text: messages[len(messages)-1].Text}, "/verify-email/")
}

func TestMailGoesToOneRecipientAndItsHeadersHoldNothingOfTheUser(t *testing.T) {
	t.Parallel()
	smtp := mailtest.Start(t)
	s := newSystem(t, throughSMTP(t, smtp))
	names := []string{
		`<script>alert(1)</script>`, `<a href="https://evil.example">Click</a>`, "evil.example", "https://evil.example/x", "[Click](https://evil.example)",
		"{{.Link}}", "Bcc: b@evil.example", "www.evil.example", "@evil", `"><img src=//evil.example>`, "&lt;b&gt;evil&lt;/b&gt;", "=?utf-8?q?evil?=",
	}
	for _, name := range names {
		registered(s, map[string]any{"email": " Ada." + uuid.NewString()[:8] + "@EXAMPLE.com", "first_name": name, "last_name": name, "bio": name})
	}
	for _, m := range smtp.Wait(len(names)) {
		var stored string
		s.scan("SELECT email FROM users WHERE email = $1", []any{m.To[0]}, &stored)
		if len(m.To) != 1 || m.Header.Get("To") != "<"+stored+">" || m.Header.Get("Cc")+m.Header.Get("Bcc") != "" {
			t.Errorf("got envelope %q and To %q, want %s alone", m.To, m.Header.Get("To"), stored)
		}
		if lower := strings.ToLower(string(m.Raw)); strings.Contains(lower, "evil") || strings.Contains(lower, "alert(1)") || strings.Contains(lower, "{{") {
			t.Errorf("a name reached the mail: %s", m.Raw)
		}
		if m.Subject() != "Confirm your e-mail address for Test Product" {
			t.Errorf("got subject %q", m.Subject())
		}
		if got := strings.Count(m.HTML, s.url+"/verify-email/"); got < 1 {
			t.Errorf("got %d links, want the one of the mail", got)
		}
	}
}

func TestMailGreetsByNameInALanguageThatItHas(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	for name, c := range map[string]struct {
		fields map[string]any
		want   string
	}{
		"first name":       {map[string]any{"first_name": "Zoë", "preferred_language": "en-GB"}, "Hi Zoë,"},
		"nickname":         {map[string]any{"nickname": "zoe-1"}, "Hi zoe-1,"},
		"unknown language": {map[string]any{"first_name": "Zoë", "preferred_language": "mi"}, "Hi Zoë,"},
	} {
		profile := registered(s, c.fields)
		m := s.mailTo(profile.Email, "Confirm your e-mail address for Test Product")
		if !strings.Contains(m.Text, c.want) || !strings.Contains(m.HTML, c.want) || !strings.Contains(m.Text, "24 hours") {
			t.Errorf("%s: got %q, want %q", name, m.Text, c.want)
		}
	}
}

func TestMailRefusedForGoodEndsAfterOneTryAndHoldsUpNobody(t *testing.T) { // F-03
	t.Parallel()
	smtp := mailtest.Start(t)
	refused, delayed := uniqueEmail(), uniqueEmail()
	smtp.Refuse(mailtest.AtRcpt, 550, refused)
	smtp.Refuse(mailtest.AtRcpt, 450, delayed)
	s := newSystem(t, throughSMTP(t, smtp))
	admin := s.signedIn(query.UserRoleADMIN)
	failing := registered(s, map[string]any{"email": refused})
	awaitMailState(s, admin.token, failing.ID, api.LastMailStateFailed)
	s.idle()
	if got := smtp.Attempts(); got != 1 {
		t.Errorf("got %d tries, want 1", got)
	}
	if got := s.count("SELECT count(*) FROM river_job WHERE kind = 'mail' AND state = 'cancelled' AND attempt = 1"); got != 1 {
		t.Errorf("got %d ended jobs, want 1", got)
	}
	waiting := registered(s, map[string]any{"email": delayed})
	other := registered(s, nil)
	awaitMailState(s, admin.token, other.ID, api.LastMailStateSent)
	awaitMailState(s, admin.token, waiting.ID, api.LastMailStateRetrying)
	smtp.Accept()
	retryNow(s)
	awaitMailState(s, admin.token, waiting.ID, api.LastMailStateSent)
	if got := len(smtp.MessagesTo(delayed)); got != 1 {
		t.Errorf("got %d copies, want 1", got)
	}
	if got := len(smtp.MessagesTo(refused)); got != 0 {
		t.Errorf("got %d copies of what was refused for good, want none", got)
	}
	// What failed can be asked for again, once the address takes mail.
	s.call(http.MethodPost, "/verify-email/resend", "", map[string]any{"email": refused})
	awaitMailState(s, admin.token, failing.ID, api.LastMailStateSent)
	for _, address := range []string{refused, delayed} {
		if strings.Contains(s.logs.String(), address) || s.count("SELECT count(*) FROM river_job WHERE errors::text LIKE '%' || $1 || '%'", address) != 0 { // H-10
			t.Errorf("the log or a job holds the address")
		}
	}
}

// After days of tries the mail is given up, and staff must not read that it is still being tried.
func TestMailOfTheLastTryIsShownAsFailed(t *testing.T) {
	t.Parallel()
	smtp := mailtest.Start(t)
	smtp.Refuse(mailtest.AtMail, 421)
	s := newSystem(t, throughSMTP(t, smtp))
	admin := s.signedIn(query.UserRoleADMIN)
	s.exec(`CREATE FUNCTION two_tries() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.max_attempts := 2; RETURN NEW; END $$`)
	s.exec("CREATE TRIGGER two_tries BEFORE INSERT ON river_job FOR EACH ROW WHEN (NEW.kind = 'mail') EXECUTE FUNCTION two_tries()")
	profile := registered(s, nil)
	awaitMailState(s, admin.token, profile.ID, api.LastMailStateRetrying)
	retryNow(s)
	awaitMailState(s, admin.token, profile.ID, api.LastMailStateFailed)
	s.idle()
	if got := smtp.Attempts(); got != 2 {
		t.Errorf("got %d tries, want 2", got)
	}
}

func TestMailSentTwiceIsRecognisable(t *testing.T) { // F-02
	t.Parallel()
	smtp := mailtest.Start(t)
	s := newSystem(t, throughSMTP(t, smtp))
	profile := registered(s, nil)
	s.idle()
	var firstDelivery string
	s.scan("SELECT delivered_at::text || expires_at FROM one_time_tokens", nil, &firstDelivery)
	again := "UPDATE river_job SET state = 'available', finalized_at = NULL, attempt = 0, scheduled_at = now() WHERE kind = 'mail'"
	s.exec(again) // the job's end was lost, the mail's state was not: nothing is sent
	s.eventually("the job to end again", func() bool {
		return s.count("SELECT count(*) FROM river_job WHERE kind = 'mail' AND state = 'completed'") == 1
	})
	if got := len(smtp.Messages()); got != 1 {
		t.Errorf("got %d copies, want 1", got)
	}
	s.exec("UPDATE mails SET state = 'queued'") // killed between the mail server's answer and the transaction
	s.exec(again)
	messages := smtp.Wait(2)
	if messages[0].ID() != messages[1].ID() || messages[0].ID() == "" {
		t.Errorf("got Message-IDs %q and %q, want one", messages[0].ID(), messages[1].ID())
	}
	if messages[0].Text != messages[1].Text || messages[0].HTML != messages[1].HTML {
		t.Error("the second copy says something else, so its link is another one")
	}
	s.idle()
	var delivery string
	s.scan("SELECT delivered_at::text || expires_at FROM one_time_tokens", nil, &delivery)
	if delivery != firstDelivery {
		t.Errorf("got delivery %s, want it counted from the first: %s", delivery, firstDelivery)
	}
	if got := verifyByToken(s, smtpToken(t, smtp, profile.Email)); got.status != http.StatusOK {
		t.Errorf("got %d: %s", got.status, got.body)
	}
}

func TestMailWhoseAnswerWasLostIsSentAgainAsTheSame(t *testing.T) { // F-02
	t.Parallel()
	smtp := mailtest.Start(t)
	smtp.LoseAnswers()
	s := newSystem(t, throughSMTP(t, smtp))
	admin := s.signedIn(query.UserRoleADMIN)
	profile := registered(s, nil)
	awaitMailState(s, admin.token, profile.ID, api.LastMailStateRetrying)
	smtp.Accept()
	retryNow(s)
	awaitMailState(s, admin.token, profile.ID, api.LastMailStateSent)
	ids := map[string]bool{}
	for _, m := range smtp.Wait(2) {
		ids[m.ID()] = true
	}
	if len(ids) != 1 {
		t.Errorf("got Message-IDs %v, want one", ids)
	}
}

func TestMailStatesAreReadable(t *testing.T) {
	t.Parallel()
	smtp := mailtest.Start(t)
	smtp.Hang(mailtest.AtData)
	s := newSystem(t, throughSMTP(t, smtp), trustedPeer)
	admin := s.signedIn(query.UserRoleADMIN)
	if got := lastMail(s, admin.token, admin.id); got.State != api.LastMailStateNone || got.Kind != api.LastMailKindNone || !got.At.IsNull() {
		t.Errorf("got %+v, want none", got)
	}
	profile := registered(s, nil)
	if got := lastMail(s, admin.token, profile.ID); got.State != api.LastMailStateQueued || got.Kind != api.LastMailKindVerifyEmail || got.At.IsNull() {
		t.Errorf("got %+v, want a verification mail that is queued", got)
	}
	s.eventually("the mail server to be asked", func() bool { return smtp.Attempts() == 1 })
	smtp.Stop() // breaks the hanging dialogue
	smtp.Accept()
	smtp.Restart()
	awaitMailState(s, admin.token, profile.ID, api.LastMailStateRetrying)
	retryNow(s)
	awaitMailState(s, admin.token, profile.ID, api.LastMailStateSent)
	smtp.Refuse(mailtest.AtMail, 554)
	resend(s, map[string]any{"email": profile.Email})
	awaitMailState(s, admin.token, profile.ID, api.LastMailStateFailed)
	s.call(http.MethodPost, "/users/"+profile.ID.String()+"/upgrade", admin.token, nil)
	s.eventually("the newest mail to be shown", func() bool { return lastMail(s, admin.token, profile.ID).Kind == api.LastMailKindUpgraded })
}

// gate is a Sender that holds every mail until it is opened, so that a test can act in between.
type gate struct {
	mail.Sender
	opened  chan struct{}
	arrived chan string
	once    sync.Once
}

func newGate() *gate { return &gate{opened: make(chan struct{}), arrived: make(chan string, 100)} }

func (g *gate) install(o *server.Options) { g.Sender, o.Mail = o.Mail, g }

func (g *gate) open() { g.once.Do(func() { close(g.opened) }) }

func (g *gate) Send(ctx context.Context, m mail.Message) error {
	g.arrived <- m.To
	select {
	case <-g.opened:
		return g.Sender.Send(ctx, m)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestMailIsSkippedOnceNobodyNeedsIt(t *testing.T) {
	t.Parallel()
	held := newGate()
	s := newSystem(t, held.install, trustedPeer)
	t.Cleanup(held.open)
	admin := s.signedIn(query.UserRoleADMIN)
	for range 10 { // as many as there are workers: what comes after waits in the queue
		registered(s, nil)
	}
	for range 10 {
		<-held.arrived
	}
	replaced, deleted, late := registered(s, nil), registered(s, nil), registered(s, nil)
	resend(s, map[string]any{"email": replaced.Email})
	s.call(http.MethodDelete, "/users/"+deleted.ID.String(), admin.token, nil, "If-Match", `"1"`)
	s.exec("UPDATE one_time_tokens SET expires_at = now() - interval '1 second' WHERE user_id = $1", late.ID) // three days in the queue
	held.open()
	awaitMailState(s, admin.token, replaced.ID, api.LastMailStateSent)
	awaitMailState(s, admin.token, late.ID, api.LastMailStateSkipped)
	s.idle()
	if got := len(s.inbox.Mails(replaced.Email)); got != 1 {
		t.Errorf("got %d mails, want that with the link that works", got)
	}
	for _, email := range []string{deleted.Email, late.Email} {
		if got := len(s.inbox.Mails(email)); got != 0 {
			t.Errorf("got %d mails, want none", got)
		}
	}
	// The account that comes back must not look as if a mail were still on its way.
	s.call(http.MethodPost, "/users/"+deleted.ID.String()+"/restore", admin.token, nil)
	if got := lastMail(s, admin.token, deleted.ID); got.State != api.LastMailStateSkipped {
		t.Errorf("got %+v, want it skipped", got)
	}
	if got := slices.Collect(maps.Values(s.mailIDs())); slices.Contains(got, query.MailStateQueued) || slices.Contains(got, query.MailStateRetrying) {
		t.Errorf("got %v, want every mail settled", got)
	}
}
