package main

import (
	"reflect"
	"regexp"
	"testing"
	"time"
	"unicode/utf8"

	"usermanager/db/dbtest"
	"usermanager/gen/query"
	"usermanager/server/mail"
)

func TestASeededUserIsTheSameEveryTime(t *testing.T) {
	t.Parallel()
	for _, number := range []int{1, 2, 17, 4711, maxSeed} {
		if first, second := seedUser(number), seedUser(number); !reflect.DeepEqual(first, second) {
			t.Errorf("user %d: %+v and %+v", number, first, second)
		}
	}
	// Written down once, so that a change of the mixture is a decision: databases would have both.
	if got, want := seedUser(1).id.String(), "019490ed-b0e0-7534-b9b7-4eb5b89819ec"; got != want {
		t.Errorf("user 1 has the id %s, want %s", got, want)
	}
}

func TestSeededUsersKeepTheRulesOfTheAPI(t *testing.T) {
	t.Parallel()
	nickname := regexp.MustCompile(`\A[A-Za-z0-9][A-Za-z0-9_-]{2,29}\z`)
	nicknames, emails, ids := map[string]int{}, map[string]int{}, map[string]int{}
	numbers := []int{maxSeed - 1, maxSeed, maxSeed - 9_999_992}
	for number := 1; number <= 5000; number++ {
		numbers = append(numbers, number+100)
	}
	for _, number := range numbers {
		u := seedUser(number)
		if !nickname.MatchString(u.nickname) || mail.CheckAddress(u.email) != nil {
			t.Errorf("user %d is %s <%s>", number, u.nickname, u.email)
		}
		if n := utf8.RuneCountInString(u.firstName); n < 1 || n > 100 || utf8.RuneCountInString(u.lastName) > 100 {
			t.Errorf("user %d is called %s %s", number, u.firstName, u.lastName)
		}
		if u.id.Version() != 7 || u.mailID != nil && (u.mailID.Version() != 7 || *u.mailID == u.id) {
			t.Errorf("user %d has the ids %s and %v", number, u.id, u.mailID)
		}
		for what, seen := range map[string]map[string]int{u.nickname: nicknames, u.email: emails, u.id.String(): ids} {
			if other, twice := seen[what]; twice {
				t.Errorf("users %d and %d are both %s", other, number, what)
			}
			seen[what] = number
		}
	}
}

func TestTheFirstTwentySeededUsersHaveEveryState(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	count := func(state string, has bool) {
		if has {
			seen[state]++
		} else {
			seen[state] += 0
		}
	}
	for number := 1; number <= 20; number++ {
		u := seedUser(number)
		count("ADMIN", u.rank == query.UserRoleADMIN)
		count("MANAGER", u.verified && u.rank == query.UserRoleMANAGER)
		count("AUTHENTICATED", u.verified && u.rank == query.UserRoleAUTHENTICATED)
		count("unproven address", !u.verified && *u.mailKind == "verify_email")
		count("invited", !u.verified && *u.mailKind == "invitation")
		count("invited manager", !u.verified && u.rank == query.UserRoleMANAGER)
		count("locked", u.lockReason != nil)
		count("professional", u.professional)
		count("name of 100 letters", utf8.RuneCountInString(u.firstName) == 100 && utf8.RuneCountInString(u.lastName) == 100)
		count("name beyond ASCII", utf8.RuneCountInString(u.lastName) != len(u.lastName))
		count("nickname of 30", len(u.nickname) == 30)
		count("never signed in", u.verified && u.lastLoginAt == nil)
		count("signed in", u.lastLoginAt != nil)
		count("biography", u.bio != nil)
	}
	for state, n := range seen {
		if n == 0 {
			t.Errorf("none of twenty: %s", state)
		}
	}
}

func TestSeedingAddsOnlyWhatIsMissing(t *testing.T) {
	t.Parallel()
	pool := dbtest.Pool(t)
	seed := func(n, want int) {
		t.Helper()
		if added, err := seedUsers(t.Context(), pool, n); err != nil || added != want {
			t.Errorf("seed %d added %d, want %d (error %v)", n, added, want, err)
		}
	}
	seed(0, 0)
	seed(30, 30)
	seed(30, 0)
	if _, err := pool.Exec(t.Context(), `UPDATE users SET first_name = 'Changed' WHERE email = 'user5@example.com'`); err != nil {
		t.Fatal(err)
	}
	seed(20, 0)
	seed(seedChunk+10, seedChunk-20)

	users := query.New(pool)
	changed, err := users.UserByEmail(t.Context(), "user5@example.com")
	if err != nil || changed.FirstName == nil || *changed.FirstName != "Changed" {
		t.Errorf("what somebody changed is now %+v, error %v", changed, err)
	}
	want := seedUser(7)
	got, err := users.UserByEmail(t.Context(), want.email)
	if err != nil || got.ID != want.id || got.Nickname != want.nickname || got.Role != want.rank || !got.CreatedAt.Equal(want.createdAt) {
		t.Errorf("user 7 is %+v, error %v", got, err)
	}

	for what, test := range map[string]struct {
		sql  string
		want int
	}{
		"verified accounts without a password":  {`SELECT count(*) FROM users WHERE email_verified AND NOT EXISTS (SELECT FROM passwords WHERE user_id = users.id)`, 0},
		"invited accounts with a password":      {`SELECT count(*) FROM mails JOIN passwords USING (user_id) WHERE kind = 'invitation'`, 0},
		"passwords that are not argon2id":       {`SELECT count(*) FROM passwords WHERE hash NOT LIKE '$argon2id$v=19$m=19456,t=2,p=1$%'`, 0},
		"accounts that wait without a mail":     {`SELECT count(*) FROM users WHERE NOT email_verified AND NOT EXISTS (SELECT FROM mails WHERE user_id = users.id)`, 0},
		"unproven accounts that have signed in": {`SELECT count(*) FROM users JOIN login_facts ON user_id = id WHERE NOT email_verified`, 0},
		"roles":                                 {`SELECT count(DISTINCT role) FROM users`, 4},
	} {
		var got int
		if err := pool.QueryRow(t.Context(), test.sql).Scan(&got); err != nil || got != test.want {
			t.Errorf("%s: %d, want %d (error %v)", what, got, test.want, err)
		}
	}
}

func TestTenThousandUsersTakeSeconds(t *testing.T) {
	t.Parallel()
	pool := dbtest.Pool(t)
	begun := time.Now()
	added, err := seedUsers(t.Context(), pool, 10_000)
	if err != nil || added != 10_000 {
		t.Fatalf("added %d, error %v", added, err)
	}
	if took := time.Since(begun); took > 20*time.Second { // two on an idle machine
		t.Errorf("it took %s", took)
	}
}

func TestSeedingStopsWithItsContextAndWithoutATable(t *testing.T) {
	t.Parallel()
	pool := dbtest.Pool(t)
	if _, err := pool.Exec(t.Context(), `ALTER TABLE login_facts RENAME TO elsewhere`); err != nil {
		t.Fatal(err)
	}
	if added, err := seedUsers(t.Context(), pool, 5); err == nil || added != 0 {
		t.Errorf("added %d, error %v", added, err)
	}
}
