package server_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

// directivesOf reads a Content-Security-Policy.
func directivesOf(policy string) map[string][]string {
	directives := map[string][]string{}
	for directive := range strings.SplitSeq(policy, ";") {
		if words := strings.Fields(directive); len(words) > 0 {
			directives[words[0]] = words[1:]
		}
	}
	return directives
}

func TestPagesOfMailedLinksRunTheirOwnScriptOnly(t *testing.T) { // H-06
	t.Parallel()
	s := newSystem(t, func(o *server.Options) { o.Product.Name = `<Script>alert("Product")</Script>` })
	admin := s.signedIn(query.UserRoleADMIN)
	profile, token := unverified(s)
	_, invitation := invited(s, admin.token, nil)
	pages := map[string]response{}
	for _, path := range []string{
		"/verify-email/" + profile.ID.String() + "/" + token, "/invitations/" + invitation, "/verify-email/" + profile.ID.String() + "/nonsense/",
		"/invitations/%3Cimg%20onerror=alert(1)%3E", "/password/forgot", "/password/reset/" + token, "/email-change/confirm/" + token, "/email-change/revoke/" + token, "/password/reset/%3Cimg%20onerror=alert(1)%3E",
	} {
		pages[path] = s.call(http.MethodGet, path, "", nil)
	}
	for path, got := range pages {
		html := string(got.body)
		if got.status != http.StatusOK || got.header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Fatalf("%s: got %d, %s", path, got.status, got.header.Get("Content-Type"))
		}
		directives := directivesOf(got.header.Get("Content-Security-Policy"))
		for name, want := range map[string][]string{
			"default-src": {"'none'"}, "frame-ancestors": {"'none'"}, "base-uri": {"'none'"}, "connect-src": {"'self'"}, "form-action": {"'self'"},
		} {
			if !slices.Equal(directives[name], want) {
				t.Errorf("%s: got %s %v, want %v", path, name, directives[name], want)
			}
		}
		for _, inline := range []struct{ element, directive string }{{"script", "script-src"}, {"style", "style-src"}} {
			found := regexp.MustCompile(`(?s)<`+inline.element+`>(.*?)</`+inline.element+`>`).FindAllStringSubmatch(html, -1)
			if len(found) != 1 {
				t.Fatalf("%s: got %d inline %ss, want 1", path, len(found), inline.element)
			}
			sum := sha256.Sum256([]byte(found[0][1]))
			hash := "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
			allowed := slices.DeleteFunc(slices.Clone(directives[inline.directive]), func(source string) bool { return source == "'self'" })
			if !slices.Equal(allowed, []string{hash}) {
				t.Errorf("%s: the policy allows %v, want the page's own %s %s alone", path, allowed, inline.element, hash)
			}
		}
		if strings.Contains(html, token) || strings.Contains(html, invitation) || strings.Contains(html, profile.ID.String()) || strings.Contains(html, "alert(1)") {
			t.Errorf("%s: the page repeats its address", path)
		}
		if strings.Contains(html, "<Script>") || !strings.Contains(html, "&lt;Script&gt;") {
			t.Errorf("%s: the product's name is not text", path)
		}
		if external := regexp.MustCompile(`(?i)(src|href|action)\s*=|//[a-z0-9]|url\(|@import|\son[a-z]+=`).FindAllString(ownMarkup(html), -1); external != nil {
			t.Errorf("%s: the page refers to %q", path, external)
		}
		if got.header.Get("Referrer-Policy") != "no-referrer" || got.header.Get("Cache-Control") != "no-store" || got.header.Get("Set-Cookie") != "" {
			t.Errorf("%s: got headers %v", path, got.header)
		}
	}
	if s.count("SELECT count(*) FROM one_time_tokens WHERE used_at IS NOT NULL") != 0 {
		t.Error("looking at a page consumed a token")
	}
}

// ownMarkup leaves out what refers to nothing: the comments of scripts, which may speak of anything, and the
// empty icon that keeps browsers from asking for one.
func ownMarkup(html string) string {
	html = strings.ReplaceAll(html, `<link rel="icon" href="data:,">`, "")
	return regexp.MustCompile(`(?m)^\s*// .*$`).ReplaceAllString(html, "")
}

func TestPageOfTheDocsRunsItsOwnScriptsOnly(t *testing.T) { // H-06
	t.Parallel()
	s := newSystem(t)
	got := s.call(http.MethodGet, "/docs", "", nil)
	inline := regexp.MustCompile(`(?s)<script>(.*?)</script>`).FindAllSubmatch(got.body, -1)
	if len(inline) != 1 {
		t.Fatalf("got %d inline scripts, want 1", len(inline))
	}
	sum := sha256.Sum256(inline[0][1])
	directives := directivesOf(got.header.Get("Content-Security-Policy"))
	if want := []string{"'self'", "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"}; !slices.Equal(directives["script-src"], want) {
		t.Errorf("got script-src %v, want %v", directives["script-src"], want)
	}
	for _, attribute := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllSubmatch(got.body, -1) {
		if file := string(attribute[1]); !strings.HasPrefix(file, "docs/") {
			t.Errorf("the page loads %q, want files of its own", file)
		} else if got := s.call(http.MethodGet, "/"+file, "", nil); got.status != http.StatusOK {
			t.Errorf("%s: got %d", file, got.status)
		}
	}
}

// Without the script the form posts to its own address: the same operation.
func TestPageOfVerificationWorksWithoutItsScript(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	profile, token := unverified(s)
	got := s.call(http.MethodPost, "/verify-email/"+profile.ID.String()+"/"+token, "", "", "Content-Type", "application/x-www-form-urlencoded",
		"Origin", s.url, "Accept", "text/html")
	if got.status != http.StatusOK || !strings.Contains(string(got.body), `"email_verified":true`) {
		t.Errorf("got %d: %s", got.status, got.body)
	}
}

func TestPagesOfNothingAreNotFound(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.call(http.MethodGet, "/verify-email/not-an-id/nonsense", "", nil).problem(t, api.ProblemCodeNotFound)
	long := strings.Repeat("a", 9000)
	for _, got := range []response{
		s.call(http.MethodGet, "/verify-email/01981d5c-7a00-7000-8000-000000000001/"+long, "", nil),
		s.call(http.MethodPost, "/verify-email/01981d5c-7a00-7000-8000-000000000001/"+long, "", nil),
		s.call(http.MethodGet, "/invitations/"+long, "", nil), s.call(http.MethodGet, "/password/reset/"+long, "", nil),
		s.call(http.MethodGet, "/email-change/confirm/"+long, "", nil), s.call(http.MethodGet, "/email-change/revoke/"+long, "", nil),
	} {
		got.problem(t, api.ProblemCodeURITooLong)
	}
}
