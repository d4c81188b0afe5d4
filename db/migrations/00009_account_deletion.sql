-- +goose Up
-- Accounts that their owners delete: they go on for a while, in which the owner can take it back.

ALTER TABLE users ADD COLUMN deletion_at timestamptz; -- when the owner wants it erased
CREATE INDEX users_deletion_at_idx ON users (deletion_at) WHERE deletion_at IS NOT NULL;

ALTER TYPE token_purpose ADD VALUE IF NOT EXISTS 'cancel_deletion';
ALTER TYPE mail_kind ADD VALUE IF NOT EXISTS 'deletion_scheduled';
ALTER TYPE mail_kind ADD VALUE IF NOT EXISTS 'deletion_cancelled';
ALTER TYPE audit_action ADD VALUE IF NOT EXISTS 'deletion_scheduled';
ALTER TYPE audit_action ADD VALUE IF NOT EXISTS 'deletion_cancelled';
ALTER TYPE audit_action ADD VALUE IF NOT EXISTS 'data_exported';

-- An administrator who is about to go is none to rely on.
DROP TRIGGER users_last_admin ON users;
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION users_keep_last_admin() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('users_last_admin', 0));
    IF NOT EXISTS (SELECT FROM users WHERE role = 'ADMIN' AND NOT is_locked AND deleted_at IS NULL AND deletion_at IS NULL) THEN
        RAISE EXCEPTION 'the last administrator cannot be demoted, locked or deleted'
            USING ERRCODE = 'check_violation', TABLE = 'users', CONSTRAINT = 'users_last_admin';
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE CONSTRAINT TRIGGER users_last_admin
    AFTER UPDATE ON users
    NOT DEFERRABLE
    FOR EACH ROW
    WHEN (OLD.role = 'ADMIN' AND NOT OLD.is_locked AND OLD.deleted_at IS NULL AND OLD.deletion_at IS NULL
        AND (NEW.role <> 'ADMIN' OR NEW.is_locked OR NEW.deleted_at IS NOT NULL OR NEW.deletion_at IS NOT NULL))
    EXECUTE FUNCTION users_keep_last_admin();

-- +goose Down
-- The values of the enums stay: PostgreSQL cannot take one back. Mails and links that an older server could not handle go.
DELETE FROM mails WHERE kind IN ('deletion_scheduled', 'deletion_cancelled');
DELETE FROM one_time_tokens WHERE purpose = 'cancel_deletion';
DROP TRIGGER users_last_admin ON users;
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION users_keep_last_admin() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('users_last_admin', 0));
    IF NOT EXISTS (SELECT FROM users WHERE role = 'ADMIN' AND NOT is_locked AND deleted_at IS NULL) THEN
        RAISE EXCEPTION 'the last administrator cannot be demoted, locked or deleted'
            USING ERRCODE = 'check_violation', TABLE = 'users', CONSTRAINT = 'users_last_admin';
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE CONSTRAINT TRIGGER users_last_admin
    AFTER UPDATE ON users
    NOT DEFERRABLE
    FOR EACH ROW
    WHEN (OLD.role = 'ADMIN' AND NOT OLD.is_locked AND OLD.deleted_at IS NULL
        AND (NEW.role <> 'ADMIN' OR NEW.is_locked OR NEW.deleted_at IS NOT NULL))
    EXECUTE FUNCTION users_keep_last_admin();
DROP INDEX users_deletion_at_idx;
ALTER TABLE users DROP COLUMN deletion_at;
