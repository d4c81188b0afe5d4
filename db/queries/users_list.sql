-- name: UserList :many
-- A page, newest first, after the cursor or after some skipped ones.
SELECT sqlc.embed(users), login_facts.last_login_at, can_manage(sqlc.arg(actor_role), role_when_verified) AS manageable,
    coalesce(last_mail.kind::text, 'none')::text AS mail_kind,
    coalesce(last_mail.state::text, 'none')::text AS mail_state,
    last_mail.state_at AS mail_at
FROM users
LEFT JOIN login_facts ON login_facts.user_id = users.id
LEFT JOIN mails AS last_mail ON last_mail.id = (SELECT m.id FROM mails AS m WHERE m.user_id = users.id ORDER BY m.id DESC LIMIT 1)
WHERE users.deleted_at IS NULL
    AND (sqlc.narg(email_canonical)::text IS NULL OR users.email_canonical = sqlc.narg(email_canonical))
    AND (sqlc.narg(nickname)::text IS NULL OR lower(users.nickname) = lower(sqlc.narg(nickname)))
    AND (sqlc.narg(role)::user_role IS NULL OR users.role = sqlc.narg(role))
    AND (sqlc.narg(is_locked)::boolean IS NULL OR users.is_locked = sqlc.narg(is_locked))
    AND (sqlc.narg(email_verified)::boolean IS NULL OR users.email_verified = sqlc.narg(email_verified))
    AND (sqlc.narg(is_professional)::boolean IS NULL OR users.is_professional = sqlc.narg(is_professional))
    AND (sqlc.narg(cursor_at)::timestamptz IS NULL
        OR (users.created_at, users.id) < (sqlc.narg(cursor_at)::timestamptz, sqlc.narg(cursor_id)::uuid))
ORDER BY users.created_at DESC, users.id DESC
LIMIT sqlc.arg(page_limit) OFFSET sqlc.arg(page_offset);

-- name: UserListBackward :many
-- The page before the cursor, oldest first: the caller turns it round.
SELECT sqlc.embed(users), login_facts.last_login_at, can_manage(sqlc.arg(actor_role), role_when_verified) AS manageable,
    coalesce(last_mail.kind::text, 'none')::text AS mail_kind,
    coalesce(last_mail.state::text, 'none')::text AS mail_state,
    last_mail.state_at AS mail_at
FROM users
LEFT JOIN login_facts ON login_facts.user_id = users.id
LEFT JOIN mails AS last_mail ON last_mail.id = (SELECT m.id FROM mails AS m WHERE m.user_id = users.id ORDER BY m.id DESC LIMIT 1)
WHERE users.deleted_at IS NULL
    AND (sqlc.narg(email_canonical)::text IS NULL OR users.email_canonical = sqlc.narg(email_canonical))
    AND (sqlc.narg(nickname)::text IS NULL OR lower(users.nickname) = lower(sqlc.narg(nickname)))
    AND (sqlc.narg(role)::user_role IS NULL OR users.role = sqlc.narg(role))
    AND (sqlc.narg(is_locked)::boolean IS NULL OR users.is_locked = sqlc.narg(is_locked))
    AND (sqlc.narg(email_verified)::boolean IS NULL OR users.email_verified = sqlc.narg(email_verified))
    AND (sqlc.narg(is_professional)::boolean IS NULL OR users.is_professional = sqlc.narg(is_professional))
    AND (users.created_at, users.id) > (sqlc.arg(cursor_at)::timestamptz, sqlc.arg(cursor_id)::uuid)
ORDER BY users.created_at, users.id
LIMIT sqlc.arg(page_limit);

-- name: UserCount :one
-- Stops counting one above the bound, so that no page ever counts a big table.
SELECT count(*) FROM (
    SELECT FROM users
    WHERE deleted_at IS NULL
        AND (sqlc.narg(email_canonical)::text IS NULL OR email_canonical = sqlc.narg(email_canonical))
        AND (sqlc.narg(nickname)::text IS NULL OR lower(nickname) = lower(sqlc.narg(nickname)))
        AND (sqlc.narg(role)::user_role IS NULL OR role = sqlc.narg(role))
        AND (sqlc.narg(is_locked)::boolean IS NULL OR is_locked = sqlc.narg(is_locked))
        AND (sqlc.narg(email_verified)::boolean IS NULL OR email_verified = sqlc.narg(email_verified))
        AND (sqlc.narg(is_professional)::boolean IS NULL OR is_professional = sqlc.narg(is_professional))
    LIMIT sqlc.arg(bound)::integer + 1
) AS bounded;
