-- name: TokenCreate :one
-- Call TokenSupersede first, with the user's row held.
INSERT INTO one_time_tokens (id, user_id, purpose, address, hash, client, email, session_id, is_lasting, expires_at)
VALUES (@id, @user_id, @purpose, @address, @hash, @client, @email, @session_id, @is_lasting,
    now() + make_interval(secs => @undelivered_seconds::float8))
RETURNING *;

-- name: TokenSupersede :exec
UPDATE one_time_tokens SET superseded_at = now()
WHERE user_id = @user_id AND purpose = @purpose AND used_at IS NULL AND superseded_at IS NULL;

-- name: TokenSupersedeAllButLasting :exec
-- All but the links that undo an e-mail change: whoever took an account over cannot kill its owner's way back.
UPDATE one_time_tokens SET superseded_at = now()
WHERE user_id = @user_id AND NOT is_lasting AND used_at IS NULL AND superseded_at IS NULL;

-- name: TokenSupersedeNewer :exec
-- What was made after this one, by the one clock that all servers share.
UPDATE one_time_tokens SET superseded_at = now()
WHERE user_id = @user_id AND created_at > @created_at AND used_at IS NULL AND superseded_at IS NULL;

-- name: TokenSupersedeAll :exec
UPDATE one_time_tokens SET superseded_at = now()
WHERE user_id = @user_id AND used_at IS NULL AND superseded_at IS NULL;

-- name: TokenByID :one
SELECT *, (expires_at <= now())::boolean AS is_expired, coalesce(used_at > now() - interval '10 minutes', false)::boolean AS is_just_used
FROM one_time_tokens WHERE id = @id;

-- name: TokenNewestRevocation :one
-- The link that brings an address back, while it works.
SELECT id FROM one_time_tokens
WHERE user_id = @user_id AND purpose = 'revoke_email_change' AND address = @address
    AND used_at IS NULL AND superseded_at IS NULL AND expires_at > now()
ORDER BY id DESC LIMIT 1;

-- name: TokenConsume :one
-- Single use is this one statement. No row: expired, used or superseded meanwhile.
UPDATE one_time_tokens SET used_at = now()
WHERE id = @id AND used_at IS NULL AND superseded_at IS NULL AND expires_at > now()
RETURNING *;

-- name: TokenDeliver :exec
-- The time to live starts when the mail is first handed over, and ends three days after the token was made, or for
-- those that live as long after twice their time: an outage does not deliver dead invitations.
UPDATE one_time_tokens
SET delivered_at = now(),
    expires_at = least(now() + make_interval(secs => sqlc.arg(ttl_seconds)::float8), created_at + make_interval(secs => greatest(259200, 2 * sqlc.arg(ttl_seconds)::float8)))
WHERE id = sqlc.arg(id) AND delivered_at IS NULL;

-- name: TokenEraseOld :execrows
DELETE FROM one_time_tokens WHERE expires_at < now() - interval '30 days';

-- name: TokenOpen :many
SELECT * FROM one_time_tokens WHERE used_at IS NULL AND superseded_at IS NULL AND expires_at > now();
