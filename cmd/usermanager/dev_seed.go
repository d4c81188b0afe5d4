package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"usermanager/gen/query"
	"usermanager/server/secret"
)

const (
	maxSeed   = 10_000_000
	seedChunk = 2_000 // users in one statement, far below its time-out
)

// seedUsers makes the users 1 to n that are missing and says how many those were. User i is the same in every
// database: state, names, address, id. One that exists stays as somebody changed it. All share devPassword, and
// even its hash, because hashing is slow on purpose.
func seedUsers(ctx context.Context, pool *pgxpool.Pool, n int) (added int, err error) {
	if n == 0 {
		return 0, nil
	}
	hasher, err := secret.NewHasher(secret.HasherOptions{})
	if err != nil {
		return 0, fmt.Errorf("seed users: %w", err)
	}
	hash, err := hasher.Hash(ctx, devPassword)
	if err != nil {
		return 0, fmt.Errorf("seed users: %w", err)
	}
	for first := 1; first <= n; first += seedChunk {
		count, err := seedRange(ctx, pool, first, min(first+seedChunk-1, n), hash)
		if err != nil {
			return added, fmt.Errorf("seed users: %w", err)
		}
		added += count
	}
	return added, nil
}

// seedRange copies into a table of its own first, because COPY alone cannot leave out what exists.
func seedRange(ctx context.Context, pool *pgxpool.Pool, first, last int, hash string) (added int, err error) {
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			CREATE TEMPORARY TABLE seeded (
				id uuid, email text, nickname text, first_name text, last_name text, bio text,
				preferred_language text, linkedin_profile_url text, github_profile_url text,
				email_verified boolean, rank text, is_professional boolean, lock_reason text,
				created_at timestamptz, last_login_at timestamptz, mail_id uuid, mail_kind text
			) ON COMMIT DROP`)
		if err != nil {
			return err
		}
		_, err = tx.CopyFrom(ctx, pgx.Identifier{"seeded"}, []string{
			"id", "email", "nickname", "first_name", "last_name", "bio",
			"preferred_language", "linkedin_profile_url", "github_profile_url",
			"email_verified", "rank", "is_professional", "lock_reason",
			"created_at", "last_login_at", "mail_id", "mail_kind",
		}, pgx.CopyFromSlice(last-first+1, func(i int) ([]any, error) {
			u := seedUser(first + i)
			return []any{
				u.id, u.email, u.nickname, u.firstName, u.lastName, u.bio,
				u.language, u.linkedin, u.github,
				u.verified, string(u.rank), u.professional, u.lockReason,
				u.createdAt, u.lastLoginAt, u.mailID, u.mailKind,
			}, nil
		}))
		if err != nil {
			return err
		}
		return tx.QueryRow(ctx, `
			WITH added AS (
				INSERT INTO users (id, email, email_canonical, nickname, first_name, last_name, bio, preferred_language,
					linkedin_profile_url, github_profile_url, email_verified, role, role_when_verified,
					is_professional, professional_status_updated_at, is_locked, lock_reason, created_at, updated_at)
				SELECT id, email, lower(email), nickname, first_name, last_name, bio, preferred_language,
					linkedin_profile_url, github_profile_url, email_verified,
					(CASE WHEN email_verified THEN rank ELSE 'ANONYMOUS' END)::user_role, rank::user_role,
					is_professional, CASE WHEN is_professional THEN created_at END,
					lock_reason IS NOT NULL, lock_reason, created_at, created_at
				FROM seeded
				ON CONFLICT DO NOTHING
				RETURNING id
			), made AS (
				SELECT seeded.* FROM seeded JOIN added USING (id)
			), with_password AS (
				INSERT INTO passwords (user_id, hash, changed_at)
				SELECT id, $1, created_at FROM made WHERE mail_kind IS DISTINCT FROM 'invitation'
			), with_login AS (
				INSERT INTO login_facts (user_id, last_login_at)
				SELECT id, last_login_at FROM made WHERE last_login_at IS NOT NULL
			), with_mail AS (
				INSERT INTO mails (id, user_id, kind, state, created_at, state_at)
				SELECT mail_id, id, mail_kind::mail_kind, 'sent', created_at, created_at
				FROM made WHERE mail_kind IS NOT NULL
			)
			SELECT count(*) FROM added`, hash).Scan(&added)
	})
	return added, err
}

// seededUser is a row of the table seeded; nil is NULL.
type seededUser struct {
	id                        uuid.UUID
	email, nickname, language string
	firstName, lastName       string
	bio, linkedin, github     *string
	verified, professional    bool
	rank                      query.UserRole
	lockReason                *string
	createdAt                 time.Time
	lastLoginAt               *time.Time
	mailID                    *uuid.UUID // the last mail, of accounts that wait for their owner
	mailKind                  *string
}

// seedUser is the user with this number, from 1. The first twenty have every state and every odd name between
// them. Nothing here is random, only mixed.
func seedUser(number int) seededUser {
	mix := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(number))) // #nosec G115 -- never negative
	pick := func(from []string, byteOfMix int) string { return from[int(mix[byteOfMix])%len(from)] }
	year := uint64(365 * 24 * time.Hour / time.Second)
	seconds := binary.BigEndian.Uint64(mix[8:]) % year
	u := seededUser{
		createdAt: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(seconds) * time.Second),
		email:     fmt.Sprintf("user%d@example.com", number),
		nickname:  fmt.Sprintf("%s_%s_%d", pick(seedColors(), 0), pick(seedAnimals(), 1), number),
		firstName: pick(seedFirstNames(), 2),
		lastName:  pick(seedLastNames(), 3),
		language:  pick([]string{"en", "en", "de", "fr", "es", "pt-BR", "ja", "ar"}, 4),
		verified:  true,
		rank:      query.UserRoleAUTHENTICATED,
	}
	u.id = timeOrderedID(u.createdAt, mix[16:])
	if number%3 == 0 {
		u.bio = new(fmt.Sprintf("Sample user number %d, who likes %ss.", number, pick(seedAnimals(), 5)))
	}
	u.setState(number, mix)
	u.setOddName(number)
	if u.verified && number%4 != 0 {
		u.lastLoginAt = new(u.createdAt.Add(time.Duration(mix[6]) * time.Hour))
	}
	return u
}

// setState gives the roles and states their shares.
func (u *seededUser) setState(number int, mix [32]byte) {
	if number%50 == 7 {
		u.rank = query.UserRoleADMIN
	}
	if number%20 == 3 {
		u.rank = query.UserRoleMANAGER
	}
	switch number % 10 {
	case 1: // registered, and has not proven the address
		u.verified, u.mailKind = false, new("verify_email")
	case 4:
		u.lockReason = new("Sample of a locked account.")
	case 5, 9:
		u.professional = true
		u.linkedin = new("https://www.linkedin.com/in/" + u.nickname)
		u.github = new("https://github.com/" + u.nickname)
	case 6: // invited, and has not set a password
		u.verified, u.mailKind = false, new("invitation")
		if number%20 == 6 {
			u.rank = query.UserRoleMANAGER
		}
	}
	if u.mailKind != nil {
		u.mailID = new(timeOrderedID(u.createdAt, mix[20:]))
	}
}

// setOddName lets a page show early what breaks it in production.
func (u *seededUser) setOddName(number int) {
	if number%13 == 2 { // as long as the column is
		u.firstName = strings.Repeat("Maximiliana ", 8) + "Anna"
		u.lastName = strings.Repeat("Wolfeschlegelstein", 5) + "hausenburg"
	}
	if number%11 == 8 { // 30 characters, as long as a nickname may be
		u.nickname = fmt.Sprintf("thirty_characters_long%08d", number)
	}
}

// timeOrderedID is a UUID of version 7 (RFC 9562, section 5.7) that is the same in every run.
func timeOrderedID(at time.Time, mix []byte) uuid.UUID {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:8], uint64(at.UnixMilli())<<16)
	copy(id[6:], mix[:10])
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	return id
}

func seedColors() []string {
	return strings.Fields("amber azure coral crimson golden green indigo ivory olive pearl silver violet")
}

func seedAnimals() []string {
	return strings.Fields("badger beaver crane dolphin falcon gecko heron lynx marten otter panda raven seal wolf")
}

func seedFirstNames() []string {
	return []string{
		"Ada", "Alan", "Barbara", "Edsger", "Grace", "Ken", "Margaret", "Radia", "Tim", "Zoë", "Łukasz", "José María",
		"Nguyễn", "Ольга", "Δημήτρης", "美咲", "지훈", "عمر", "दीपिका", "O’Neil", "Jean-Luc",
	}
}

func seedLastNames() []string {
	return []string{
		"Byron", "Hopper", "Liskov", "Dijkstra", "Hamilton", "Perlman", "Thompson", "Müller", "Åström", "Çelik",
		"García Márquez", "Dvořák", "Смирнова", "Παπαδόπουλος", "佐藤", "김", "الفارسي", "शर्मा", "D’Angelo", "de la Cruz",
	}
}
