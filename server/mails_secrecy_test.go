package server_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"usermanager/gen/query"
)

// dumpOf is every row of every table as text.
func dumpOf(s *system) string {
	s.t.Helper()
	rows, err := s.pool.Query(s.t.Context(), `SELECT quote_ident(table_schema) || '.' || quote_ident(table_name) FROM information_schema.tables
		WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND table_type = 'BASE TABLE'`)
	if err != nil {
		s.t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		s.t.Fatal(err)
	}
	var dump strings.Builder
	for _, table := range tables {
		var content *string
		s.scan(fmt.Sprintf(`SELECT string_agg(t::text, E'\n') FROM %s AS t`, table), nil, &content)
		if content != nil {
			dump.WriteString(table + "\n" + *content + "\n")
		}
	}
	return dump.String()
}

// findingsOf are the forms of a token that can be found in a text: as it was mailed, and what its MAC is in a bytea.
func findingsOf(t *testing.T, text, token string) []string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	mac := raw[len(raw)-32:]
	var found []string
	for name, form := range map[string]string{
		"text": token, "middle": token[30:60], "hex": hex.EncodeToString(raw), "hex of the MAC": hex.EncodeToString(mac),
		"MAC": base64.RawURLEncoding.EncodeToString(mac), "MAC in base64": base64.StdEncoding.EncodeToString(mac),
	} {
		if strings.Contains(text, form) {
			found = append(found, name)
		}
	}
	return found
}

func TestMailedTokensAreNowhereInTheDatabase(t *testing.T) {
	t.Parallel()
	held := newGate()
	s := newSystem(t, held.install)
	t.Cleanup(held.open)
	admin := s.signedIn(query.UserRoleADMIN)
	profile := registered(s, nil)
	invitedEmail := uniqueEmail()
	s.call(http.MethodPost, "/users", admin.token, map[string]any{"email": invitedEmail})
	forgetful := s.account(verifiedUser)
	forget(s, forgetful.email)
	mover, next := s.signedIn(query.UserRoleAUTHENTICATED), uniqueEmail()
	s.mustWantEmail(mover.token, next)
	for range 5 {
		<-held.arrived
	}
	dumps := map[string]string{"while the mails are being sent": dumpOf(s)}
	held.open()
	tokens := []string{mailedToken(s, profile.Email, "confirm"), mailedToken(s, invitedEmail, "invited"),
		linkToken(t, s.mailTo(forgetful.email, "reset"), "/password/reset/"), confirmationOf(s, next), revocationOf(s, mover.email)}
	s.idle()
	dumps["after they were sent"] = dumpOf(s)
	verifyByToken(s, tokens[0])
	acceptInvitation(s, tokens[1], goodPassword)
	s.mustReset(tokens[2])
	confirmEmail(s, tokens[3])
	s.mustRevoke(tokens[4])
	s.idle()
	dumps["after they were used"] = dumpOf(s)
	for when, dump := range dumps {
		if !strings.Contains(dump, profile.ID.String()) || strings.Count(dump, "\n") < 20 {
			t.Fatalf("%s: the dump is not one: %s", when, dump)
		}
		for _, token := range tokens {
			if found := findingsOf(t, dump, token); found != nil {
				t.Errorf("%s: found the token as %v", when, found)
			}
		}
		if strings.Contains(dump, goodPassword) || strings.Contains(dump, "Compiler*1952") {
			t.Errorf("%s: found a password", when)
		}
	}
}

func TestMailedTokensAreNotLogged(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	profile, token := unverified(s)
	email, invitation := invited(s, admin.token, nil)
	reset := forgotten(s, s.account(verifiedUser).email)
	mover, next := s.signedIn(query.UserRoleAUTHENTICATED), uniqueEmail()
	s.mustWantEmail(mover.token, next)
	confirmation, revocation := confirmationOf(s, next), revocationOf(s, mover.email)
	for _, use := range []func(){
		func() { s.call(http.MethodGet, "/email-change/confirm/"+confirmation, "", nil) },
		func() { s.call(http.MethodGet, "/email-change/revoke/"+revocation, "", nil) },
		func() { confirmEmail(s, revocation) },
		func() { confirmEmail(s, confirmation) },
		func() { revokeEmail(s, revocation) },
		func() { s.call(http.MethodGet, "/verify-email/"+profile.ID.String()+"/"+token, "", nil) },
		func() { s.call(http.MethodHead, "/verify-email/"+profile.ID.String()+"/"+token+"/", "", nil) },
		func() { s.call(http.MethodGet, "/invitations/"+invitation, "", nil) },
		func() { verifyByLink(s, uuid.New(), token) },
		func() { verifyByLink(s, profile.ID, token) },
		func() { verifyByToken(s, invitation) },
		func() { verifyByToken(s, token) },
		func() { s.call(http.MethodGet, "/password/reset/"+reset, "", nil) },
		func() { s.call(http.MethodPost, "/password/reset/"+reset, "", nil) },
		func() { resetPassword(s, reset, "short") },
		func() { resetPassword(s, reset, goodPassword) },
		func() { acceptInvitation(s, token, goodPassword) },
		func() { acceptInvitation(s, invitation, goodPassword) },
		func() { acceptInvitation(s, invitation, goodPassword) },
		func() { s.call(http.MethodGet, "/nowhere/"+token, "", nil) },
		func() { s.call(http.MethodGet, "/nowhere?token="+token, "", nil) },
		func() { s.call(http.MethodDelete, "/invitations/"+invitation, "", nil) },
		func() { s.call(http.MethodPost, "/verify-email", "", `{"token":"`+token+`"`) },
		func() { resend(s, map[string]any{"token": token}) },
	} {
		use()
	}
	s.exec("ALTER TABLE one_time_tokens RENAME TO elsewhere") // and when the database fails
	verifyByToken(s, token)
	verifyByLink(s, profile.ID, token)
	s.exec("ALTER TABLE elsewhere RENAME TO one_time_tokens")
	logs := s.logs.String()
	if !strings.Contains(logs, "/verify-email/:user_id/:token") || !strings.Contains(logs, `"operation":"acceptInvitation"`) {
		t.Fatalf("the log does not tell of the requests: %s", logs)
	}
	for _, secret := range []string{token, invitation, reset, confirmation, revocation} {
		if found := findingsOf(t, logs, secret); found != nil {
			t.Errorf("found a token as %v", found)
		}
	}
	for name, private := range map[string]string{"password": goodPassword, "address": profile.Email, "invited address": email} { // H-10
		if strings.Contains(logs, private) {
			t.Errorf("the log holds the %s", name)
		}
	}
}
