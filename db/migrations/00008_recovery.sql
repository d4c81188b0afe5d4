-- +goose Up
-- Getting back in: forgotten passwords, changed ones, and changed e-mail addresses.

ALTER TYPE token_purpose ADD VALUE IF NOT EXISTS 'reset_password';
ALTER TYPE token_purpose ADD VALUE IF NOT EXISTS 'confirm_email_change';
ALTER TYPE token_purpose ADD VALUE IF NOT EXISTS 'revoke_email_change';

ALTER TYPE mail_kind ADD VALUE IF NOT EXISTS 'password_reset';
ALTER TYPE mail_kind ADD VALUE IF NOT EXISTS 'password_changed';
ALTER TYPE mail_kind ADD VALUE IF NOT EXISTS 'email_change';
ALTER TYPE mail_kind ADD VALUE IF NOT EXISTS 'email_change_notice';
ALTER TYPE mail_kind ADD VALUE IF NOT EXISTS 'email_changed';
ALTER TYPE mail_kind ADD VALUE IF NOT EXISTS 'email_change_attempt';

ALTER TYPE audit_action ADD VALUE IF NOT EXISTS 'password_reset_requested';
ALTER TYPE audit_action ADD VALUE IF NOT EXISTS 'password_reset';
ALTER TYPE audit_action ADD VALUE IF NOT EXISTS 'password_changed';
ALTER TYPE audit_action ADD VALUE IF NOT EXISTS 'email_change_requested';
ALTER TYPE audit_action ADD VALUE IF NOT EXISTS 'email_changed';
ALTER TYPE audit_action ADD VALUE IF NOT EXISTS 'email_change_revoked';
ALTER TYPE audit_action ADD VALUE IF NOT EXISTS 'login_waits_cleared';

ALTER TABLE one_time_tokens
    ADD COLUMN email      text, -- of an e-mail change: the address as typed, which the account gets
    ADD COLUMN session_id uuid, -- of an e-mail change: the session that asked for it, which goes on
    -- revoke_email_change: a newer link of the kind leaves it open, so that two changes in a row do not take the
    -- first owner's way back.
    ADD COLUMN is_lasting boolean NOT NULL DEFAULT false;
DROP INDEX one_time_tokens_open_key;
CREATE UNIQUE INDEX one_time_tokens_open_key ON one_time_tokens (user_id, purpose)
    WHERE used_at IS NULL AND superseded_at IS NULL AND NOT is_lasting;

ALTER TABLE mails ADD COLUMN recipient text; -- as typed, where it is not the account's present address

-- +goose Down
-- PostgreSQL cannot take values out of an enum, and audit rows that have them are never deleted: the values stay,
-- and the way up leaves out what is there. Links and mails that an older server could not handle go.
DELETE FROM mails WHERE recipient IS NOT NULL OR kind IN ('password_reset', 'password_changed', 'email_change',
    'email_change_notice', 'email_changed', 'email_change_attempt');
DELETE FROM one_time_tokens WHERE purpose IN ('reset_password', 'confirm_email_change', 'revoke_email_change');
DROP INDEX one_time_tokens_open_key;
CREATE UNIQUE INDEX one_time_tokens_open_key ON one_time_tokens (user_id, purpose)
    WHERE used_at IS NULL AND superseded_at IS NULL;
ALTER TABLE mails DROP COLUMN recipient;
ALTER TABLE one_time_tokens DROP COLUMN email, DROP COLUMN session_id, DROP COLUMN is_lasting;
