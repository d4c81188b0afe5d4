package server

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

const (
	minNickname = 3
	maxNickname = 30
	// of the contract: what is longer is malformed anyway, and its answer repeats no more than this.
	maxNicknameAsked = 255
	nicknamePattern  = `^[A-Za-z0-9][A-Za-z0-9_-]*$`
	suggestions      = 3
)

// \z and not $: a $ would let a line break through.
var nicknameForm = regexp.MustCompile(`\A[A-Za-z0-9][A-Za-z0-9_-]*\z`)

// reservedNicknames could pose as the service, or as one of its paths.
var reservedNicknames = []string{
	"admin", "administrator", "anonymous", "api", "authenticated", "docs", "everyone", "help", "info", "login", "logout",
	"mail", "manager", "me", "moderator", "nobody", "null", "official", "owner", "postmaster", "register", "root",
	"security", "self", "server", "settings", "staff", "support", "sysadmin", "system", "undefined", "user", "users",
	"webmaster",
}

// CheckNickname says whether a nickname is free, for a form that asks while somebody types. Being free is no
// promise: the unique index decides.
func (s *Server) CheckNickname(ctx context.Context, req api.CheckNicknameRequestObject) (api.CheckNicknameResponseObject, error) {
	asked := []rune(strings.ToValidUTF8(req.Nickname, "\uFFFD"))
	answer := api.NicknameAvailability{Nickname: string(asked[:min(len(asked), maxNicknameAsked)]), Suggestions: []string{}}
	switch checkNickname(req.Nickname) {
	case "":
		taken, err := s.query.NicknamesTaken(ctx, []string{strings.ToLower(req.Nickname)})
		if err != nil {
			return nil, fmt.Errorf("look nickname up: %w", err)
		}
		answer.Available, answer.Reason = len(taken) == 0, api.NicknameReasonFree
		if !answer.Available {
			answer.Reason = api.NicknameReasonTaken
			if answer.Suggestions, err = s.suggestNicknames(ctx, req.Nickname); err != nil {
				return nil, err
			}
		}
	case api.FieldCodeReserved:
		answer.Reason = api.NicknameReasonReserved
	default:
		answer.Reason = api.NicknameReasonMalformed
	}
	return api.CheckNickname200JSONResponse(answer), nil
}

// checkNickname returns the code of the rule that a nickname does not meet, or "".
func checkNickname(nickname string) api.FieldCode {
	if len(nickname) < minNickname || len(nickname) > maxNickname || !nicknameForm.MatchString(nickname) {
		return api.FieldCodeInvalidNickname
	}
	if slices.Contains(reservedNicknames, strings.ToLower(nickname)) {
		return api.FieldCodeReserved
	}
	return ""
}

// suggestNicknames returns three free ones that are like the wanted one. Of a popular name most short numbers
// may be gone; then long ones follow.
func (s *Server) suggestNicknames(ctx context.Context, wanted string) ([]string, error) {
	base := nicknameBase(wanted, maxNickname-len("_999999"))
	free := []string{}
	for _, numbers := range []int{10_000, 1_000_000} {
		var candidates, lower []string
		for range 4 * suggestions {
			n, err := randomBelow(numbers)
			if err != nil {
				return nil, err
			}
			candidate := fmt.Sprintf("%s_%d", base, n)
			candidates, lower = append(candidates, candidate), append(lower, strings.ToLower(candidate))
		}
		taken, err := s.query.NicknamesTaken(ctx, lower)
		if err != nil {
			return nil, fmt.Errorf("look nicknames up: %w", err)
		}
		for _, candidate := range candidates {
			if !slices.Contains(taken, strings.ToLower(candidate)) && !slices.Contains(free, candidate) {
				free = append(free, candidate)
			}
			if len(free) == suggestions {
				return free, nil
			}
		}
	}
	return free, nil
}

// nicknameBase keeps what may begin a nickname. A wanted one may be imported and follow no rule.
func nicknameBase(wanted string, length int) string {
	base := strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && nicknameForm.MatchString("x"+string(r)) {
			return r
		}
		return -1
	}, wanted)
	base = strings.TrimLeft(base, "_-")
	if base == "" {
		base = "user"
	}
	return base[:min(len(base), length)]
}

// generateNickname makes one of 4 * 10^9 names, such as brave_otter_482913.
func generateNickname() (string, error) {
	adjective, err := randomBelow(len(adjectives))
	if err != nil {
		return "", err
	}
	animal, err := randomBelow(len(animals))
	if err != nil {
		return "", err
	}
	number, err := randomBelow(1_000_000)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s_%s_%06d", adjectives[adjective], animals[animal], number), nil
}

func randomBelow(n int) (int, error) {
	i, err := rand.Int(rand.Reader, big.NewInt(int64(n)))
	if err != nil {
		return 0, fmt.Errorf("random number: %w", err)
	}
	return int(i.Int64()), nil
}

const nicknameTries = 10 // with 4 * 10^9 names, ten collisions in a row do not happen

// createUser inserts an account. A nickname of the caller's choice is kept or refused; an empty one is generated,
// and a generated one that is taken is tried again on the constraint.
func createUser(ctx context.Context, q *query.Queries, params query.UserCreateParams) (query.User, error) {
	if params.Nickname != "" {
		return q.UserCreate(ctx, params)
	}
	for try := 1; ; try++ {
		nickname, err := generateNickname()
		if err != nil {
			return query.User{}, err
		}
		params.Nickname = nickname
		user, err := q.UserCreate(ctx, params)
		if err == nil || !isNoRows(err) {
			return user, err
		}
		if try == nicknameTries { // not the caller's fault, so not errors.Is(err, pgx.ErrNoRows)
			return query.User{}, fmt.Errorf("generate nickname: %d taken in a row", try)
		}
	}
}

var adjectives = strings.Fields(`able agile amber ample azure bold brave brief bright brisk calm civil clean clear
	clever coral crisp daring eager early fair fast fleet fond frank fresh gentle giant glad golden grand great happy
	hardy humble jolly keen kind light lively loyal lucid lucky mellow merry mild modest noble proud quick quiet rapid
	ready royal silver smart solid sunny swift tidy vivid warm`)

var animals = strings.Fields(`badger bear beaver bison bobcat camel caribou cheetah condor cougar coyote crane crow
	deer dolphin dove eagle egret elk falcon ferret finch fox gazelle gecko goose hare hawk heron horse ibex ibis jaguar
	kestrel koala lark lemur leopard lion llama lynx marten mole moose newt ocelot orca osprey otter owl panda panther
	puffin puma rabbit raven robin salmon seal swan tiger toucan walrus wolf`)
