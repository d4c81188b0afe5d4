package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

// inputMarkup is what browsers would run if anything showed it as HTML.
var inputMarkup = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `<svg/onload=alert(1)>`, `</script><script>alert(1)</script>`, `'-alert(1)-'`, `<!--`, `]]>`, `&lt;b&gt; & <b>`, `{{constructor.constructor('alert(1)')()}}`,
	`${alert(1)}`, `[x](javascript:alert(1))`, `<a href="javascript:alert(1)">x</a>`, `\u003cscript\u003e`, `\"};alert(1)//`, `=cmd|' /C calc'!A0`, `' OR 1=1 --`, `Robert'); DROP TABLE users;--`, `%3Cscript%3E`, "`id`", `$(id)`,
}

func TestMarkupComesBackAsData(t *testing.T) { // I-20
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	own, get := contractOperationOf(t, "updateOwnProfile"), contractOperationOf(t, "getUser")
	for _, markup := range inputMarkup {
		fields := map[string]any{"first_name": markup, "last_name": markup, "bio": markup + "\n" + markup}
		set := w.request(own).raw(string(contractEncode("application/json", fields)))
		set.token = w.callers[query.UserRoleAUTHENTICATED].token
		if got := w.send(set); got.status != http.StatusOK {
			t.Errorf("%q: got %d %s, want it stored: it is a name", markup, got.status, got.body)
			continue
		}
		read := w.request(get)
		read.path = "/users/" + w.callers[query.UserRoleAUTHENTICATED].id.String()
		list := w.request(contractOperationOf(t, "listUsers"))
		list.path += "?email=" + w.callers[query.UserRoleAUTHENTICATED].email
		for _, r := range []contractRequest{read, list} {
			got := w.send(r)
			if bytes.ContainsAny(got.body, "<>&\u2028\u2029") {
				t.Errorf("%q: the answer has markup that is not escaped: %s", markup, got.body)
			}
			if got.header.Get("Content-Type") != "application/json; charset=utf-8" || got.header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%q: got Content-Type %q", markup, got.header.Get("Content-Type"))
			}
			var user struct {
				api.User
				Items []api.User `json:"items"`
			}
			if err := json.Unmarshal(got.body, &user); err != nil {
				t.Fatal(err)
			}
			found := append(user.Items, user.User)[0]
			if found.FirstName.MustGet() != markup || found.Bio.MustGet() != markup+"\n"+markup {
				t.Errorf("got %q and %q, want %q as it was sent", found.FirstName.MustGet(), found.Bio.MustGet(), markup)
			}
		}
	}
	if n := w.count("SELECT count(*) FROM users"); n != 4 {
		t.Errorf("got %d users, want the 4 of the test", n)
	}
}

func TestMarkupInANicknameOrAReasonIsData(t *testing.T) { // I-20, I-11
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	for _, markup := range inputMarkup {
		// An escaped slash is part of the name, which the contract's checks would not find again.
		got := w.sendUnchecked(contractRequest{method: http.MethodGet, path: "/nicknames/" + url.PathEscape(markup), header: http.Header{}})
		if got.status != http.StatusOK || bytes.ContainsAny(got.body, "<>&") || got.header.Get("Content-Type") != "application/json; charset=utf-8" {
			t.Errorf("/nicknames/%s: got %q %s, want JSON with nothing to run", markup, got.header.Get("Content-Type"), got.body)
		}
		lock := w.send(w.request(contractOperationOf(t, "lockUser")).with("reason", markup))
		var user api.User
		if err := json.Unmarshal(lock.body, &user); err != nil || user.LockReason.MustGet() != markup || bytes.ContainsAny(lock.body, "<>&") {
			t.Errorf("reason %q: got %d %s, want it as data", markup, lock.status, lock.body)
		}
		for _, filter := range []string{"email", "nickname"} {
			list := w.request(contractOperationOf(t, "listUsers"))
			list.path += "?" + filter + "=" + url.QueryEscape(markup)
			got := w.send(list)
			var page api.UserList
			if err := json.Unmarshal(got.body, &page); err != nil || got.status != http.StatusOK || page.Total != 0 {
				t.Errorf("%s=%s: got %d %s, want nobody", filter, markup, got.status, got.body)
			}
			for part := range strings.SplitSeq(got.header.Get("Link"), ", ") {
				if !strings.HasPrefix(part, "<"+w.url+"/users?") || strings.Count(part, "<") != 1 || strings.Count(part, ">") != 1 {
					t.Errorf("%s=%s: got Link %q, want links of this list only", filter, markup, got.header.Get("Link"))
				}
			}
		}
	}
}

