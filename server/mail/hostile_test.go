package mail

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"usermanager/server/mail/mailtest"
)

// hostileNames are names that must not reach anybody's eyes: each is refused,
// and the mail is the same as without a name.
func hostileNames() []string {
	names := []string{
		// headers and lines (I-18)
		"Ada\r\nBcc: victim@example.com", "Ada\nBcc: v", "Ada\rX", "Ada\x00", "Ada\u2028Bcc", "Ada\u2029Bcc", "Ada\u0085x", "Ada\vx", "Ada\fx",
		"\r\n\r\n<html>", "Ada\r\n.\r\nMAIL FROM:<a@example.com>", "=?utf-8?q?Ada=0D=0ABcc:_v?=", "=?utf-8?B?QWRh?=", "%0d%0aBcc:v", "\\r\\nBcc", "Ada\tx",
		strings.Repeat("A", 41), strings.Repeat("A", 10_000), strings.Repeat("ab ", 10) + "c",
		// markup (I-19)
		"<img src=//evil.example/x>", "<a href=https://evil.example>x</a>", "<script>alert(1)</script>", "<b>Ada</b>", "</h1><a href=x>", "<!--", "--><a href=x>", "<![endif]-->",
		"<svg onload=x>", "<style>@import url(//evil.example)</style>", "<base href=//evil.example>", "<form action=//evil.example>", "<iframe src=x>", "&lt;a&gt;", "&#60;a&#62;", "&amp;",
		"\" onmouseover=\"x", "' onmouseover='x'>", "`x`", "<", ">", "\"", "]]>", "<meta http-equiv=refresh>", "<table background=//evil.example>",
		// Markdown
		"[Ada](https://evil.example)", "[x](javascript:alert(1))", "![x](//evil.example/x.png)", "<https://evil.example>", "**Ada**", "# Ada", "* Ada", "[x]: //evil.example", "~~x~~", "| a | b |",
		// templates
		"{{.}}", "{{.Email.Body}}", "{{printf \"%s\" .}}", "{{safe \"<b>\"}}", "{{url \"javascript:x\"}}", "${7*7}", "#{7*7}", "<%= 7*7 %>", "{product}", "{support}", "{role}", "{ACTION}", "%s%n", "{{env \"HOME\"}}", "$(id)",
		// what mail programs turn into links
		"https://evil.example", "http://evil.example/a", "//evil.example", "evil.example", "evil.com", "www.evil.com", "www evil com", "WWW", "ftp://evil.example", "mailto:a@evil.example", "a@evil.example", "tel:+4912345",
		"javascript:alert(1)", "data:text/html,x", "xn--80ak6aa92e.com", "evil.com/path", "evil.com.", "Ada.evil.com", "t.me/evil", "bit.ly", "1.2.3.4", "[::1]", "localhost:8080", "\\\\evil\\share", "@evil", "#evil", "+49 151 1234567", "0151 2345678", "call 01512345678",
		"evil。com", "evil．com", "evil｡com", "evil․com", "evil‥com", "evil\u200b.com", "https:／／evil.example", "hxxps://evil[.]example", "evil dot com / now", "Ada, visit evil", "You won! Click", "Ada: act now", "win €1000", "a=b", "a&b", "a;b", "a|b", "Ada?", "Ada (x)",
		// invisible, reordering and unreadable
		"Ada\u200bx", "Ada\u202egnp.exe", "\u2066Ada\u2069", "\ufeffAda", "Ada\u00adx", "\u3164", "Ada\u3164", "\u115f", "\uffa0", "Ada\ufe0f", "\u034fAda", "A" + strings.Repeat("\u0301", 5), "\xff\xfe", "Ada\xc3", "Ada\ufffd", "\U000e0041Ada", "Ada\u00a0x", "Ada\u3000x",
		// not names
		"", " ", "  ", " Ada", "Ada ", "Ada  x", ".", "..", "...", "1234567", "-", "___", "''", "😀", "Ada 💰", "a b c d e f", ".Ada", "☎",
	}
	return names
}

func TestHostileNamesAreNotRepeated(t *testing.T) { // I-18, I-19
	t.Parallel()
	names := hostileNames()
	if len(names) < 150 {
		t.Fatalf("%d samples, want at least 150", len(names))
	}
	for _, name := range names {
		if greetable(name) {
			t.Errorf("greetable(%q) = true, want false", name)
		}
	}
}

