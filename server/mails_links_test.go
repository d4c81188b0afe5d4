package server_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
	"usermanager/server/mail"
)

// misleadingHeaders are what a request can say about where it was sent to.
func misleadingHeaders() [][]string {
	return [][]string{
		{"Host: evil.example"},
		{"Host: evil.example:8443"},
		{"Host: localhost", "X-Forwarded-Host: evil.example"},
		{"Host: localhost", "X-Forwarded-Proto: https"},
		{"Host: localhost", "X-Forwarded-Port: 65535"},
		{"Host: localhost", "X-Forwarded-Prefix: /evil"},
		{"Host: localhost", "X-Original-URL: https://evil.example/", "X-Rewrite-URL: /evil"},
		{"Host: localhost", "Forwarded: host=evil.example;proto=https"},
		{"Host: localhost", "Origin: https://evil.example"},
		{"Host: localhost", "Referer: https://evil.example/page"},
		{"Host: localhost", "X-Host: evil.example", "X-HTTP-Host-Override: evil.example", "True-Client-IP: 192.0.2.1"},
		{"Host: evil.example", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https", "Origin: null"},
	}
}

// sendRaw sends a POST, or what stands before the target, byte for byte, which net/http's client would not, and returns the status.
func sendRaw(s *system, target, token string, body any, headers []string) int {
	s.t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	conn, err := (&net.Dialer{}).DialContext(s.t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	method, path, hasMethod := strings.Cut(target, " ")
	if !hasMethod {
		method, path = http.MethodPost, target
	}
	if token != "" {
		headers = append(headers, "Authorization: Bearer "+token)
	}
	_, err = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\n%s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		method, path, strings.Join(headers, "\r\n"), len(data), data)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

func TestMailLinksDoNotDependOnTheRequest(t *testing.T) {
	t.Parallel()
	s := newSystem(t, concealing, func(o *server.Options) {
		o.Links = map[string]server.LinkTemplates{"": {}} // built-in pages: the links that a request could bend
	})
	admin := s.signedIn(query.UserRoleADMIN)
	requests := map[string]func(email string) (path, token string, body any){
		"confirm": func(email string) (string, string, any) {
			return "/register", "", registrationBody(map[string]any{"email": email, "first_name": "Ada"})
		},
		"confirm again": func(email string) (string, string, any) {
			s.account(server.NewAccount{Email: email, FirstName: "Ada"})
			return "/verify-email/resend", "", map[string]any{"email": email}
		},
		"invited": func(email string) (string, string, any) {
			return "/users", admin.token, map[string]any{"email": email, "first_name": "Ada"}
		},
		"reset": func(email string) (string, string, any) {
			s.account(server.NewAccount{Email: email, FirstName: "Ada", EmailVerified: true})
			return "/password/forgot", "", map[string]any{"email": email}
		},
		"already have": func(email string) (string, string, any) {
			s.account(server.NewAccount{Email: email, FirstName: "Ada"})
			return "/register", "", registrationBody(map[string]any{"email": email})
		},
	}
	wantLinks := map[string]string{
		"confirm": s.url + "/verify-email/<user>/<token>", "confirm again": s.url + "/verify-email/<user>/<token>",
		"invited": s.url + "/invitations/<token>", "reset": s.url + "/password/reset/<token>", "already have": "https://product.example.com",
	}
	for kind, request := range requests {
		sent := map[string][]string{} // headers by address
		var reference string
		for _, headers := range misleadingHeaders() {
			for _, prefix := range []string{"", "http://evil.example"} { // an absolute request target names a host, too
				endHour(s)
				email := uniqueEmail()
				path, token, body := request(email)
				if status := sendRaw(s, prefix+path, token, body, headers); status >= http.StatusBadRequest {
					t.Fatalf("%s with %q: got %d", kind, headers, status)
				}
				sent[email] = headers
				reference = email
			}
		}
		want := linkShape(s, s.mailTo(reference, strings.TrimSuffix(kind, " again")), reference)
		for email, headers := range sent {
			shape := linkShape(s, s.mailTo(email, strings.TrimSuffix(kind, " again")), email)
			if !strings.Contains(shape, "\n"+wantLinks[kind]+"\n") || strings.Contains(shape, "evil") || strings.Contains(shape, "65535") {
				t.Fatalf("%s with %q: got %s", kind, headers, shape)
			}
			if shape != want {
				t.Fatalf("%s with %q: got %s\nwant, byte for byte, %s", kind, headers, shape, want)
			}
		}
	}
}

// linkShape is a mail with what differs from account to account named.
func linkShape(s *system, m mail.InboxMail, email string) string {
	text := m.Subject + "\n" + m.Text + "\n" + m.HTML
	text = strings.ReplaceAll(text, userIDOf(s, email).String(), "<user>")
	for _, path := range []string{"/verify-email/<user>/", "/invitations/", "/password/reset/"} {
		if at := strings.Index(text, path); at >= 0 {
			rest := text[at+len(path):]
			text = strings.ReplaceAll(text, rest[:strings.IndexAny(rest, "\n\"< ")], "<token>")
		}
	}
	return text
}

func TestMailLinksOfAnEmailChangeDoNotDependOnTheRequest(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	for _, headers := range misleadingHeaders() {
		for _, host := range []string{"", "http://evil.example"} {
			owner, next := s.signedIn(query.UserRoleAUTHENTICATED), uniqueEmail()
			body := map[string]string{"current_password": goodPassword, "email": next}
			if status := sendRaw(s, "PUT "+host+"/users/me/email", owner.token, body, headers); status != http.StatusAccepted {
				t.Fatalf("%q: got %d", headers, status)
			}
			checkMailedLink(s, s.mailTo(next, "Confirm your new"), s.url+"/email-change/confirm/{token}")
			notice := s.mailTo(owner.email, "about to get another")
			checkMailedLink(s, notice, s.url+"/email-change/revoke/{token}")
			if strings.Contains(notice.Text+notice.HTML, "evil") || strings.Contains(notice.Text, "65535") {
				t.Errorf("%q: got %s", headers, notice.Text)
			}
		}
	}
}

func TestMailLinksOfAnEmailChangeFollowTheTemplatesOfTheClient(t *testing.T) {
	t.Parallel()
	s := newSystem(t, func(o *server.Options) {
		o.Links = map[string]server.LinkTemplates{"": {}, "app": {
			ConfirmEmailChange: "https://app.example.com/confirm#{token}", RevokeEmailChange: "app://revoke/{token}",
		}}
	})
	owner, next := s.signedIn(query.UserRoleAUTHENTICATED), uniqueEmail()
	body := map[string]string{"current_password": goodPassword, "email": next, "client": "app"}
	if got := s.call(http.MethodPut, "/users/me/email", owner.token, body); got.status != http.StatusAccepted {
		t.Fatalf("got %d: %s", got.status, got.body)
	}
	confirmation := checkMailedLink(s, s.mailTo(next, "Confirm your new"), "https://app.example.com/confirm#{token}")
	revocation := checkMailedLink(s, s.mailTo(owner.email, "about to get another"), "app://revoke/{token}")
	if got := confirmEmail(s, confirmation); got.status != http.StatusOK {
		t.Errorf("got %d: %s", got.status, got.body)
	}
	s.mustRevoke(revocation)
}

func TestMailLinksFollowTheTemplatesOfTheClient(t *testing.T) {
	t.Parallel()
	s := newSystem(t, trustedPeer, func(o *server.Options) {
		o.Links = map[string]server.LinkTemplates{
			"": {VerifyEmail: "https://app.example.com/verify?token={token}", Invitation: "https://app.example.com/welcome#{token}",
				ResetPassword: "https://app.example.com/reset#{token}"},
			"mobile": {
				VerifyEmail:   "com.example.app://verify#token={token}&from=mail",
				Invitation:    "com.example.app:invitation/{token}?again={token}",
				ResetPassword: "com.example.app:reset/{token}",
			},
			"plain": {},
		}
	})
	admin := s.signedIn(query.UserRoleADMIN)
	for _, c := range []struct{ client, verify, invitation, reset string }{
		{"", "https://app.example.com/verify?token={token}", "https://app.example.com/welcome#{token}", "https://app.example.com/reset#{token}"},
		{"mobile", "com.example.app://verify#token={token}&from=mail", "com.example.app:invitation/{token}?again={token}", "com.example.app:reset/{token}"},
		{"plain", s.url + "/verify-email/{user}/{token}", s.url + "/invitations/{token}", s.url + "/password/reset/{token}"},
	} {
		fields := map[string]any{}
		if c.client != "" {
			fields["client"] = c.client
		}
		profile := registered(s, fields)
		token := checkMailedLink(s, s.mailTo(profile.Email, "confirm"), strings.ReplaceAll(c.verify, "{user}", profile.ID.String()))
		if got := verifyByToken(s, token); got.status != http.StatusOK {
			t.Errorf("client %q: got %d: %s", c.client, got.status, got.body)
		}
		body := registrationBody(fields)
		delete(body, "password")
		s.call(http.MethodPost, "/users", admin.token, body)
		email, _ := body["email"].(string)
		token = checkMailedLink(s, s.mailTo(email, "invited"), c.invitation)
		if got := acceptInvitation(s, token, goodPassword); got.status != http.StatusOK {
			t.Errorf("client %q: got %d: %s", c.client, got.status, got.body)
		}
		fields["email"] = email
		s.call(http.MethodPost, "/password/forgot", "", fields)
		s.mustReset(checkMailedLink(s, s.mailTo(email, "reset"), c.reset))
		if got := s.count("SELECT count(*) FROM one_time_tokens WHERE client = $1", c.client); got != 3 {
			t.Errorf("client %q: got %d tokens that remember it, want 3", c.client, got)
		}
	}
	waiting := s.account(server.NewAccount{}) // the newer link leads where the newer request came from
	resend(s, map[string]any{"email": waiting.email, "client": "mobile"})
	checkMailedLink(s, s.mailTo(waiting.email, "confirm"), "com.example.app://verify#token={token}&from=mail")
}

// checkMailedLink finds the one link that a template makes, in text and HTML, and returns its token.
func checkMailedLink(s *system, m mail.InboxMail, template string) string {
	s.t.Helper()
	before, _, _ := strings.Cut(template, "{token}")
	at := strings.Index(m.Text, "\n"+before)
	if at < 0 {
		s.t.Fatalf("got %q, want a link as %s", m.Text, template)
	}
	token := m.Text[at+1+len(before):][:70]
	link := strings.ReplaceAll(template, "{token}", token)
	if !strings.Contains(m.Text, "\n"+link+"\n") {
		s.t.Errorf("got %q, want %s on a line of its own", m.Text, link)
	}
	if href := `href="` + strings.ReplaceAll(link, "&", "&amp;") + `"`; !strings.Contains(m.HTML, href) {
		s.t.Errorf("the HTML has no %s", href)
	}
	return token
}

func TestMailLinksOfAnUnknownClientAreRefused(t *testing.T) {
	t.Parallel()
	s := newSystem(t, func(o *server.Options) { o.Links = map[string]server.LinkTemplates{"": {}, "web": {}} })
	admin := s.signedIn(query.UserRoleADMIN)
	for client, want := range map[string]api.FieldCode{
		"mobile": api.FieldCodeUnknownClient, "Web": api.FieldCodeInvalidFormat, "": api.FieldCodeInvalidFormat,
		"https://evil.example/{token}": api.FieldCodeInvalidFormat, "web\n": api.FieldCodeInvalidFormat, strings.Repeat("w", 51): api.FieldCodeTooLong,
	} {
		for name, got := range map[string]response{
			"register": s.call(http.MethodPost, "/register", "", registrationBody(map[string]any{"client": client})),
			"invite":   s.call(http.MethodPost, "/users", admin.token, map[string]any{"email": uniqueEmail(), "client": client}),
			"resend":   s.call(http.MethodPost, "/verify-email/resend", "", map[string]any{"email": uniqueEmail(), "client": client}),
			"forgot":   s.call(http.MethodPost, "/password/forgot", "", map[string]any{"email": uniqueEmail(), "client": client}),
		} {
			if codes := fieldCodes(got.problem(t, api.ProblemCodeValidationFailed))["/client"]; len(codes) != 1 || codes[0] != want {
				t.Errorf("%s: %q got %v, want %s", name, client, codes, want)
			}
		}
	}
	if got := s.count("SELECT count(*) FROM users"); got != 1 {
		t.Errorf("got %d accounts, want the admin", got)
	}
}

// A public address below a path, as behind a proxy that serves more than this.
func TestMailLinksKeepThePathOfThePublicURL(t *testing.T) {
	t.Parallel()
	public, err := url.Parse("https://service.example.com/accounts/")
	if err != nil {
		t.Fatal(err)
	}
	s := newSystem(t, func(o *server.Options) { o.PublicURL = public })
	profile := registered(s, nil)
	want := "\nhttps://service.example.com/accounts/verify-email/" + profile.ID.String() + "/"
	if m := s.mailTo(profile.Email, "confirm"); !strings.Contains(m.Text, want) {
		t.Errorf("got %q, want a link as %s", m.Text, want)
	}
}
