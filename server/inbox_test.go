package server_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
	"usermanager/server/mail"
)

// withInbox shows the inbox that the tests' server sends to.
func withInbox(o *server.Options) { o.Inbox, _ = o.Mail.(*mail.Inbox) }

// shownInbox is what the page answers to programs.
func shownInbox(s *system, parameters string) []mail.InboxMail {
	s.t.Helper()
	got := s.call(http.MethodGet, "/dev/inbox"+parameters, "", nil, "Accept", "application/json")
	var list struct {
		Items []mail.InboxMail `json:"items"`
	}
	if err := json.Unmarshal(got.body, &list); err != nil || got.status != http.StatusOK || list.Items == nil {
		s.t.Fatalf("got %d: %s", got.status, got.body)
	}
	return list.Items
}

func TestInboxShowsWhatWasMailed(t *testing.T) {
	t.Parallel()
	s := newSystem(t, withInbox)
	if got := shownInbox(s, ""); len(got) != 0 {
		t.Errorf("got %d mails, want none yet", len(got))
	}
	ada, token := unverified(s)
	bob, _ := unverified(s)
	all := shownInbox(s, "")
	if len(all) != 2 || all[0].To != bob.Email || all[1].To != ada.Email {
		t.Fatalf("got %+v, want both, newest first", all)
	}
	for _, parameters := range []string{"?to=" + ada.Email, "?to=" + strings.ToUpper(ada.Email)} {
		if got := shownInbox(s, parameters); len(got) != 1 || got[0].To != ada.Email || !strings.Contains(got[0].Text, token) || !strings.Contains(got[0].HTML, token) {
			t.Errorf("%s: got %+v, want the mail with its link", parameters, got)
		}
	}
	if got := shownInbox(s, "?to=nobody@example.com"); len(got) != 0 {
		t.Errorf("got %d mails to nobody", len(got))
	}
	if got := s.call(http.MethodDelete, "/dev/inbox", "", nil); got.status != http.StatusNoContent || len(got.body) != 0 {
		t.Errorf("got %d: %s", got.status, got.body)
	}
	if got := shownInbox(s, ""); len(got) != 0 {
		t.Errorf("got %d mails after all were deleted", len(got))
	}
}

func TestInboxPageCannotBeTakenOverByAMail(t *testing.T) {
	t.Parallel()
	s := newSystem(t, withInbox)
	if got := s.call(http.MethodGet, "/dev/inbox", "", nil, "Accept", "text/html"); !strings.Contains(string(got.body), "No mail yet") {
		t.Errorf("got %s, want it to say that there is none", got.body)
	}
	err := s.inbox.Send(t.Context(), mail.Message{To: "ada@example.com", Content: mail.Content{
		Subject: `<script>alert("subject")</script>`, HTML: `<script>alert("html")</script>"><img src=x onerror=alert(1)>`, Text: `</pre><script>alert("text")</script>`,
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, accept := range []string{"text/html,application/xhtml+xml,*/*;q=0.8", "*/*", ""} {
		got := s.call(http.MethodGet, "/dev/inbox/", "", nil, "Accept", accept)
		html := string(got.body)
		if got.status != http.StatusOK || !strings.HasPrefix(strings.ToLower(got.header.Get("Content-Type")), "text/html") {
			t.Fatalf("got %d, %s", got.status, got.header.Get("Content-Type"))
		}
		if strings.Contains(html, "<script") || strings.Contains(html, "<img") || strings.Count(html, "</pre>") != 1 {
			t.Errorf("a mail's markup is the page's: %s", html)
		}
		if !strings.Contains(html, "ada@example.com: &lt;script&gt;") || strings.Count(html, "<iframe sandbox=") != 1 {
			t.Errorf("got %s, want the mail in a sandbox", html)
		}
		directives := directivesOf(got.header.Get("Content-Security-Policy"))
		if !slices.Equal(directives["default-src"], []string{"'none'"}) || directives["script-src"] != nil {
			t.Errorf("got policy %v, want no script at all", directives)
		}
	}
}

func TestInboxIsNotThereInProduction(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	unverified(s)
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		got := s.call(method, "/dev/inbox", admin.token, nil, "Accept", "application/json")
		if got.problem(t, api.ProblemCodeNotFound); got.status != http.StatusNotFound {
			t.Errorf("%s: got %d, want 404", method, got.status)
		}
	}
	if got := len(s.inbox.Mails("")); got != 1 {
		t.Errorf("got %d mails, want it untouched", got)
	}
}
