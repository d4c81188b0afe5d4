-- +goose Up
-- Signing in: keys, sessions, what a login leaves behind, and the waits that failures bring.

-- One row whose check value says whether the server was started with the SECRET_KEY of this database.
CREATE TABLE secret_key_check (
    only_row boolean PRIMARY KEY DEFAULT true,
    value    text NOT NULL,
    CONSTRAINT secret_key_check_only_row CHECK (only_row)
);

CREATE TYPE signing_key_state AS ENUM ('next', 'current', 'retired');

CREATE TABLE signing_keys (
    kid        text PRIMARY KEY,
    state      signing_key_state NOT NULL,
    sealed     bytea NOT NULL, -- the private key, encrypted under SECRET_KEY
    created_at timestamptz NOT NULL DEFAULT now()
);
-- Two servers that start at once on an empty database agree on one key.
CREATE UNIQUE INDEX signing_keys_current_key ON signing_keys (state) WHERE state = 'current';

CREATE TABLE sessions (
    id           uuid PRIMARY KEY, -- UUIDv7, the token's sid
    user_id      uuid NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(), -- moves at most every five minutes
    expires_at   timestamptz NOT NULL,
    ended_at     timestamptz,
    address      inet,
    user_agent   text NOT NULL DEFAULT '',
    CONSTRAINT sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT sessions_user_agent_length CHECK (char_length(user_agent) <= 255)
);
CREATE INDEX sessions_user_id_idx ON sessions (user_id) WHERE ended_at IS NULL;
CREATE INDEX sessions_expires_at_idx ON sessions (expires_at);

-- What every login writes, apart from users so that indexed profile rows stay still.
CREATE TABLE login_facts (
    user_id       uuid PRIMARY KEY,
    last_login_at timestamptz NOT NULL,
    login_count   bigint NOT NULL DEFAULT 1,
    CONSTRAINT login_facts_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);

-- Failed logins. address_key is a keyed hash of the canonical e-mail, so addresses without an account count
-- alike and a dump names nobody. source is the client's address (IPv6: its /64).
--   (address, source)  the wait of one source against one address
--   (address, '')      all sources that never succeeded, against one address
--   ('', source)       one source, against all addresses
CREATE TABLE login_failures (
    address_key     bytea NOT NULL,
    source          text NOT NULL,
    failures        integer NOT NULL DEFAULT 0,
    window_started_at timestamptz NOT NULL DEFAULT now(),
    last_failed_at  timestamptz NOT NULL DEFAULT now(),
    wait_until      timestamptz,
    succeeded_at    timestamptz, -- the last success, of a (address, source) only
    CONSTRAINT login_failures_pkey PRIMARY KEY (address_key, source)
);
CREATE INDEX login_failures_last_failed_at_idx ON login_failures (last_failed_at);

-- Bounded attempts that are not logins: registrations, mails for an address, wrong tokens.
CREATE TABLE rate_counters (
    purpose     text NOT NULL,
    subject     bytea NOT NULL, -- keyed hash of an address or a source
    window_ends_at timestamptz NOT NULL,
    count       integer NOT NULL DEFAULT 1,
    CONSTRAINT rate_counters_pkey PRIMARY KEY (purpose, subject)
);
CREATE INDEX rate_counters_window_ends_at_idx ON rate_counters (window_ends_at);

-- +goose Down
DROP TABLE rate_counters;
DROP TABLE login_failures;
DROP TABLE login_facts;
DROP TABLE sessions;
DROP TABLE signing_keys;
DROP TYPE signing_key_state;
DROP TABLE secret_key_check;
