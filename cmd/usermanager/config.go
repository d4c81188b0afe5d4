package main

import (
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"usermanager/server"
	"usermanager/server/mail"
	"usermanager/server/secret"
)

// config is every setting, parsed and checked; the README's table and the command `config` are made of its
// tags. kind names the parser of config_kinds.go, flag a flag of serve and dev. What is secret lives in types
// that do not print, has no flag (the process list shows those), and can come from a file named by NAME_FILE.
type config struct {
	DatabaseURL            hidden          `name:"DATABASE_URL" kind:"database" secret:"yes" about:"PostgreSQL, as postgres://user:password@host:5432/database; several hosts and pool parameters of pgx work."`
	DatabaseMaxConnections int             `name:"DATABASE_MAX_CONNECTIONS" kind:"connections" shown:"4 a core, at least 8" about:"How many connections one server opens at most, 2 to 1000."`
	ListenAddr             string          `name:"LISTEN_ADDR" flag:"listen" kind:"address" default:":8080" about:"Where to listen, as host:port."`
	PublicURL              *url.URL        `name:"PUBLIC_URL" flag:"public-url" kind:"base" default:"http://localhost:8080" about:"Where clients reach this server: the base of every link and the issuer of tokens."`
	SecretKey              hidden          `name:"SECRET_KEY" kind:"key" secret:"yes" about:"At least 32 random bytes, as from openssl rand -base64 32; every other key is derived from it."`
	SecretKeyPrevious      hidden          `name:"SECRET_KEY_PREVIOUS" kind:"key" secret:"yes" about:"The key before the current one, still accepted while you change it; usermanager keys rewrap says when it can go."`
	SMTP                   *mail.ServerURL `name:"SMTP_URL" kind:"smtp" secret:"yes" about:"Mail server: smtp:// (STARTTLS), smtps:// (TLS) or smtp+plain:// (none), with user:password@host:port."`
	MailFrom               mail.From       `name:"MAIL_FROM" flag:"mail-from" kind:"sender" about:"Sender of every mail, as Example <noreply@example.com>."`
	RegistrationOpen       bool            `name:"REGISTRATION" flag:"registration" kind:"registration" default:"open" about:"Whether anyone may register: open, or closed, when only staff make accounts."`
	RegistrationConceal    bool            `name:"REGISTRATION_CONCEAL" flag:"registration-conceal" kind:"switch" default:"false" about:"Answer a registration alike for known and unknown addresses."`
	RegistrationLimit      int             `name:"REGISTRATION_LIMIT" kind:"limit" default:"1000" about:"Registrations an hour from one source."`
	PasswordPolicy         secret.Policy   `name:"PASSWORD_POLICY" flag:"password-policy" kind:"policy" default:"composition" about:"Rules for new passwords: composition (upper, lower, digit, special) or nist (length only)."`
	MaxLoginAttempts       int             `name:"MAX_LOGIN_ATTEMPTS" kind:"attempts" default:"5" about:"Failed sign-ins before the first wait, 1 to 100."`
	LoginWait              time.Duration   `name:"LOGIN_WAIT" kind:"wait" default:"1m" about:"The first wait; later ones grow to 15 times as long."`
	AccessTTL              time.Duration   `name:"ACCESS_TTL" flag:"access-ttl" kind:"ttl" default:"15m" about:"How long an access token is valid; serve refuses more than 15m."`
	SessionIdle            time.Duration   `name:"SESSION_IDLE" kind:"idle" default:"24h" about:"How long a session may rest before one has to sign in again."`
	SessionIdleRemembered  time.Duration   `name:"SESSION_IDLE_REMEMBERED" kind:"idle" default:"720h" about:"The same for sessions that were opened with remember."`
	SessionMax             time.Duration   `name:"SESSION_MAX" kind:"idle" default:"2160h" about:"How long a session lives at most, however often it is used; SESSION_IDLE never extends it."`
	RefreshGrace           time.Duration   `name:"REFRESH_GRACE" kind:"grace" default:"2m" about:"How long the answer to a refresh that was lost can be asked for again."`
	KeyRotation            time.Duration   `name:"KEY_ROTATION" kind:"rotation" default:"2160h" about:"How long a key signs access tokens before the next one takes over, at least 24h (90 days are 2160h); 0 leaves it to usermanager keys rotate."`
	CORSOrigins            []string        `name:"CORS_ORIGINS" flag:"cors-origins" kind:"origins" about:"Origins of browser frontends, separated by commas; dev allows every port of localhost too."`
	TrustedProxies         []netip.Prefix  `name:"TRUSTED_PROXIES" flag:"trusted-proxies" kind:"networks" about:"Networks of reverse proxies whose X-Forwarded-For is believed, as 10.0.0.0/8, separated by commas."`
	Docs                   bool            `name:"DOCS" flag:"docs" kind:"switch" default:"true" about:"Serve the documentation page at /docs."`
	ProductName            string          `name:"PRODUCT_NAME" kind:"line" default:"User Management System" about:"Name in mails and pages."`
	ProductURL             string          `name:"PRODUCT_URL" kind:"page" shown:"PUBLIC_URL" about:"Where that name leads."`
	ProductLogoURL         string          `name:"PRODUCT_LOGO_URL" kind:"page" about:"Logo in mails and pages."`
	SupportEmail           string          `name:"SUPPORT_EMAIL" kind:"mailbox" about:"Whom a user can ask for help."`
	LinkVerifyEmail        string          `name:"LINK_VERIFY_EMAIL" kind:"token link" shown:"the built-in page" about:"Frontend page that proves an address; {token} stands for the token."`
	LinkInvitation         string          `name:"LINK_INVITATION" kind:"token link" shown:"the built-in page" about:"Frontend page that accepts an invitation; {token} stands for the token."`
	LinkResetPassword      string          `name:"LINK_RESET_PASSWORD" kind:"token link" shown:"the built-in page" about:"Frontend page that sets a new password; {token} stands for the token."`
	LinkConfirmEmailChange string          `name:"LINK_CONFIRM_EMAIL_CHANGE" kind:"token link" shown:"the built-in page" about:"Frontend page that confirms a new e-mail address; {token} stands for the token."`
	LinkRevokeEmailChange  string          `name:"LINK_REVOKE_EMAIL_CHANGE" kind:"token link" shown:"the built-in page" about:"Frontend page that undoes a change of the e-mail address; {token} stands for the token."`
	LinkChangePassword     string          `name:"LINK_CHANGE_PASSWORD" kind:"plain link" shown:"the built-in page" about:"Frontend page for changing a password; /.well-known/change-password and warning mails lead there."`
	LinkCancelDeletion     string          `name:"LINK_CANCEL_DELETION" kind:"token link" shown:"the built-in page" about:"Frontend page that keeps an account that its owner deleted; {token} stands for the token."`
	LinkSignIn             string          `name:"LINK_SIGN_IN" kind:"plain link" about:"Frontend page for signing in."`
	BootstrapAdminEmail    string          `name:"BOOTSTRAP_ADMIN_EMAIL" kind:"mailbox" about:"Made an administrator at a start that finds none."`
	BootstrapAdminPassword hidden          `name:"BOOTSTRAP_ADMIN_PASSWORD" kind:"password" secret:"yes" about:"Password of that administrator; not needed afterwards."`
	LogLevel               slog.Level      `name:"LOG_LEVEL" flag:"log-level" kind:"level" default:"info" about:"What is logged: debug, info, warn or error."`
	LogJSON                bool            `name:"LOG_FORMAT" flag:"log-format" kind:"format" default:"json" about:"How: json, or text for people; dev defaults to text."`
	DrainDelay             time.Duration   `name:"DRAIN_DELAY" kind:"pause" default:"5s" about:"How long /readyz answers 503 before a stop, so that load balancers notice; dev does not wait."`
}

