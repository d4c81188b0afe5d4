-- +goose Up
-- Mailed tokens, the mails themselves, and the record of who did what.

CREATE TYPE token_purpose AS ENUM ('verify_email', 'invitation');

-- A mailed token proves the address it was sent to. It is derived from SECRET_KEY and this row; only its
-- hash is kept, so neither a dump nor a job opens an account.
CREATE TABLE one_time_tokens (
    id            uuid PRIMARY KEY, -- UUIDv7
    user_id       uuid NOT NULL,
    purpose       token_purpose NOT NULL,
    address       text NOT NULL, -- canonical e-mail, part of the token's MAC
    hash          bytea NOT NULL,
    client        text NOT NULL DEFAULT '', -- which set of LINK_* templates the request picked
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL, -- three days at first, moved to first delivery + time to live
    delivered_at  timestamptz,
    superseded_at timestamptz,
    used_at       timestamptz,
    CONSTRAINT one_time_tokens_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
-- A newer link kills the older one: at most one is open for a user and purpose.
CREATE UNIQUE INDEX one_time_tokens_open_key ON one_time_tokens (user_id, purpose)
    WHERE used_at IS NULL AND superseded_at IS NULL;
CREATE INDEX one_time_tokens_expires_at_idx ON one_time_tokens (expires_at);

CREATE TYPE mail_kind AS ENUM ('verify_email', 'invitation', 'registration_attempt', 'upgraded', 'role_changed',
    'locked', 'unlocked', 'sign_in_failures');
CREATE TYPE mail_state AS ENUM ('queued', 'retrying', 'sent', 'skipped', 'failed');

-- A mail to a user: the job carries only its id, and its state answers "did she get it?".
CREATE TABLE mails (
    id         uuid PRIMARY KEY, -- UUIDv7, the Message-ID's left side
    user_id    uuid NOT NULL,
    kind       mail_kind NOT NULL,
    token_id   uuid,      -- verify_email and invitation
    role       user_role, -- role_changed: the new one
    state      mail_state NOT NULL DEFAULT 'queued',
    created_at timestamptz NOT NULL DEFAULT now(),
    state_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT mails_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT mails_token_id_fkey FOREIGN KEY (token_id) REFERENCES one_time_tokens (id) ON DELETE SET NULL
);
CREATE INDEX mails_user_id_idx ON mails (user_id, id DESC);
CREATE INDEX mails_token_id_idx ON mails (token_id) WHERE token_id IS NOT NULL;

CREATE TYPE audit_action AS ENUM ('user_registered', 'user_created', 'email_verified', 'invitation_sent',
    'invitation_accepted', 'verification_sent', 'login_succeeded', 'login_refused', 'login_throttled',
    'profile_updated', 'user_updated', 'email_corrected', 'user_deleted', 'user_restored', 'user_erased',
    'user_upgraded', 'user_downgraded', 'role_changed', 'user_locked', 'user_unlocked', 'permission_denied');

-- Who did what to whom. Rows outlive the accounts they speak of, so nothing here references users.
CREATE TABLE audit (
    id         uuid PRIMARY KEY, -- UUIDv7
    at         timestamptz NOT NULL DEFAULT now(),
    action     audit_action NOT NULL,
    actor_id   uuid,  -- null: nobody was signed in, or the command line
    subject_id uuid,  -- null: no account, such as a login with an unknown address
    old        jsonb,
    new        jsonb,
    request_id text NOT NULL DEFAULT '',
    address    inet
);
CREATE INDEX audit_subject_id_idx ON audit (subject_id, id DESC);
CREATE INDEX audit_actor_id_idx ON audit (actor_id, id DESC);

-- +goose StatementBegin
CREATE FUNCTION audit_append_only() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit rows are never changed' USING ERRCODE = 'insufficient_privilege';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION audit_append_only();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only();

-- +goose Down
DROP TABLE audit;
DROP FUNCTION audit_append_only;
DROP TYPE audit_action;
DROP TABLE mails;
DROP TYPE mail_state;
DROP TYPE mail_kind;
DROP TABLE one_time_tokens;
DROP TYPE token_purpose;
