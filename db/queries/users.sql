-- name: UserCreate :one
-- No row when the nickname is taken: the caller decides whether that is an error or another try.
INSERT INTO users (id, email, email_canonical, nickname, first_name, last_name, bio, preferred_language,
    profile_picture_url, linkedin_profile_url, github_profile_url, role_when_verified)
VALUES (@id, @email, @email_canonical, @nickname, @first_name, @last_name, @bio, @preferred_language,
    @profile_picture_url, @linkedin_profile_url, @github_profile_url, @role_when_verified)
ON CONFLICT (lower(nickname)) WHERE deleted_at IS NULL DO NOTHING
RETURNING *;

-- name: UserByEmail :one
SELECT * FROM users WHERE email_canonical = @email_canonical AND deleted_at IS NULL;

-- name: UserLock :one
-- The row, held until the transaction ends.
SELECT * FROM users WHERE id = @id AND deleted_at IS NULL FOR NO KEY UPDATE;

-- name: UserTarget :one
-- Whom a member of staff is about to change, held until the transaction ends.
SELECT sqlc.embed(users), can_manage(@actor_role, role_when_verified) AS manageable
FROM users
WHERE id = @id AND deleted_at IS NULL
FOR NO KEY UPDATE;

-- name: UserTargetDeleted :one
-- Like UserTarget, for an account that may be deleted.
SELECT sqlc.embed(users), can_manage(@actor_role, role_when_verified) AS manageable
FROM users
WHERE id = @id
FOR NO KEY UPDATE;

-- name: UserStaffView :one
SELECT sqlc.embed(users), login_facts.last_login_at, can_manage(@actor_role, role_when_verified) AS manageable,
    coalesce(last_mail.kind::text, 'none')::text AS mail_kind,
    coalesce(last_mail.state::text, 'none')::text AS mail_state,
    last_mail.state_at AS mail_at
FROM users
LEFT JOIN login_facts ON login_facts.user_id = users.id
LEFT JOIN mails AS last_mail ON last_mail.id = (SELECT m.id FROM mails AS m WHERE m.user_id = users.id ORDER BY m.id DESC LIMIT 1)
WHERE users.id = @id AND users.deleted_at IS NULL;

-- name: UserUpdateProfile :one
UPDATE users
SET nickname = @nickname, first_name = @first_name, last_name = @last_name, bio = @bio,
    preferred_language = @preferred_language, profile_picture_url = @profile_picture_url,
    linkedin_profile_url = @linkedin_profile_url, github_profile_url = @github_profile_url,
    version = version + 1, updated_at = now()
WHERE id = @id
RETURNING *;

-- name: UserCorrectEmail :one
-- The account is unverified until the new address is proven; it keeps its rank. Another spelling is no new address.
UPDATE users
SET email = @email, email_canonical = @email_canonical, email_verified = email_verified AND email_canonical = @email_canonical,
    role = CASE WHEN email_canonical = @email_canonical THEN role ELSE 'ANONYMOUS' END,
    version = version + 1, updated_at = now()
WHERE id = @id
RETURNING *;

-- name: UserVerify :one
-- Only the address that the token was mailed to is proven.
UPDATE users
SET email_verified = true, role = role_when_verified, version = version + 1, updated_at = now()
WHERE id = @id AND email_canonical = @email_canonical AND deleted_at IS NULL
RETURNING *;

-- name: UserSetProfessional :one
UPDATE users
SET is_professional = @is_professional, professional_status_updated_at = now(), version = version + 1, updated_at = now()
WHERE id = @id
RETURNING *;

-- name: UserSetRole :one
UPDATE users
SET role_when_verified = @role, role = CASE WHEN email_verified THEN @role ELSE 'ANONYMOUS'::user_role END,
    version = version + 1, updated_at = now()
WHERE id = @id
RETURNING *;

-- name: UserSetLock :one
UPDATE users
SET is_locked = @is_locked, lock_reason = @lock_reason, version = version + 1, updated_at = now()
WHERE id = @id
RETURNING *;

-- name: UserDelete :exec
UPDATE users SET deleted_at = now(), version = version + 1, updated_at = now() WHERE id = @id;

-- name: UserRestore :one
UPDATE users SET deleted_at = NULL, version = version + 1, updated_at = now() WHERE id = @id RETURNING *;

-- name: UserEraseDeleted :many
-- What was deleted longer ago than users may be restored.
DELETE FROM users WHERE deleted_at < now() - make_interval(secs => @older_than_seconds::float8) RETURNING id;

-- name: UserTaken :one
-- Which of the two belongs to someone else; for the answer after the database refused one.
SELECT
    EXISTS (SELECT FROM users AS u WHERE u.email_canonical = @email_canonical AND u.deleted_at IS NULL AND u.id <> @id) AS email,
    EXISTS (SELECT FROM users AS u WHERE lower(u.nickname) = lower(@nickname) AND u.deleted_at IS NULL AND u.id <> @id) AS nickname;

-- name: NicknamesTaken :many
SELECT lower(nickname)::text FROM users WHERE lower(nickname) = ANY(@nicknames::text[]) AND deleted_at IS NULL;

-- name: AdminExists :one
SELECT EXISTS (SELECT FROM users WHERE role_when_verified = 'ADMIN' AND deleted_at IS NULL);

-- name: AdminBootstrapLock :exec
-- Servers that start together make one administrator.
SELECT pg_advisory_xact_lock(hashtextextended('admin_bootstrap', 0));

-- name: UserAddressByNickname :one
SELECT email_canonical FROM users WHERE lower(nickname) = lower(@nickname) AND deleted_at IS NULL;
