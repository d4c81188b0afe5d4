-- What is stored about one account, newest first. The bound is that of the contract.

-- name: ExportFacts :one
SELECT login_facts.last_login_at, coalesce(login_facts.login_count, 0)::bigint AS login_count, passwords.changed_at AS password_changed_at
FROM users
LEFT JOIN login_facts ON login_facts.user_id = users.id
LEFT JOIN passwords ON passwords.user_id = users.id
WHERE users.id = @user_id;

-- name: ExportSessions :many
SELECT id, created_at, last_seen_at, ended_at, address, user_agent, device_name
FROM sessions
WHERE user_id = @user_id
ORDER BY id DESC
LIMIT 10000;

-- name: ExportMails :many
SELECT kind, state, state_at FROM mails WHERE user_id = @user_id ORDER BY id DESC LIMIT 10000;

-- name: ExportEvents :many
SELECT action, at, actor_id, address FROM audit WHERE subject_id = @user_id ORDER BY id DESC LIMIT 10000;
