package mail

import (
	"cmp"
	"errors"
	"fmt"
	"html"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/matcornic/hermes/v2"
)

const (
	fallbackLocale = "en"
	maxProductName = 100  // code points
	maxLink        = 2000 // bytes; some mail programs cut longer ones

	// linkPlaceholder stands for the link while hermes renders. hermes'
	// html/template replaces custom schemes by #ZgotmplZ and percent-encodes
	// others, and a token must arrive byte for byte. No greeted name can spell
	// it: it has dots and slashes.
	linkPlaceholder = "https://link.invalid/placeholder"
)

// Product is who the mails come from. Operators choose it; users cannot.
type Product struct {
	Name         string // shown in subject, header and footer; one line
	URL          string // where the header leads: absolute, http or https
	LogoURL      string // the only remote content of a mail; optional, absolute, http or https
	SupportEmail string // whom a locked-out user can ask; optional
}

// Data is what a mail is about. Unset fields leave their sentence out, unless
// the kind makes no sense without them.
type Data struct {
	Name      string        // as the user typed it; repeated only if it is harmless
	Nickname  string        // greeted when Name is not
	Link      string        // used byte for byte; any scheme but javascript, data and vbscript
	ExpiresIn time.Duration // how long Link works
	Role      string        // the new role as the contract spells it; required by role_changed
	Locale    string        // a language tag (RFC 5646); an unknown one falls back to English
	At        time.Time     // when it happened; shown in UTC
}

// Renderer writes mails. It is safe for concurrent use. A mail takes
// milliseconds of CPU (hermes inlines the style sheet), so render in a job.
type Renderer struct {
	product Product
	locales map[string]locale // keyed by lower-case language tag
}

// locale holds all texts in one language.
type locale struct {
	greeting    string // with {name}
	salutation  string // the greeting of somebody whose name is not repeated
	signature   string
	trouble     string // above the written-out link; hermes fills in {ACTION}
	footer      string
	supportTeam string // {support} when there is no address
	timeLayout  string
	duration    func(time.Duration) string
	roles       map[string]string
	texts       map[Kind]text
}

// text is what one kind of mail says. A kind without an action has no button,
// and one whose link is not required has it only when Data brings a link.
type text struct {
	subject      string
	intros       []string
	instructions string // right above the button
	action       string // on the button
	outros       []string
	linkRequired bool
	roleRequired bool
	footer       string // instead of the locale's, where that would not be true
}

// NewRenderer checks the product, because a broken one would break every mail.
func NewRenderer(p Product) (*Renderer, error) {
	if p.Name == "" || utf8.RuneCountInString(p.Name) > maxProductName ||
		!utf8.ValidString(p.Name) || strings.ContainsFunc(p.Name, isUnsafeInLine) {
		return nil, fmt.Errorf("product name: one line of 1 to %d characters is needed", maxProductName)
	}
	if err := checkWebURL(p.URL); err != nil {
		return nil, fmt.Errorf("product URL: %w", err)
	}
	if p.LogoURL != "" {
		if err := checkWebURL(p.LogoURL); err != nil {
			return nil, fmt.Errorf("product logo URL: %w", err)
		}
	}
	if p.SupportEmail != "" {
		if err := CheckAddress(p.SupportEmail); err != nil {
			return nil, fmt.Errorf("support e-mail: %w", err)
		}
	}
	return &Renderer{product: p, locales: map[string]locale{fallbackLocale: english()}}, nil
}

// Locales returns the language tags that mails are written in, sorted.
func (r *Renderer) Locales() []string {
	return slices.Sorted(maps.Keys(r.locales))
}

// Render writes one mail. It fails on an unknown kind or role, and when the
// kind needs a link or role that d does not have; a name never fails it.
func (r *Renderer) Render(kind Kind, d Data) (Content, error) {
	l, err := r.compose(kind, d)
	if err != nil {
		return Content{}, err
	}
	asHTML, err := l.engine.GenerateHTML(l.email)
	if err != nil {
		return Content{}, fmt.Errorf("render mail %s as HTML: %w", kind, err)
	}
	l.engine.DisableCSSInlining = true // plain text has no styles; saves half of the work
	asText, err := l.engine.GeneratePlainText(l.email)
	if err != nil {
		return Content{}, fmt.Errorf("render mail %s as text: %w", kind, err)
	}
	return Content{
		Subject: l.subject,
		HTML:    strings.ReplaceAll(asHTML, linkPlaceholder, html.EscapeString(d.Link)),
		// A line of its own, so that no mail program takes a neighbour for a part of it.
		Text: strings.ReplaceAll(asText, " "+linkPlaceholder, "\n\n"+d.Link) + "\n",
	}, nil
}

// letter is all that the templates learn about a mail; the link is put in after them.
type letter struct {
	subject string
	engine  hermes.Hermes
	email   hermes.Email
}

