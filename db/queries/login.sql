-- name: PasswordSet :exec
INSERT INTO passwords (user_id, hash) VALUES (@user_id, @hash)
ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash, changed_at = now();

-- name: PasswordReplace :execrows
-- Compare-and-set for the owner's own change: whoever reset or upgraded it in the meantime is not overwritten.
UPDATE passwords SET hash = @new_hash, changed_at = now() WHERE user_id = @user_id AND hash = @old_hash;

-- name: PasswordUpgrade :exec
-- Compare-and-set: a password changed in the meantime stays.
UPDATE passwords SET hash = @new_hash WHERE user_id = @user_id AND hash = @old_hash;

-- name: LoginAccount :one
-- An invited account has no password yet.
SELECT sqlc.embed(users), coalesce(passwords.hash, '')::text AS hash, coalesce(passwords.changed_at, 'epoch')::timestamptz AS password_set_at
FROM users
LEFT JOIN passwords ON passwords.user_id = users.id
WHERE users.email_canonical = @email_canonical AND users.deleted_at IS NULL;

-- name: PasswordSetAt :one
-- Storing the same password under newer parameters does not move it.
SELECT changed_at FROM passwords WHERE user_id = @user_id;

-- name: LoginFactRecord :exec
INSERT INTO login_facts AS f (user_id, last_login_at) VALUES (@user_id, now())
ON CONFLICT (user_id) DO UPDATE SET last_login_at = now(), login_count = f.login_count + 1;

-- name: LoginFailureReserve :one
-- Counts an attempt before it is evaluated, so that attempts at once cannot outrun the limit. From the
-- max_failures-th on, the attempt also begins the next wait: 1, 2, 4, 8, then 15 times the first one.
-- No row while a wait lasts.
INSERT INTO login_failures AS f (address_key, source, failures, wait_until)
VALUES (sqlc.arg(address_key), sqlc.arg(source), 1, CASE WHEN sqlc.arg(max_failures)::integer <= 1 THEN now() + make_interval(secs => sqlc.arg(wait_seconds)::float8) END)
ON CONFLICT (address_key, source) DO UPDATE SET
    failures = CASE WHEN f.window_started_at <= now() - make_interval(secs => sqlc.arg(window_seconds)::float8) THEN 1 ELSE f.failures + 1 END,
    window_started_at = CASE WHEN f.window_started_at <= now() - make_interval(secs => sqlc.arg(window_seconds)) THEN now() ELSE f.window_started_at END,
    last_failed_at = now(),
    wait_until = CASE
        WHEN f.window_started_at <= now() - make_interval(secs => sqlc.arg(window_seconds)) THEN
            CASE WHEN sqlc.arg(max_failures) <= 1 THEN now() + make_interval(secs => sqlc.arg(wait_seconds)) END
        WHEN f.failures + 1 >= sqlc.arg(max_failures) THEN
            now() + make_interval(secs => sqlc.arg(wait_seconds) * least(power(2, least(f.failures + 1 - sqlc.arg(max_failures), 4)), 15))
    END
WHERE f.wait_until IS NULL OR f.wait_until <= now()
RETURNING failures, wait_until, succeeded_at;

-- name: LoginFailureWait :one
SELECT coalesce(wait_until, now())::timestamptz AS wait_until FROM login_failures WHERE address_key = @address_key AND source = @source;

-- name: LoginFailureClear :exec
-- A success: this source is known for this address from now on.
UPDATE login_failures SET failures = 0, wait_until = NULL, succeeded_at = now()
WHERE address_key = @address_key AND source = @source;

-- name: LoginFailureRelease :exec
-- The reserved attempt was not a failure, or was never evaluated.
UPDATE login_failures SET failures = greatest(failures - 1, 0), wait_until = NULL
WHERE address_key = @address_key AND source = @source;

-- name: LoginFailureEndWaits :execrows
UPDATE login_failures SET failures = 0, wait_until = NULL
WHERE address_key = @address_key AND (failures > 0 OR wait_until IS NOT NULL);

-- name: LoginFailureForget :exec
-- Also which sources knew a password that is void.
DELETE FROM login_failures WHERE address_key = @address_key;

-- name: LoginFailureSummary :many
-- For staff: failures that count, and the longest wait, of each address.
SELECT address_key, coalesce(sum(failures) FILTER (WHERE source <> ''), 0)::integer AS failures,
    coalesce(max(wait_until), 'epoch')::timestamptz AS wait_until
FROM login_failures
WHERE address_key = ANY(@address_keys::bytea[]) AND (failures > 0)
GROUP BY address_key;

-- name: LoginFailureEraseOld :execrows
DELETE FROM login_failures
WHERE last_failed_at < now() - interval '2 days'
    AND (succeeded_at IS NULL OR succeeded_at < now() - interval '90 days');

-- name: RateCount :one
-- Counts one more, and says how many there are in this window.
INSERT INTO rate_counters AS c (purpose, subject, window_ends_at)
VALUES (@purpose, @subject, now() + make_interval(secs => @window_seconds::float8))
ON CONFLICT (purpose, subject) DO UPDATE SET
    count = CASE WHEN c.window_ends_at <= now() THEN 1 ELSE c.count + 1 END,
    window_ends_at = CASE WHEN c.window_ends_at <= now() THEN excluded.window_ends_at ELSE c.window_ends_at END
RETURNING count, window_ends_at;

-- name: RateEraseOld :execrows
DELETE FROM rate_counters WHERE window_ends_at < now();
