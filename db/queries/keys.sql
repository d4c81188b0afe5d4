-- name: SecretKeyCheckCreate :exec
INSERT INTO secret_key_check (value) VALUES (@value) ON CONFLICT DO NOTHING;

-- name: SecretKeyCheckGet :one
SELECT * FROM secret_key_check;

-- name: SecretKeyCheckSet :one
UPDATE secret_key_check SET value = @value, changed_at = now() RETURNING *;

-- name: SigningKeyLock :exec
-- Whoever changes the keys takes turns: each statement afterwards sees what the one before did.
SELECT pg_advisory_xact_lock(hashtextextended('signing_keys', 0));

-- name: SigningKeyCreate :execrows
-- None where another server has made the current key, or the next one, already.
INSERT INTO signing_keys (kid, state, sealed, signs_from)
VALUES (@kid, @state, @sealed, clock_timestamp() + make_interval(secs => @lead_seconds::float8))
ON CONFLICT DO NOTHING;

-- name: SigningKeyList :many
-- In the order in which they sign. A key whose time is over counts for nothing, whether it has been erased or not.
SELECT * FROM signing_keys WHERE leaves_at IS NULL OR leaves_at > now() ORDER BY signs_from, created_at, kid;

-- name: SigningKeyDue :one
-- What is to be done by now. A rotation begins so early that the next key takes over on time.
SELECT
    EXISTS (SELECT FROM signing_keys WHERE leaves_at <= now()) AS leaving,
    EXISTS (SELECT FROM signing_keys WHERE state = 'next' AND signs_from <= now()) AS taking_over,
    (sqlc.arg(rotation_seconds)::float8 > 0
        AND NOT EXISTS (SELECT FROM signing_keys WHERE state = 'next')
        AND EXISTS (
            SELECT FROM signing_keys
            WHERE state = 'current' AND signs_from + make_interval(secs => sqlc.arg(rotation_seconds)::float8 - sqlc.arg(lead_seconds)::float8) <= now()
        ))::boolean AS rotating;

-- name: SigningKeyStop :one
-- The current key signs no more. Call SigningKeyStart in the same transaction.
UPDATE signing_keys SET state = 'retired', leaves_at = clock_timestamp() + make_interval(secs => @retire_seconds::float8)
WHERE state = 'current'
RETURNING *;

-- name: SigningKeyStart :one
-- No row when there is no next key.
UPDATE signing_keys SET state = 'current', signs_from = clock_timestamp() WHERE state = 'next' RETURNING *;

-- name: SigningKeyErase :many
DELETE FROM signing_keys WHERE leaves_at <= now() RETURNING *;

-- name: SigningKeyDelete :one
DELETE FROM signing_keys WHERE kid = @kid RETURNING *;

-- name: SigningKeySeal :exec
UPDATE signing_keys SET sealed = @sealed WHERE kid = @kid;

-- name: SessionsBefore :one
-- Live sessions whose newest refresh token was made before, and when the last of those tokens expires.
SELECT count(*)::integer AS count, coalesce(max(least(expires_at, idle_expires_at)), 'epoch')::timestamptz AS until
FROM sessions
WHERE ended_at IS NULL AND least(expires_at, idle_expires_at) > now() AND coalesce(refreshed_at, created_at) < @before::timestamptz;