func (r *Renderer) compose(kind Kind, d Data) (letter, error) {
	loc := r.lookup(d.Locale)
	t, ok := loc.texts[kind]
	if !ok {
		return letter{}, fmt.Errorf("render mail: unknown kind %q", kind)
	}
	if err := t.check(d); err != nil {
		return letter{}, fmt.Errorf("render mail %s: %w", kind, err)
	}
	if _, ok := loc.roles[d.Role]; d.Role != "" && !ok {
		return letter{}, fmt.Errorf("render mail %s: unknown role", kind)
	}
	fill := r.filler(loc, d)
	return letter{
		subject: strings.Join(fill(t.subject), ""),
		engine:  r.hermes(loc, fill(cmp.Or(t.footer, loc.footer))),
		email: hermes.Email{Body: hermes.Body{
			Title:     greeting(loc, d), // never Name: hermes would greet an empty one
			Intros:    fill(t.intros...),
			Actions:   t.actions(d),
			Outros:    fill(t.outros...),
			Signature: loc.signature,
		}},
	}, nil
}

// lookup finds the texts for a language tag: de-CH-1996, then de-CH, then de,
// then English (RFC 4647 section 3.4).
func (r *Renderer) lookup(tag string) locale {
	tag = strings.ToLower(strings.ReplaceAll(tag, "_", "-"))
	for tag != "" {
		if loc, ok := r.locales[tag]; ok {
			return loc
		}
		tag = tag[:max(0, strings.LastIndexByte(tag, '-'))]
	}
	return r.locales[fallbackLocale]
}

// hermes returns a fresh engine each time: it writes its defaults into itself.
func (r *Renderer) hermes(loc locale, footer []string) hermes.Hermes {
	return hermes.Hermes{Product: hermes.Product{
		Name:        r.product.Name,
		Link:        r.product.URL,
		Logo:        r.product.LogoURL,
		Copyright:   strings.Join(footer, ""),
		TroubleText: loc.trouble,
	}}
}

// filler returns a function that fills in placeholders and drops the lines
// that have one without a value.
func (r *Renderer) filler(loc locale, d Data) func(...string) []string {
	support := r.product.SupportEmail
	if support == "" {
		support = strings.ReplaceAll(loc.supportTeam, "{product}", r.product.Name)
	}
	values := map[string]string{
		"{product}": r.product.Name, "{support}": support, "{role}": loc.roles[d.Role], "{expires}": "", "{at}": "",
	}
	if d.ExpiresIn > 0 {
		values["{expires}"] = loc.duration(d.ExpiresIn)
	}
	if !d.At.IsZero() {
		values["{at}"] = d.At.UTC().Format(loc.timeLayout)
	}
	var missing, pairs []string
	for placeholder, value := range values {
		if value == "" {
			missing = append(missing, placeholder)
		}
		pairs = append(pairs, placeholder, value)
	}
	replacer := strings.NewReplacer(pairs...)
	return func(lines ...string) []string {
		var filled []string
		for _, line := range lines {
			if !slices.ContainsFunc(missing, func(p string) bool { return strings.Contains(line, p) }) {
				filled = append(filled, replacer.Replace(line))
			}
		}
		return filled
	}
}

func greeting(loc locale, d Data) string {
	for _, name := range []string{d.Name, d.Nickname} {
		if greetable(name) {
			return strings.ReplaceAll(loc.greeting, "{name}", name)
		}
	}
	return loc.salutation
}

func (t text) check(d Data) error {
	if t.roleRequired && d.Role == "" {
		return errors.New("no role")
	}
	if d.Link == "" {
		if t.linkRequired {
			return errors.New("no link")
		}
		return nil
	}
	return checkLink(d.Link)
}

func (t text) actions(d Data) []hermes.Action {
	if t.action == "" || d.Link == "" {
		return nil
	}
	return []hermes.Action{{
		Instructions: t.instructions,
		Button:       hermes.Button{Text: t.action, Link: linkPlaceholder},
	}}
}

// checkLink guards the one value that goes into the HTML without html/template.
// Its errors leave the link out, because it holds a token.
func checkLink(link string) error {
	if len(link) > maxLink {
		return fmt.Errorf("link longer than %d bytes", maxLink)
	}
	for _, r := range link {
		if r <= ' ' || r >= utf8.RuneSelf || strings.ContainsRune("\x7f\"<>\\^`{|}", r) {
			return errors.New("link with a character that RFC 3986 does not allow")
		}
	}
	parsed, err := url.Parse(link)
	if err != nil || parsed.Scheme == "" {
		return errors.New("link is not an absolute URL")
	}
	switch parsed.Scheme { // url.Parse lowers it
	case "javascript", "data", "vbscript":
		return fmt.Errorf("link with the scheme %s", parsed.Scheme)
	}
	return nil
}

func checkWebURL(raw string) error {
	if err := checkLink(raw); err != nil {
		return err
	}
	parsed, err := url.Parse(raw)
	if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
		return errors.New("an absolute http or https URL is needed")
	}
	return nil
}
