//go:build browser

package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"usermanager/gen/api"
)

// The documentation page in a real browser: `task check:browser`. Each tab is watched from its first request on, and
// has to keep to itself: see keptToItself.
//
//nolint:tparallel // the subtests share one browser, which counts what is opened beside any of its pages
func TestTheDocsPageWorksInABrowser(t *testing.T) {
	t.Parallel()
	path := chromium(t)
	_, base := startDev(t, reachableDir(t), devDatabase(t))
	b := startBrowser(t, path, base)

	t.Run("who signs in through Authorize lists the users", func(t *testing.T) {
		tab := b.openDocs(t, light, "")
		tab.authorize("admin@example.com", devPassword)
		status, body := tab.tryListUsers()
		if status != "200" {
			t.Errorf("got status %s", status)
		}
		for _, account := range devAccounts() {
			if !strings.Contains(body, `"email": "`+account.email+`"`) {
				t.Errorf("%s is not among the users:\n%s", account.email, body)
			}
		}
		for _, request := range []string{"POST " + base + "/login", "GET " + base + "/users?limit=10"} {
			if !tab.asked(request) {
				t.Errorf("the page did not send %s", request)
			}
		}
		if got := value[string](tab, `location.hash`); got != "#/Users/listUsers" {
			t.Errorf("got %s as the address of the open operation", got)
		}
		tab.keptToItself()
	})

	t.Run("a link to an operation shows it open in a fresh tab", func(t *testing.T) {
		for _, link := range append(oneLinkOfEachTag(t), "#/Users/listUsers") {
			tab := b.openDocs(t, dark, link)
			tab.showsOpen(link)
			if open := value[int](tab, `document.querySelectorAll('.opblock.is-open').length`); open != 1 {
				t.Errorf("%s: %d operations are open, want one", link, open)
			}
			tab.keptToItself()
		}
	})

	// The light theme is Swagger UI's own, of which 3 : 1 is asked, as for large text; the dark one is ours.
	for preferred, contrast := range map[theme]float64{light: 3, dark: 4.5} {
		t.Run("the "+string(preferred)+" theme can be read", func(t *testing.T) {
			tab := b.openDocs(t, preferred, "#/Users/updateUser")
			tab.showsOpen("#/Users/updateUser")
			for _, step := range []struct{ button, shows string }{
				{".opblock.is-open .try-out__btn", ".opblock.is-open .execute"},
				{".opblock.is-open .responses-table .tablinks[data-name=model]", ".opblock.is-open .model-box"},
				{".scheme-container .authorize", ".modal-ux"},
			} {
				tab.click(step.button)
				tab.do("wait for "+step.shows, chromedp.WaitVisible(chromedp.CSS(step.shows)))
				tab.readable(contrast)
			}
			tab.keptToItself()
		})
	}

	// Nothing above proves anything unless all of this is seen.
	t.Run("what would leave the origin or reach the console is seen", func(t *testing.T) {
		tab := b.openDocs(t, light, "")
		if value[bool](tab, `fetch("http://elsewhere.invalid/").then(() => true, () => false)`) {
			t.Error("the page's policy let a request out")
		}
		_ = value[bool](tab, `fetch("/nothing").then(() => true)`)
		_ = value[bool](tab, `(console.warn("a warning"), new Worker("/docs/nothing.js"), true)`)
		_ = value[bool](tab, `(document.body.append(Object.assign(document.createElement("script"), { text: "ran = true" })), window.ran !== true)`)
		elsewhere := strings.Replace(base, "localhost", "127.0.0.1", 1) // the same server, but another origin
		tab.do("leave", chromedp.Navigate(elsewhere+"/livez"))
		if foreign := tab.foreign(); !slices.Contains(foreign, "GET "+elsewhere+"/livez") {
			t.Errorf("got the foreign requests %q", foreign)
		}
		console := strings.Join(tab.console(), "\n")
		for _, want := range []string{"connect-src 'self'", "/nothing answered 404", "a warning", "Executing inline script violates", "ContentSecurityPolicyIssue"} {
			if !strings.Contains(console, want) {
				t.Errorf("%s is not among what the console says:\n%s", want, console)
			}
		}
		if beside := b.openedBeside(); !slices.Equal(beside, []string{"worker"}) {
			t.Errorf("beside the page ran %q, want the worker", beside)
		}
	})
}

// openDocs opens the page in a fresh tab and waits for its operations.
func (b *browser) openDocs(t *testing.T, preferred theme, fragment string) *tab {
	t.Helper()
	tab := b.newTab(t, preferred)
	tab.do("open /docs"+fragment, chromedp.Navigate(b.base+"/docs"+fragment), chromedp.WaitVisible(chromedp.CSS(".opblock-tag-section")))
	tab.until(`document.fonts.status === "loaded" && document.querySelectorAll(".opblock").length > 20`)
	return tab
}

// showsOpen waits until the operation of a link is open and in view.
func (t *tab) showsOpen(link string) {
	t.t.Helper()
	id := link[strings.LastIndex(link, "/")+1:]
	t.until(`document.querySelector('.opblock.is-open[id$="-` + id + `"] .responses-table')`)
	t.until(`((box) => box.top >= 0 && box.top < innerHeight / 2)(document.querySelector(".opblock.is-open").getBoundingClientRect())`)
}

