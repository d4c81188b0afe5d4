-- +goose Up
-- Accounts: the profile, what staff decide about it, and the secret that proves it.
-- Every constraint and unique index has a name, because server/problem.go turns names into problem codes.

CREATE TYPE user_role AS ENUM ('ANONYMOUS', 'AUTHENTICATED', 'MANAGER', 'ADMIN'); -- in order of rank

CREATE TABLE users (
    id                             uuid PRIMARY KEY, -- UUIDv7, made by the server
    email                          text NOT NULL,    -- as typed, for display and for mail
    email_canonical                text NOT NULL,    -- what uniqueness and sign-in compare
    nickname                       text NOT NULL,
    first_name                     text,
    last_name                      text,
    bio                            text,
    preferred_language             text NOT NULL,    -- BCP 47
    profile_picture_url            text,
    linkedin_profile_url           text,
    github_profile_url             text,
    email_verified                 boolean NOT NULL DEFAULT false,
    role                           user_role NOT NULL DEFAULT 'ANONYMOUS',
    role_when_verified             user_role NOT NULL DEFAULT 'AUTHENTICATED', -- the rank: what the role is, or becomes
    is_professional                boolean NOT NULL DEFAULT false,
    professional_status_updated_at timestamptz,
    is_locked                      boolean NOT NULL DEFAULT false, -- an administrator's decision, never a counter's
    lock_reason                    text,
    version                        bigint NOT NULL DEFAULT 1,      -- moves with edits only
    created_at                     timestamptz NOT NULL DEFAULT now(),
    updated_at                     timestamptz NOT NULL DEFAULT now(),
    deleted_at                     timestamptz,
    CONSTRAINT users_email_length CHECK (char_length(email) <= 254),
    CONSTRAINT users_nickname_length CHECK (char_length(nickname) <= 50),
    CONSTRAINT users_first_name_length CHECK (char_length(first_name) <= 100),
    CONSTRAINT users_last_name_length CHECK (char_length(last_name) <= 100),
    CONSTRAINT users_bio_length CHECK (char_length(bio) <= 500),
    CONSTRAINT users_preferred_language_length CHECK (char_length(preferred_language) <= 50),
    CONSTRAINT users_profile_picture_url_length CHECK (char_length(profile_picture_url) <= 255),
    CONSTRAINT users_linkedin_profile_url_length CHECK (char_length(linkedin_profile_url) <= 255),
    CONSTRAINT users_github_profile_url_length CHECK (char_length(github_profile_url) <= 255),
    CONSTRAINT users_lock_reason_length CHECK (char_length(lock_reason) <= 500),
    CONSTRAINT users_lock_reason_of_locked CHECK (is_locked OR lock_reason IS NULL),
    -- An unverified account is ANONYMOUS and a verified one is what staff gave it: nothing else can be stored.
    CONSTRAINT users_role_follows_verification
        CHECK (role = CASE WHEN email_verified THEN role_when_verified ELSE 'ANONYMOUS'::user_role END),
    CONSTRAINT users_role_when_verified_granted CHECK (role_when_verified <> 'ANONYMOUS')
);

-- A deleted account frees its e-mail and nickname at once.
CREATE UNIQUE INDEX users_email_key ON users (email_canonical) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX users_nickname_key ON users (lower(nickname)) WHERE deleted_at IS NULL;
-- Newest first, both ways: the row comparison of the list's cursor.
CREATE INDEX users_created_at_id_idx ON users (created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX users_deleted_at_idx ON users (deleted_at) WHERE deleted_at IS NOT NULL;
-- The filters that match few of many; the others are found while walking the list.
CREATE INDEX users_staff_idx ON users (role, created_at DESC, id DESC)
    WHERE deleted_at IS NULL AND role IN ('MANAGER', 'ADMIN');
CREATE INDEX users_locked_idx ON users (created_at DESC, id DESC) WHERE deleted_at IS NULL AND is_locked;

-- +goose StatementBegin
-- can_manage is the one rule of rank: administrators manage everyone, managers whoever ranks below
-- them. rank is a user's role_when_verified, so that an invited manager is one to other managers already.
CREATE FUNCTION can_manage(actor_role user_role, target_rank user_role) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN actor_role = 'ADMIN' OR (actor_role = 'MANAGER' AND target_rank < 'MANAGER');
-- +goose StatementEnd

-- +goose StatementBegin
-- The last administrator who can sign in stays one. The lock makes two who demote each other take turns;
-- each statement of a volatile function sees what was committed before it, so the second one counts right.
CREATE FUNCTION users_keep_last_admin() RETURNS trigger
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

-- One password for one user, apart from the profile so that no profile query can carry a hash.
CREATE TABLE passwords (
    user_id    uuid PRIMARY KEY,
    hash       text NOT NULL, -- PHC string
    changed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT passwords_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);

-- +goose Down
DROP TABLE passwords;
DROP TRIGGER users_last_admin ON users;
DROP FUNCTION users_keep_last_admin;
DROP TABLE users;
DROP FUNCTION can_manage(user_role, user_role);
DROP TYPE user_role;