// Every name in every kind: the templates learn nothing of it.
func TestHostileNamesDoNotReachTheTemplates(t *testing.T) { // I-18, I-19
	t.Parallel()
	r := testRenderer(t)
	for _, kind := range Kinds() {
		compose := func(name string) letter {
			d := fullData()
			d.Name, d.Nickname = name, name
			l, err := r.compose(kind, d)
			if err != nil {
				t.Fatalf("%s, name %q: %v", kind, name, err)
			}
			return l
		}
		neutral := compose("")
		if harmless := compose("Ada"); reflect.DeepEqual(harmless, neutral) {
			t.Errorf("%s: a harmless name makes no difference, so this test shows nothing", kind)
		}
		for _, name := range hostileNames() {
			if got := compose(name); !reflect.DeepEqual(got, neutral) {
				t.Errorf("%s, name %q: the templates get %+v, want %+v", kind, name, got, neutral)
			}
		}
	}
}

// Through the real templates: the mail is byte for byte the one without a name, and its links are the template's.
// A mail takes milliseconds, and tens of them with the race detector, so the kinds take turns: no name and no kind
// is left out, and neighbours, which are of one sort, meet different kinds.
func TestHostileNamesLeaveEveryMailAsItIs(t *testing.T) { // I-19
	t.Parallel()
	r := testRenderer(t)
	for turn, kind := range Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			d := fullData()
			d.Name, d.Nickname = "", ""
			neutral := mustRender(t, r, kind, d)
			if got, want := urlsIn(t, neutral.HTML), templateURLs(kind); !slices.Equal(got, want) {
				t.Errorf("URLs without a name = %q, want %q", got, want)
			}
			for i, name := range hostileNames() {
				if i%len(Kinds()) != turn {
					continue
				}
				d.Name, d.Nickname = name, name
				// Equal mails have equal URLs; parsing each again would only take time.
				if got := mustRender(t, r, kind, d); got != neutral {
					t.Errorf("name %q changes the mail; its URLs are %q", name, urlsIn(t, got.HTML))
				}
			}
		})
	}
}

func TestOrdinaryNamesAreGreeted(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"Ada", "ada lovelace", "O'Brien", "D’Angelo", "Jean-Luc", "Dr. No", "Martin Luther King Jr.", "José", "Nguyễn Thị Minh", "Müller",
		"李小龍", "さくら", "김민준", "Мария", "Ελένη", "שָׁלוֹם", "محمد", "สมชาย", "राजेश", "brave_otter_4821", "x-1", "Åsa", "María de los Ángeles", "J. S. Bach",
	} {
		if !greetable(name) {
			t.Errorf("greetable(%q) = false, want true", name)
		}
	}
}

func TestAHarmlessNameIsGreetedAndChangesNothingElse(t *testing.T) {
	t.Parallel()
	r := testRenderer(t)
	for _, name := range []string{"Ada", "O'Brien", "李小龍", "brave_otter_4821"} {
		d := fullData()
		d.Name, d.Nickname = "", ""
		neutral := mustRender(t, r, KindVerifyEmail, d)
		d.Name = name
		got := mustRender(t, r, KindVerifyEmail, d)
		want := strings.Replace(neutral.HTML, ">Hello,<", ">Hi "+html.EscapeString(name)+",<", 1)
		if got.HTML != want || got.Subject != neutral.Subject {
			t.Errorf("name %q changes more than the greeting:\n%s", name, got.HTML)
		}
		if !strings.Contains(got.Text, "\nHi "+name+",\n") {
			t.Errorf("name %q: text does not greet it:\n%s", name, got.Text)
		}
	}
}

func TestTheNicknameIsGreetedWhenTheNameIsNot(t *testing.T) {
	t.Parallel()
	r := testRenderer(t)
	for _, test := range []struct{ name, nickname, want string }{
		{"Ada", "brave_otter_4821", "Hi Ada,"},
		{"", "brave_otter_4821", "Hi brave_otter_4821,"},
		{"evil.com", "brave_otter_4821", "Hi brave_otter_4821,"},
		{"evil.com", "www-evil-com", "Hello,"},
		{"", "", "Hello,"},
	} {
		content := mustRender(t, r, KindUnlocked, Data{Name: test.name, Nickname: test.nickname})
		if !strings.Contains(content.Text, test.want) {
			t.Errorf("name %q, nickname %q: want %q in\n%s", test.name, test.nickname, test.want, content.Text)
		}
	}
}

