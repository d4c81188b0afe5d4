-- +goose Up
-- Signing keys follow one another: a next one is published, takes over, and is accepted for a while after the
-- one that follows it has.

ALTER TABLE signing_keys ADD COLUMN signs_from timestamptz; -- of a next key: when it is to take over
UPDATE signing_keys SET signs_from = created_at;
ALTER TABLE signing_keys ALTER COLUMN signs_from SET DEFAULT now(), ALTER COLUMN signs_from SET NOT NULL;

ALTER TABLE signing_keys ADD COLUMN leaves_at timestamptz; -- from then on its tokens are refused
UPDATE signing_keys SET leaves_at = now() + interval '20 minutes' WHERE state = 'retired';
ALTER TABLE signing_keys ADD CONSTRAINT signing_keys_leaves_at_of_retired
    CHECK ((state = 'retired') = (leaves_at IS NOT NULL));

-- A schedule and an operator who rotate at once begin one rotation.
CREATE UNIQUE INDEX signing_keys_next_key ON signing_keys (state) WHERE state = 'next';

-- When everything was last sealed anew: what was handed out before may still need the previous SECRET_KEY.
ALTER TABLE secret_key_check ADD COLUMN changed_at timestamptz NOT NULL DEFAULT now();

ALTER TYPE audit_action ADD VALUE IF NOT EXISTS 'signing_key_published';
ALTER TYPE audit_action ADD VALUE IF NOT EXISTS 'signing_key_took_over';
ALTER TYPE audit_action ADD VALUE IF NOT EXISTS 'signing_key_retired';
ALTER TYPE audit_action ADD VALUE IF NOT EXISTS 'secret_key_rewrapped';

-- +goose Down
-- The audit actions stay: PostgreSQL cannot take a value out of an enum, and audit rows may have them.
ALTER TABLE secret_key_check DROP COLUMN changed_at;
DROP INDEX signing_keys_next_key;
ALTER TABLE signing_keys DROP CONSTRAINT signing_keys_leaves_at_of_retired;
ALTER TABLE signing_keys DROP COLUMN leaves_at;
ALTER TABLE signing_keys DROP COLUMN signs_from;
