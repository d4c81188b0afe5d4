-- name: SecretKeyCheckCreate :exec
INSERT INTO secret_key_check (value) VALUES (@value) ON CONFLICT DO NOTHING;

-- name: SecretKeyCheckGet :one
SELECT value FROM secret_key_check;

-- name: SigningKeyCreate :exec
-- Another server may have made the current key already.
INSERT INTO signing_keys (kid, state, sealed) VALUES (@kid, @state, @sealed) ON CONFLICT DO NOTHING;

-- name: SigningKeyList :many
SELECT * FROM signing_keys ORDER BY created_at, kid;
