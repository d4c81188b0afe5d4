package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"usermanager/gen/query"
	"usermanager/server"
)

// devPassword opens every account that dev makes. It is why dev listens on this machine only.
const devPassword = "Secure*1234"

// devAccount is an account that every dev has.
type devAccount struct {
	name, email string
	role        query.UserRole
}

func devAccounts() []devAccount {
	return []devAccount{
		{"admin", "admin@example.com", query.UserRoleADMIN},
		{"manager", "manager@example.com", query.UserRoleMANAGER},
		{"user", "user@example.com", query.UserRoleAUTHENTICATED},
	}
}

// makeDevAccounts makes those that are missing; the others stay as they are, changed or not.
func makeDevAccounts(ctx context.Context, srv *server.Server, pool *pgxpool.Pool) error {
	users := query.New(pool)
	for _, account := range devAccounts() {
		_, err := users.UserByEmail(ctx, account.email)
		if err == nil {
			continue
		}
		if errors.Is(err, pgx.ErrNoRows) {
			_, err = srv.CreateAccount(ctx, server.NewAccount{
				Email: account.email, Nickname: "dev_" + account.name, Password: devPassword,
				FirstName: strings.ToUpper(account.name[:1]) + account.name[1:], LastName: "Example",
				Role: account.role, EmailVerified: true,
			})
		}
		if err != nil {
			return fmt.Errorf("make the account %s: %w", account.email, err)
		}
	}
	return nil
}
