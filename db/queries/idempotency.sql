-- name: IdempotencyKeyClaim :one
-- Whether nobody else works on this request. The claim ends with the transaction, also when its server dies.
SELECT pg_try_advisory_xact_lock(hashtextextended(encode(@key_hash::bytea, 'hex'), 0));

-- name: IdempotencyKeyFind :one
SELECT * FROM idempotency_keys WHERE key_hash = @key_hash AND expires_at > now();

-- name: IdempotencyKeyKeep :execrows
-- An expired row gives way, whether or not the clean-up ran. No row: there is a valid one, which cannot be while the
-- caller holds the claim and found none.
INSERT INTO idempotency_keys AS k (key_hash, body_hash, user_id, status, header, body, expires_at)
VALUES (@key_hash, @body_hash, @user_id, @status, @header, @body, now() + make_interval(secs => @ttl_seconds::float8))
ON CONFLICT (key_hash) DO UPDATE SET
    body_hash = excluded.body_hash, user_id = excluded.user_id, status = excluded.status,
    header = excluded.header, body = excluded.body, expires_at = excluded.expires_at
WHERE k.expires_at <= now();

-- name: IdempotencyKeyEraseOld :execrows
DELETE FROM idempotency_keys WHERE expires_at < now();