// authorize signs in as a reader of the page does, with every scope.
func (t *tab) authorize(email, password string) {
	t.t.Helper()
	t.click(".scheme-container .authorize")
	t.do("fill in Authorize",
		chromedp.SendKeys(chromedp.CSS("#oauth_username"), email), chromedp.SendKeys(chromedp.CSS("#oauth_password"), password))
	t.click(".modal-ux .scopes [data-all]")
	if chosen := value[int](t, `document.querySelectorAll(".modal-ux .scopes input:checked").length`); chosen != len(scopes(t.t)) {
		t.t.Errorf("%d scopes are chosen, want all %d", chosen, len(scopes(t.t)))
	}
	t.click(".modal-ux .auth-btn-wrapper .authorize")
	t.do("sign in", chromedp.WaitVisible(chromedp.CSS(`.modal-ux [aria-label="Remove authorization"]`)))
	t.click(".modal-ux .btn-done")
	t.do("close Authorize", chromedp.WaitNotPresent(chromedp.CSS(".modal-ux")))
}

// tryListUsers executes listUsers through "Try it out" and returns what the page then shows.
func (t *tab) tryListUsers() (status, body string) {
	t.t.Helper()
	const operation, answer = "#operations-Users-listUsers", "#operations-Users-listUsers .live-responses-table .response"
	for _, button := range []string{" .opblock-summary-control", " .try-out__btn", " .execute"} {
		t.click(operation + button)
	}
	t.do("wait for the answer", chromedp.WaitVisible(chromedp.CSS(answer+" .highlight-code")))
	return value[string](t, `document.querySelector("`+answer+` .response-col_status").textContent`),
		value[string](t, `document.querySelector("`+answer+` .highlight-code").textContent`)
}

// oneLinkOfEachTag are the deep links of the first operation of each tag: some tags have a space or a dash.
func oneLinkOfEachTag(t *testing.T) []string {
	t.Helper()
	spec, err := api.GetSpec()
	if err != nil {
		t.Fatal(err)
	}
	first := map[string]string{}
	for _, item := range spec.Paths.Map() {
		for _, op := range item.Operations() {
			if known := first[op.Tags[0]]; known == "" || op.OperationID < known {
				first[op.Tags[0]] = op.OperationID
			}
		}
	}
	var links []string
	for tag, id := range first {
		links = append(links, "#/"+strings.ReplaceAll(tag, " ", "%20")+"/"+id)
	}
	slices.Sort(links)
	return links
}

func scopes(t *testing.T) map[string]string {
	t.Helper()
	spec, err := api.GetSpec()
	if err != nil {
		t.Fatal(err)
	}
	return spec.Components.SecuritySchemes["oauth2"].Value.Flows.Password.Scopes
}

// readable fails when a text has less contrast with its ground (WCAG 2.2, 1.4.3). What Swagger UI writes on a saturated
// or black ground is left out: it is the same in both themes.
func (t *tab) readable(contrast float64) {
	t.t.Helper()
	if faint := value[[]string](t, fmt.Sprintf(faintTexts, contrast)); len(faint) > 0 {
		t.t.Errorf("hard to read, with less contrast than %.1f : 1:\n%s", contrast, strings.Join(faint, "\n"))
	}
}

// faintTexts lists the visible texts with less contrast than it is given: grounds are laid over each other as far up as
// they are translucent, and on the canvas at last.
const faintTexts = `((wanted) => {
	const colour = (text) => { const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number); return { r, g, b, a }; };
	const over = (top, below) => Object.fromEntries(["r", "g", "b"].map((c) => [c, top[c] * top.a + below[c] * (1 - top.a)]));
	const canvas = matchMedia("(prefers-color-scheme: dark)").matches ? { r: 18, g: 18, b: 18 } : { r: 255, g: 255, b: 255 };
	const ground = (element) => element ? over(colour(getComputedStyle(element).backgroundColor), ground(element.parentElement)) : canvas;
	const linear = (c) => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4;
	const luminance = ({ r, g, b }) => .2126 * linear(r / 255) + .7152 * linear(g / 255) + .0722 * linear(b / 255);
	const faint = new Set();
	for (const element of document.querySelectorAll("#swagger-ui *")) {
		const text = [...element.childNodes].filter((n) => n.nodeType === Node.TEXT_NODE).map((n) => n.data).join(" ").trim();
		const isLeftOut = element.closest(".opblock-summary-method, .execute, .title small, .highlight-code, .microlight");
		if (!text || isLeftOut || !element.checkVisibility()) continue;
		const below = ground(element);
		const [dim, bright] = [luminance(below), luminance(over(colour(getComputedStyle(element).color), below))].sort((a, b) => a - b);
		const contrast = (bright + .05) / (dim + .05);
		if (contrast < wanted) faint.add(contrast.toFixed(1) + ": " + element.tagName + "." + element.className + " " + text.slice(0, 40));
	}
	return [...faint];
})(%v)`