func TestNothingButTheLogoIsLoadedFromElsewhere(t *testing.T) { // I-19
	t.Parallel()
	r := testRenderer(t)
	for _, kind := range Kinds() {
		content := mustRender(t, r, kind, fullData())
		for _, forbidden := range []string{"@import", "url(", "<script", "<link", "<iframe", "<object", "srcset", "background=\"http"} {
			if strings.Contains(strings.ToLower(content.HTML), forbidden) {
				t.Errorf("%s: HTML has %q", kind, forbidden)
			}
		}
		if n := strings.Count(content.HTML, "src="); n != 1 {
			t.Errorf("%s: HTML has %d src attributes, want only the logo's", kind, n)
		}
	}
}

// The whole way: render, send, receive, parse. That every sample renders alike is
// proven above, so some for each kind are enough here.
func TestHostileNamesAddNoHeaderAndNoRecipient(t *testing.T) { // I-18, A-33
	t.Parallel()
	r, server := testRenderer(t), mailtest.Start(t)
	sender := testSMTP(t, server.URL())
	names := hostileNames()
	for i, kind := range Kinds() {
		for _, name := range names[4*i : 4*i+4] {
			d := fullData()
			d.Name, d.Nickname, d.Locale = name, name, name
			m := testMessage()
			m.Kind, m.Content = kind, mustRender(t, r, kind, d)
			if err := sender.Send(t.Context(), m); err != nil {
				t.Fatalf("%s, name %q: %v", kind, name, err)
			}
		}
	}
	for i, m := range server.Wait(4 * len(Kinds())) {
		checkHeaders(t, m)
		if t.Failed() {
			t.Fatalf("name %q, message:\n%s", names[i], m.Raw)
		}
	}
}

// FuzzRender feeds names and links nobody thought of.
func FuzzRender(f *testing.F) { // H-17
	for i, name := range hostileNames() {
		if i%8 == 0 { // enough to start from; the other tests render them all
			f.Add(name, "brave_otter", "https://app.example.com/v#token=x", "en")
		}
	}
	f.Add("Ada", "", "myapp://x?y='&z", "de-CH")
	r := testRenderer(f)
	f.Fuzz(func(t *testing.T, name, nickname, link, locale string) {
		d := Data{Name: name, Nickname: nickname, Link: link, Locale: locale}
		content, err := r.Render(KindVerifyEmail, d)
		if err != nil {
			if checkLink(link) == nil {
				t.Fatalf("Render with a good link: %v", err)
			}
			return
		}
		if strings.ContainsFunc(content.Subject, isUnsafeInLine) {
			t.Errorf("subject %q is not one line", content.Subject)
		}
		want := []string{testProduct().URL, testProduct().LogoURL, link, link, link}
		if got := urlsIn(t, content.HTML); !slices.Equal(got, want) {
			t.Errorf("URLs = %q, want %q", got, want)
		}
		if !slices.Contains(strings.Split(content.Text, "\n"), link) {
			t.Errorf("text part lacks the link %q:\n%s", link, content.Text)
		}
	})
}

// templateURLs are the URLs that a mail of this kind has, in order.
func templateURLs(kind Kind) []string {
	urls := []string{testProduct().URL, testProduct().LogoURL}
	if kind != KindLocked {
		urls = append(urls, testLink, testLink, testLink)
	}
	return urls
}

// urlsIn returns the value of every attribute that leads somewhere or runs
// something, in the order of the document; then those of the comments that
// Outlook reads as HTML.
func urlsIn(t testing.TB, document string) []string {
	t.Helper()
	root, err := html.Parse(strings.NewReader(document))
	if err != nil {
		t.Fatalf("parse HTML: %v", err)
	}
	var urls []string
	for node := range root.Descendants() {
		for _, attribute := range node.Attr {
			switch attribute.Key {
			case "href", "src", "action", "formaction", "background", "poster", "data", "srcset", "cite", "ping":
				urls = append(urls, attribute.Val)
			}
			if strings.HasPrefix(attribute.Key, "on") {
				urls = append(urls, attribute.Key+"="+attribute.Val)
			}
		}
	}
	// Not from the parsed comment: the parser would decode entities once more.
	for section := range strings.SplitSeq(document, "<!--[if mso]>") {
		if inner, _, ok := strings.Cut(section, "<![endif]-->"); ok && section != document && !strings.HasPrefix(document, section) {
			urls = append(urls, urlsIn(t, inner)...)
		}
	}
	return urls
}

// visibleText joins the text nodes of the body.
func visibleText(t testing.TB, document string) string {
	t.Helper()
	root, err := html.Parse(strings.NewReader(document))
	if err != nil {
		t.Fatalf("parse HTML: %v", err)
	}
	var b strings.Builder
	for node := range root.Descendants() {
		if node.Type == html.TextNode && node.Parent.Data != "style" {
			b.WriteString(node.Data + "\n")
		}
	}
	return b.String()
}
