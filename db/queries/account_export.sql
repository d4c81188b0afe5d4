-- What is stored about one account, newest first. The bound is that of the contract.

-- name: ExportFacts :one
SELECT login_facts.last_login_at, coalesce(login_facts.login_count, 0)::bigint AS login_count, passwords.changed_at AS password_changed_at,
    (SELECT t.email FROM one_time_tokens AS t WHERE t.user_id = users.id AND t.purpose = 'confirm_email_change'
        AND t.used_at IS NULL AND t.superseded_at IS NULL AND t.expires_at > now()) AS pending_email
FROM users
LEFT JOIN login_facts ON login_facts.user_id = users.id
LEFT JOIN passwords ON passwords.user_id = users.id
WHERE users.id = @user_id;

-- name: ExportSessions :many
SELECT id, created_at, last_seen_at, idle_expires_at, ended_at, address, user_agent, device_name, is_remembered, authenticated_by
FROM sessions
WHERE user_id = @user_id
ORDER BY id DESC
LIMIT 10000;

-- name: ExportMails :many
-- Without the mails to an address that is not theirs yet: whether there is one would tell whose it is.
SELECT kind, state, state_at FROM mails WHERE user_id = @user_id AND kind <> 'email_change' ORDER BY id DESC LIMIT 10000;

-- name: ExportEvents :many
SELECT action, at, actor_id, address FROM audit WHERE subject_id = @user_id ORDER BY id DESC LIMIT 10000;