// setting is what config says about one of its fields.
type setting struct {
	field  int
	name   string // in the environment
	key    string // in the configuration file
	flag   string // without the dashes; empty when it has none
	kind   string
	preset string // the default; empty means unset
	shown  string // what the table says instead, where the default is computed
	about  string
	secret bool
}

func allSettings() []setting {
	var all []setting
	for field := range reflect.TypeFor[config]().Fields() {
		all = append(all, setting{
			field: field.Index[0], name: field.Tag.Get("name"), key: strings.ToLower(field.Tag.Get("name")),
			flag: field.Tag.Get("flag"), kind: field.Tag.Get("kind"), preset: field.Tag.Get("default"),
			shown: field.Tag.Get("shown"), about: field.Tag.Get("about"), secret: field.Tag.Get("secret") == "yes",
		})
	}
	return all
}

// addFlags gives a command the settings that have a flag. Their defaults come later, so none is shown here.
func addFlags(flags *pflag.FlagSet) {
	for _, s := range allSettings() {
		if s.flag == "" {
			continue
		}
		flags.String(s.flag, "", s.about)
		if s.kind == "switch" {
			flags.Lookup(s.flag).NoOptDefVal = "true" // --docs is --docs=true
		}
	}
}

// loaded is the outcome of reading all sources: what each setting is, where it comes from, and all that is
// wrong, one sentence each. No sentence repeats a value: what was put into the wrong setting may be a secret.
type loaded struct {
	config   config
	links    map[string]server.LinkTemplates // by client; "" is the LINK_* settings
	rows     []row
	problems []string
	broken   map[string]bool // settings that somebody made and a problem speaks of
}

