-- +goose Up
-- Answers that are given again when a request is repeated with its Idempotency-Key.

-- A row is written in the transaction of what it answers for. Key, caller and body are keyed hashes: a dump neither
-- says who sent what, nor lets anyone try passwords.
CREATE TABLE idempotency_keys (
    key_hash   bytea PRIMARY KEY, -- of operation, caller and key
    body_hash  bytea NOT NULL,
    user_id    uuid,              -- whom the answer is about; null: it says nothing of anybody
    status     integer NOT NULL,
    header     jsonb NOT NULL,    -- what the operation itself set, such as Location
    body       bytea NOT NULL,    -- byte for byte
    expires_at timestamptz NOT NULL,
    CONSTRAINT idempotency_keys_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX idempotency_keys_user_id_idx ON idempotency_keys (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX idempotency_keys_expires_at_idx ON idempotency_keys (expires_at);

-- +goose Down
DROP TABLE idempotency_keys;
