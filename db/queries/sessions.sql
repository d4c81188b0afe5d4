-- name: SessionCreate :one
INSERT INTO sessions (id, user_id, expires_at, address, user_agent)
VALUES (@id, @user_id, now() + make_interval(secs => @ttl_seconds::float8), @address, @user_agent)
RETURNING *;

-- name: SessionActor :one
-- The one query of an authenticated request: the session, and who may still use it.
SELECT sqlc.embed(users), sessions.last_seen_at
FROM sessions
JOIN users ON users.id = sessions.user_id
WHERE sessions.id = @id AND sessions.ended_at IS NULL AND sessions.expires_at > now()
    AND users.deleted_at IS NULL AND NOT users.is_locked AND users.email_verified;

-- name: SessionTouch :exec
UPDATE sessions SET last_seen_at = now() WHERE id = @id AND last_seen_at < now() - interval '5 minutes';

-- name: SessionEndAll :exec
UPDATE sessions SET ended_at = now() WHERE user_id = @user_id AND ended_at IS NULL;

-- name: SessionEndOthers :exec
UPDATE sessions SET ended_at = now() WHERE user_id = @user_id AND id <> @id AND ended_at IS NULL;

-- name: SessionEraseOld :execrows
DELETE FROM sessions WHERE expires_at < now() - make_interval(secs => @older_than_seconds::float8);