// row is one setting as the command `config` shows it.
type row struct {
	setting
	value  string // empty for secrets
	source string // "flag", "environment", "file", "default", or "" when it is not set
}

func (l *loaded) refusef(format string, args ...any) {
	l.problems = append(l.problems, fmt.Sprintf(format, args...))
}

func (l *loaded) isSet(name string) bool {
	return slices.ContainsFunc(l.rows, func(r row) bool { return r.name == name && r.source != "" })
}

// isDefault tells a setting that nobody made from one that somebody set to its default.
func (l *loaded) isDefault(name string) bool {
	return slices.ContainsFunc(l.rows, func(r row) bool { return r.name == name && r.source == "default" })
}

// require refuses what the command cannot do without.
func (l *loaded) require(names ...string) {
	for _, r := range l.rows {
		if slices.Contains(names, r.name) && r.source == "" && !l.broken[r.name] {
			l.refusef("%s is not set: %s", r.name, r.about)
		}
	}
}

// err is everything that is wrong, or nil.
func (l *loaded) err() error {
	if len(l.problems) == 0 {
		return nil
	}
	return settingsError(l.problems)
}

type settingsError []string

func (e settingsError) Error() string { return strings.Join(e, "\n") }

// load reads every setting once: flag over environment over configuration file over default. presets replace
// defaults, for commands that have their own. It always returns as much as it could read.
func (p process) load(flags *pflag.FlagSet, presets map[string]string) *loaded {
	l := &loaded{links: map[string]server.LinkTemplates{}, broken: map[string]bool{}}
	v := viper.New()
	inFile, clients := p.readFile(l, flags)
	inEnvironment := p.readEnvironment(l)
	computed := map[string]string{"DATABASE_MAX_CONNECTIONS": strconv.Itoa(max(8, 4*p.cores))}
	for _, s := range allSettings() {
		v.SetDefault(s.key, firstSet(presets[s.name], s.preset, computed[s.name]))
	}
	// The environment is merged over the file instead of bound, because viper would bind this process's own,
	// and a test has another.
	for _, layer := range []map[string]any{inFile, inEnvironment} {
		if err := v.MergeConfigMap(layer); err != nil {
			l.refusef("settings cannot be merged: %v", err)
		}
	}
	into := reflect.ValueOf(&l.config).Elem()
	for _, s := range allSettings() {
		source := "default"
		if _, set := inFile[s.key]; set {
			source = "file"
		}
		if _, set := inEnvironment[s.key]; set {
			source = "environment"
		}
		if flag := flags.Lookup(s.flag); s.flag != "" && flag != nil && flag.Changed {
			source = "flag"
			if err := v.BindPFlag(s.key, flag); err != nil {
				l.refusef("--%s cannot be read: %v", s.flag, err)
			}
		}
		l.set(into.Field(s.field), s, v.Get(s.key), source)
	}
	l.checkTogether()
	l.readClients(clients)
	return l
}

// set parses one value into its field.
func (l *loaded) set(field reflect.Value, s setting, raw any, source string) {
	text, err := plainText(raw)
	if err == nil && text == "" {
		l.rows = append(l.rows, row{setting: s})
		return
	}
	r := row{setting: s, source: source}
	if !s.secret {
		r.value = text
	}
	l.rows = append(l.rows, r)
	var value any
	if err == nil {
		value, err = parseKind(s.kind, text)
	}
	if err != nil {
		l.broken[s.name] = true
		l.refusef("%s (%s) %v.", s.name, source, err)
		return
	}
	field.Set(reflect.ValueOf(value))
}

// checkTogether refuses what only makes sense in company.
func (l *loaded) checkTogether() {
	c := &l.config
	email, password := "BOOTSTRAP_ADMIN_EMAIL", "BOOTSTRAP_ADMIN_PASSWORD"
	if l.isSet(email) != l.isSet(password) && !l.broken[email] && !l.broken[password] {
		l.refusef("BOOTSTRAP_ADMIN_EMAIL and BOOTSTRAP_ADMIN_PASSWORD are set together or not at all.")
	}
	if c.ProductURL == "" && c.PublicURL != nil {
		c.ProductURL = c.PublicURL.String()
	}
	l.links[""] = server.LinkTemplates{
		VerifyEmail: c.LinkVerifyEmail, Invitation: c.LinkInvitation, SignIn: c.LinkSignIn, ResetPassword: c.LinkResetPassword,
		ConfirmEmailChange: c.LinkConfirmEmailChange, RevokeEmailChange: c.LinkRevokeEmailChange, CancelDeletion: c.LinkCancelDeletion,
	}
}

// root makes the keys' root out of SECRET_KEY and its predecessor, which were checked before.
func (c *config) root() (*secret.Root, error) {
	return secret.NewRoot([]byte(c.SecretKey.reveal()), []byte(c.SecretKeyPrevious.reveal()))
}

func firstSet(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
