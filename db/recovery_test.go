package db_test

import (
	"testing"

	"usermanager/db"
	"usermanager/db/dbtest"
)

// The way down from 00008 takes away what an older server could not handle, keeps the audit, which nobody may change,
// and can be gone up again although PostgreSQL keeps the values of the enums.
func TestRecoveryIsUndoneWithItsLinksAndMailsAndKeepsTheAudit(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	pool := connect(t, url)
	exec(t, pool, `
		INSERT INTO users (id, email, email_canonical, nickname, preferred_language)
			VALUES ('01981d5c-7a00-7000-8000-000000000001', 'ada@example.com', 'ada@example.com', 'ada', 'en');
		INSERT INTO one_time_tokens (id, user_id, purpose, address, hash, expires_at, is_lasting)
			SELECT gen_random_uuid(), users.id, purpose::token_purpose, 'ada@example.com', '', now(), purpose LIKE 'revoke%'
			FROM users, unnest(ARRAY['verify_email', 'reset_password', 'confirm_email_change', 'revoke_email_change', 'revoke_email_change']) AS purpose;
		INSERT INTO mails (id, user_id, kind, token_id)
			SELECT gen_random_uuid(), user_id, CASE purpose WHEN 'verify_email' THEN 'verify_email' ELSE 'password_reset' END::mail_kind, id
			FROM one_time_tokens WHERE purpose IN ('verify_email', 'reset_password');
		INSERT INTO audit (id, action) VALUES (gen_random_uuid(), 'password_reset')`)

	for {
		version, err := db.MigrateDown(t.Context(), url)
		if err != nil {
			t.Fatalf("MigrateDown: %v", err)
		}
		if version < 8 {
			break
		}
	}
	const left = `SELECT concat_ws(' / ', (SELECT string_agg(purpose::text, ',') FROM one_time_tokens),
		(SELECT string_agg(kind::text, ',') FROM mails), (SELECT string_agg(action::text, ',') FROM audit))`
	if got, want := query[string](t, pool, left), "verify_email / verify_email / password_reset"; got != want {
		t.Errorf("the way down left %q, want %q", got, want)
	}
	if _, err := db.Migrate(t.Context(), url); err != nil {
		t.Errorf("Migrate after the way down: %v", err)
	}
}
