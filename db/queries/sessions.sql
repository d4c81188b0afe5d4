-- name: SessionCreate :one
INSERT INTO sessions (id, user_id, expires_at, idle_seconds, idle_expires_at, is_remembered, address, user_agent, device_name, authenticated_by)
VALUES (@id, @user_id, now() + make_interval(secs => @max_seconds::float8), @idle_seconds,
    now() + make_interval(secs => least(@idle_seconds, @max_seconds)::float8),
    @is_remembered, @address, @user_agent, sqlc.narg(device_name), @authenticated_by)
RETURNING *;

-- name: SessionEndOldest :exec
-- The caller holds the user's row, so that sessions that open at once count each other.
UPDATE sessions SET ended_at = now()
WHERE id IN (
    SELECT s.id FROM sessions AS s
    WHERE s.user_id = @user_id AND s.ended_at IS NULL AND least(s.expires_at, s.idle_expires_at) > now()
    ORDER BY s.created_at DESC, s.id DESC
    OFFSET @keep::integer
);

-- name: SessionActor :one
-- The one query of an authenticated request: the session, and who may still use it.
SELECT sqlc.embed(users), sessions.last_seen_at
FROM sessions
JOIN users ON users.id = sessions.user_id
WHERE sessions.id = @id AND sessions.ended_at IS NULL AND least(sessions.expires_at, sessions.idle_expires_at) > now()
    AND users.deleted_at IS NULL AND NOT users.is_locked AND users.email_verified;

-- name: SessionTouch :exec
UPDATE sessions SET last_seen_at = now() WHERE id = @id AND last_seen_at < now() - interval '5 minutes';

-- name: SessionByID :one
-- What proves a refresh token, whatever the session's state.
SELECT sqlc.embed(sessions), (users.email_verified AND NOT users.is_locked AND users.deleted_at IS NULL AND sessions.ended_at IS NULL
    AND least(sessions.expires_at, sessions.idle_expires_at) > now())::boolean AS is_alive
FROM sessions
JOIN users ON users.id = sessions.user_id
WHERE sessions.id = @id;

-- name: SessionRefresh :one
-- Takes the newest refresh token and makes its successor, or for a while answers the same successor again: to the
-- holder of its predecessor, for as long as the successor was not used, and to whom it came a moment before that.
-- No row for any other token, nor for a session that may not go on.
UPDATE sessions SET
    refresh_counter = greatest(refresh_counter, sqlc.arg(counter)::bigint + 1),
    previous_refreshed_at = CASE WHEN refresh_counter = sqlc.arg(counter) THEN refreshed_at ELSE previous_refreshed_at END,
    refreshed_at = CASE WHEN refresh_counter = sqlc.arg(counter) THEN now() ELSE refreshed_at END,
    last_seen_at = now(),
    idle_expires_at = least(expires_at, now() + make_interval(secs => idle_seconds)),
    address = @address, user_agent = @user_agent
FROM users
WHERE sessions.id = @id AND users.id = sessions.user_id
    AND sessions.ended_at IS NULL AND least(sessions.expires_at, sessions.idle_expires_at) > now()
    AND users.deleted_at IS NULL AND NOT users.is_locked AND users.email_verified
    AND (refresh_counter = sqlc.arg(counter)
        OR refresh_counter = sqlc.arg(counter) + 1 AND refreshed_at > now() - make_interval(secs => @grace_seconds::float8)
        OR refresh_counter = sqlc.arg(counter) + 2 AND previous_refreshed_at > now() - make_interval(secs => @tabs_seconds::float8))
RETURNING sqlc.embed(users), sessions.idle_expires_at;

-- name: SessionList :many
SELECT * FROM sessions
WHERE user_id = @user_id AND ended_at IS NULL AND least(expires_at, idle_expires_at) > now()
ORDER BY created_at DESC, id DESC;

-- name: SessionEnd :one
-- Ending one that has ended is no error. No row when the user never had it.
UPDATE sessions SET ended_at = coalesce(ended_at, now()) WHERE id = @id AND user_id = @user_id
RETURNING (ended_at = now())::boolean AS is_news;

-- name: SessionEndOthers :execrows
UPDATE sessions SET ended_at = now() WHERE user_id = @user_id AND id <> @id AND ended_at IS NULL;

-- name: SessionEndAll :execrows
UPDATE sessions SET ended_at = now() WHERE user_id = @user_id AND ended_at IS NULL;

-- name: SessionEraseOld :execrows
DELETE FROM sessions
WHERE least(expires_at, idle_expires_at, coalesce(ended_at, 'infinity')) < now() - make_interval(secs => @older_than_seconds::float8);
