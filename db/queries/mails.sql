-- name: MailCreate :one
INSERT INTO mails (id, user_id, kind, token_id, role, recipient)
VALUES (@id, @user_id, @kind, @token_id, @role, @recipient)
RETURNING *;

-- name: MailForSending :one
-- The mail with whom it is for. The token is there for the kinds that carry a link.
SELECT sqlc.embed(mails), sqlc.embed(users)
FROM mails
JOIN users ON users.id = mails.user_id
WHERE mails.id = @id AND users.deleted_at IS NULL;

-- name: MailSetState :exec
UPDATE mails SET state = @state, state_at = now() WHERE id = @id;

-- name: MailEraseOld :execrows
DELETE FROM mails WHERE created_at < now() - interval '90 days';