func TestEachRequestIsOneWellFormedLineOfTheLog(t *testing.T) { // I-21, A-69, A-23
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	w.idle()
	before := strings.Count(w.logs.String(), `"msg":"request"`)
	sent := 0
	send := func(r contractRequest) {
		sent++
		w.sendUnchecked(r)
	}
	forged := []string{
		inputCanary, inputCanary + "%0A%7B%22level%22:%22INFO%22,%22msg%22:%22forged%22%7D", inputCanary + "%0D%0Aforged", inputCanary + "%1b%5b2J%1b%5b31mforged", inputCanary + "%22,%22msg%22:%22forged", inputCanary + "%5C%22%5C", inputCanary + "%00%ff%e2%80%a8",
	}
	for _, text := range forged {
		plain, err := url.PathUnescape(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/" + text, "/users/" + text, "/users?" + text + "=" + text, "/users?email=" + text, "/nicknames/" + text, "/verify-email/" + w.target.id.String() + "/" + text, "/invitations/" + text, "/docs/" + text, "/users/" + text + "/upgrade"} {
			send(contractRequest{method: http.MethodGet, path: path, token: w.callers[query.UserRoleADMIN].token, header: http.Header{}})
			send(contractRequest{method: http.MethodPost, path: path, header: http.Header{}})
		}
		header := strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f {
				return -1 // a client cannot send these
			}
			return r
		}, plain) + "\\n{\"msg\":\"forged\"}"
		for _, name := range []string{"User-Agent", "X-Request-Id", "Referer", "Accept-Language", "If-Match", "Traceparent", "X-Real-Ip", "Origin", "Cookie"} {
			send(w.request(contractOperationOf(t, "updateUser")).set(name, header))
		}
		bad := w.request(contractOperationOf(t, "getOwnProfile"))
		bad.token = header
		send(bad)
		for _, op := range contractOperations() {
			for _, field := range op.fields() {
				send(w.request(op).with(field, plain))
			}
			if op.RequestBody != nil {
				send(w.request(op).raw(plain))
				send(w.request(op).set("Content-Type", header))
			}
		}
	}
	w.stop()
	lines := strings.Split(strings.TrimSuffix(w.logs.String(), "\n"), "\n")
	requests := map[string]bool{}
	for _, line := range lines {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Errorf("a line of the log is no JSON: %q", line)
			continue
		}
		if strings.Contains(line, inputCanary) || strings.Contains(line, "forged") || strings.Contains(line, "\\u001b") {
			t.Errorf("a line of the log repeats what was submitted: %s", line)
		}
		if entry["msg"] == "request" {
			id := fmt.Sprint(entry["request_id"])
			if requests[id] {
				t.Errorf("request %s stands in the log twice", id)
			}
			requests[id] = true
		}
		if entry["level"] == "ERROR" {
			t.Errorf("an error in the log: %s", line)
		}
	}
	if len(requests)-before != sent {
		t.Errorf("got %d lines about %d requests", len(requests)-before, sent)
	}
}

func TestCanariesInSecretsAreInNoLog(t *testing.T) {
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	password := "Analytic*" + inputCanary
	a := w.account(server.NewAccount{EmailVerified: true, Password: password})
	token := w.login(a.email, password)
	for _, path := range []string{"/login?password=" + url.QueryEscape(password), "/users/me?access_token=" + token, "/verify-email/" + a.id.String() + "/" + inputCanary, "/register"} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			w.sendUnchecked(contractRequest{method: method, path: path, token: token, header: http.Header{}})
		}
	}
	w.call(http.MethodPost, "/register", "", map[string]string{"email": a.email, "password": password})
	w.call(http.MethodPost, "/login", "", "username="+a.email+"&password=wrong"+inputCanary, "Content-Type", "application/x-www-form-urlencoded")
	w.stop()
	for _, secret := range []string{inputCanary, token, a.email, strings.Split(token, ".")[2]} {
		if strings.Contains(w.logs.String(), secret) {
			t.Errorf("the log holds %.20s...", secret)
		}
	}
}
