//go:build browser

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// chromium is the browser of this machine.
func chromium(t *testing.T) string {
	t.Helper()
	names := []string{os.Getenv("CHROME_PATH"), "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome",
		"/Applications/Chromium.app/Contents/MacOS/Chromium", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("this test needs Chromium: install it (apt-get install chromium), or give the path of a Chrome as CHROME_PATH")
	return ""
}

// browser is a headless Chromium with nothing of its own to say to the network.
type browser struct {
	base string          // the origin that its pages may talk to
	ctx  context.Context //nolint:containedctx // to chromedp, a context is the browser

	mu     sync.Mutex
	beside []string // kinds of what pages opened beside themselves: workers, frames, windows
}

func startBrowser(t *testing.T, path, base string) *browser {
	t.Helper()
	allocator, stop := chromedp.NewExecAllocator(t.Context(),
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-dev-shm-usage", true),                                         // small in containers
		chromedp.Flag("force-color-profile", "srgb"), chromedp.Flag("hide-scrollbars", true), // the picture
	)
	t.Cleanup(stop)
	ctx, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(closeTab)
	b := &browser{base: base, ctx: ctx}
	must(t, "start Chromium", chromedp.Do(ctx))
	must(t, "watch what is opened", chromedp.ListenBrowser(ctx, func(event any) {
		if created, ok := event.(*target.EventTargetCreated); ok && created.TargetInfo.OpenerID+created.TargetInfo.ParentID != "" {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.beside = append(b.beside, created.TargetInfo.Type)
		}
	}))
	return b
}

func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// theme is what the system prefers.
type theme string

const light, dark theme = "light", "dark"

// tab is a page in a browser profile of its own: without the cache and the storage of the others.
type tab struct {
	*browser
	t   *testing.T      // of the subtest that opened it
	ctx context.Context //nolint:containedctx // to chromedp, a context is the tab

	mu       sync.Mutex
	requests []string
	said     []string // what developer tools show in red, in yellow or at all
}

func (b *browser) newTab(t *testing.T, preferred theme) *tab {
	t.Helper()
	ctx, closeTab := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(closeTab)
	ctx, cancel := context.WithTimeout(ctx, patience)
	t.Cleanup(cancel)
	tab := &tab{browser: b, t: t, ctx: ctx}
	must(t, "open a tab", chromedp.Listen(ctx, tab.record))
	_, err := chromedp.Call(ctx, audits.Enable, cdp.Empty{})
	must(t, "watch for reports", err)
	_, err = chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: string(preferred)}},
	})
	must(t, "prefer a theme", err)
	tab.do("size", chromedp.EmulateViewport(pictureWidth, pictureHeight))
	return tab
}

func (t *tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	t.t.Helper()
	if err := chromedp.Do(t.ctx, steps...); err != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.t.Fatalf("%s: %v\nrequests:\n%s\nconsole:\n%s", what, err, strings.Join(t.requests, "\n"), strings.Join(t.said, "\n"))
	}
}

// click clicks with the mouse where an element stands still: a page that scrolls to what a link opens, or that is
// being laid out, would take the element away from under the pointer.
func (t *tab) click(selector string) {
	t.t.Helper()
	value[bool](t, `new Promise((done) => {
		let before = "", looks = 0;
		const look = () => {
			const box = document.querySelector('`+selector+`')?.getBoundingClientRect();
			const now = box && box.width > 0 ? box.x + " " + box.y : "";
			looks = now && now === before ? looks + 1 : 0;
			before = now;
			looks < 10 ? setTimeout(look, 20) : done(true);
		};
		look();
	})`)
	t.do("click "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// until waits for an expression to become true in the page. chromedp's own Poll compiles a text, which the page's
// policy forbids.
func (t *tab) until(expression string) {
	t.t.Helper()
	value[bool](t, `new Promise((done) => { const look = () => (`+expression+`) ? done(true) : setTimeout(look, 20); look(); })`)
}

// value is what an expression is in the page, or what its promise comes to.
func value[T any](t *tab, expression string) T {
	t.t.Helper()
	got, err := chromedp.Run(t.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	must(t.t, expression, err)
	return got
}

// record notes what the page asks for and what it complains about.
func (t *tab) record(event any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	say := func(format string, args ...any) { t.said = append(t.said, fmt.Sprintf(format, args...)) }
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		t.requests = append(t.requests, e.Request.Method+" "+e.Request.URL)
	case *network.EventWebSocketCreated:
		t.requests = append(t.requests, "GET "+e.URL)
	case *network.EventResponseReceived:
		if e.Response.Status >= 400 {
			say("%s answered %d", e.Response.URL, e.Response.Status)
		}
	case *network.EventLoadingFailed:
		say("a %s failed to load: %s %s", e.Type, e.ErrorText, e.BlockedReason)
	case *runtime.EventConsoleAPICalled:
		for _, arg := range e.Args {
			say("console.%s: %s %s", e.Type, arg.Value, arg.Description)
		}
	case *runtime.EventExceptionThrown:
		say("exception: %s", e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		if e.Entry.Level != log.EntryLevelVerbose { // advice, which developer tools hide unless asked
			say("%s %s: %s", e.Entry.Source, e.Entry.Level, e.Entry.Text)
		}
	case *audits.EventIssueAdded:
		if e.Issue.Code != audits.InspectorIssueCodeGenericIssue { // labels and autocomplete of Swagger UI's own forms
			say("issue: %s", e.Issue.Code)
		}
	}
}

// foreign are the requests that left the origin.
func (t *tab) foreign() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(t.requests), func(request string) bool {
		_, address, _ := strings.Cut(request, " ")
		return strings.HasPrefix(address, t.base+"/") || strings.HasPrefix(address, "data:") // a data: URL is its own content
	})
}

func (t *tab) console() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.said)
}

// asked tells whether the page sent this request.
func (t *tab) asked(request string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Contains(t.requests, request)
}

// keptToItself fails when a request left the origin, when the console is not empty, or when something ran beside the page.
func (t *tab) keptToItself() {
	t.t.Helper()
	if foreign := t.foreign(); len(foreign) > 0 {
		t.t.Errorf("requests left %s:\n%s", t.base, strings.Join(foreign, "\n"))
	}
	if said := t.console(); len(said) > 0 {
		t.t.Errorf("the console is not empty:\n%s", strings.Join(said, "\n"))
	}
	if beside := t.openedBeside(); len(beside) > 0 {
		t.t.Errorf("the page opened, unwatched: %q", beside)
	}
}

func (b *browser) openedBeside() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.beside)
}
