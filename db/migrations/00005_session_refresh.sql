-- +goose Up
-- Sessions that go on: the refresh token is derived from the row and a counter, so a row holds nothing that opens it.

CREATE TYPE session_method AS ENUM ('password', 'command_line');

ALTER TABLE sessions
    -- Part of each refresh token's MAC. It is not secret; random bits of a UUID are enough to make rows differ.
    ADD COLUMN salt uuid NOT NULL DEFAULT gen_random_uuid(),
    ADD COLUMN refresh_counter bigint NOT NULL DEFAULT 0, -- of the newest refresh token
    ADD COLUMN refreshed_at timestamptz,                  -- when it was made of its predecessor
    ADD COLUMN previous_refreshed_at timestamptz,         -- when that was made of its own
    ADD COLUMN idle_seconds double precision NOT NULL DEFAULT 86400, -- how long it may rest
    ADD COLUMN idle_expires_at timestamptz NOT NULL DEFAULT 'infinity', -- moves at each refresh, up to expires_at
    ADD COLUMN device_name text,
    ADD COLUMN is_remembered boolean NOT NULL DEFAULT false,
    ADD COLUMN authenticated_by session_method NOT NULL DEFAULT 'password',
    ADD CONSTRAINT sessions_device_name_length CHECK (char_length(device_name) <= 100);

ALTER TYPE mail_kind ADD VALUE IF NOT EXISTS 'session_replayed';
ALTER TYPE audit_action ADD VALUE IF NOT EXISTS 'session_ended';
ALTER TYPE audit_action ADD VALUE IF NOT EXISTS 'session_replayed';

-- +goose Down
-- The values of the enums stay: PostgreSQL cannot take one back. Mails that an older server could not write go.
DELETE FROM mails WHERE kind = 'session_replayed';
ALTER TABLE sessions
    DROP COLUMN salt, DROP COLUMN refresh_counter, DROP COLUMN refreshed_at, DROP COLUMN previous_refreshed_at,
    DROP COLUMN idle_seconds, DROP COLUMN idle_expires_at, DROP COLUMN device_name, DROP COLUMN is_remembered,
    DROP COLUMN authenticated_by;
DROP TYPE session_method;
