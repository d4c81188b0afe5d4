package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"usermanagerclient/generated"
)

// newPassword is the new user's after they have forgotten the first one.
const newPassword = "Compiler*1952"

// sessions signs the new user in on two devices, ends one of them from the other, forgets the password, sets another
// one, and signs out.
func (j journey) sessions(ctx context.Context, anyone *usermanager.ClientWithResponses, nickname string) error {
	laptop, err := signIn(ctx, anyone, nickname, userPassword, "Laptop")
	if err != nil {
		return fmt.Errorf("sign in on the laptop: %w", err)
	}
	phone, err := signIn(ctx, anyone, nickname, userPassword, "Phone")
	if err != nil {
		return fmt.Errorf("sign in on the phone: %w", err)
	}
	if phone, err = j.stay(ctx, anyone, phone); err != nil {
		return fmt.Errorf("refresh: %w", err)
	}
	if err := j.endPhone(ctx, laptop, phone); err != nil {
		return fmt.Errorf("end the phone's session: %w", err)
	}
	if err := j.forget(ctx, anyone); err != nil {
		return fmt.Errorf("forget the password: %w", err)
	}
	if err := j.isRefused(ctx, laptop); err != nil {
		return fmt.Errorf("the session from before the new password: %w", err)
	}
	laptop, err = signIn(ctx, anyone, j.email, newPassword, "Laptop")
	if err != nil {
		return fmt.Errorf("sign in with the new password: %w", err)
	}
	if err := signOut(ctx, anyone, laptop); err != nil {
		return fmt.Errorf("sign out: %w", err)
	}
	return nil
}

// signIn takes the nickname as well as the address.
func signIn(ctx context.Context, anyone *usermanager.ClientWithResponses, identifier, password, device string) (*usermanager.TokenResponse, error) {
	got, err := anyone.CreateSessionWithResponse(ctx, usermanager.CreateSessionJSONRequestBody{
		Identifier: identifier,
		Password:   password,
		DeviceName: &device,
	})
	if err != nil {
		return nil, err
	}
	if got.JSON201 == nil {
		return nil, unexpected(got.HTTPResponse, got.Body)
	}
	fmt.Println("signed in on the", device)
	return got.JSON201, nil
}

func refresh(ctx context.Context, anyone *usermanager.ClientWithResponses, tokens *usermanager.TokenResponse) (*usermanager.RefreshSessionHTTPResponse, error) {
	token, err := tokens.RefreshToken.Get()
	if err != nil {
		return nil, fmt.Errorf("no refresh token was answered: %w", err)
	}
	return anyone.RefreshSessionWithResponse(ctx, usermanager.RefreshSessionJSONRequestBody{RefreshToken: &token})
}

// stay gets the next tokens, and uses the access token.
func (j journey) stay(ctx context.Context, anyone *usermanager.ClientWithResponses, tokens *usermanager.TokenResponse) (*usermanager.TokenResponse, error) {
	got, err := refresh(ctx, anyone, tokens)
	if err != nil {
		return nil, err
	}
	next := got.JSON200
	if next == nil {
		return nil, unexpected(got.HTTPResponse, got.Body)
	}
	if next.RefreshToken.MustGet() == tokens.RefreshToken.MustGet() {
		return nil, errors.New("the refresh token has no successor")
	}
	user, err := j.as(next)
	if err != nil {
		return nil, err
	}
	profile, err := user.GetOwnProfileWithResponse(ctx)
	if err != nil {
		return nil, err
	}
	if profile.JSON200 == nil || profile.JSON200.Email != j.email {
		return nil, unexpected(profile.HTTPResponse, profile.Body)
	}
	fmt.Println("refreshed; the next access token works")
	return next, nil
}

// endPhone looks at the sessions from the laptop and ends the newest.
func (j journey) endPhone(ctx context.Context, laptop, phone *usermanager.TokenResponse) error {
	user, err := j.as(laptop)
	if err != nil {
		return err
	}
	got, err := user.ListOwnSessionsWithResponse(ctx)
	if err != nil {
		return err
	}
	if got.JSON200 == nil || len(got.JSON200.Items) < 2 {
		return unexpected(got.HTTPResponse, got.Body)
	}
	newest, own := got.JSON200.Items[0], got.JSON200.Items[1]
	if newest.DeviceName.MustGet() != "Phone" || newest.IsCurrent || own.DeviceName.MustGet() != "Laptop" || !own.IsCurrent {
		return unexpected(got.HTTPResponse, got.Body)
	}
	ended, err := user.EndOwnSessionWithResponse(ctx, newest.ID)
	if err != nil {
		return err
	}
	if ended.StatusCode() != http.StatusNoContent {
		return unexpected(ended.HTTPResponse, ended.Body)
	}
	return j.isRefused(ctx, phone)
}

// isRefused is nil when the session of these tokens has ended.
func (j journey) isRefused(ctx context.Context, tokens *usermanager.TokenResponse) error {
	user, err := j.as(tokens)
	if err != nil {
		return err
	}
	got, err := user.GetOwnProfileWithResponse(ctx)
	if err != nil {
		return err
	}
	problem := got.ApplicationProblemJSON401
	if problem == nil || problem.Code != usermanager.ProblemCodeInvalidAccessToken {
		return unexpected(got.HTTPResponse, got.Body)
	}
	fmt.Println("the ended session is refused:", advice(problem.Code))
	return nil
}

// forget sets another password by the mailed link.
func (j journey) forget(ctx context.Context, anyone *usermanager.ClientWithResponses) error {
	asked, err := anyone.ForgotPasswordWithResponse(ctx, usermanager.ForgotPasswordJSONRequestBody{Email: j.email})
	if err != nil {
		return err
	}
	if asked.JSON202 == nil {
		return unexpected(asked.HTTPResponse, asked.Body)
	}
	token, err := j.mailedToken(ctx, j.baseURL+"/password/reset/")
	if err != nil {
		return err
	}
	set, err := anyone.ResetPasswordWithResponse(ctx, usermanager.ResetPasswordJSONRequestBody{Token: token, Password: newPassword})
	if err != nil {
		return err
	}
	if set.StatusCode() != http.StatusNoContent {
		return unexpected(set.HTTPResponse, set.Body)
	}
	fmt.Println("set a new password by the mailed link")
	return nil
}

// signOut ends the session of a refresh token, which is worth nothing afterwards.
func signOut(ctx context.Context, anyone *usermanager.ClientWithResponses, tokens *usermanager.TokenResponse) error {
	out, err := anyone.LogoutWithResponse(ctx, usermanager.LogoutJSONRequestBody{RefreshToken: new(tokens.RefreshToken.MustGet())})
	if err != nil {
		return err
	}
	if out.StatusCode() != http.StatusNoContent {
		return unexpected(out.HTTPResponse, out.Body)
	}
	refused, err := refresh(ctx, anyone, tokens)
	if err != nil {
		return err
	}
	problem := refused.ApplicationProblemJSON401
	if problem == nil || problem.Code != usermanager.ProblemCodeInvalidRefreshToken {
		return unexpected(refused.HTTPResponse, refused.Body)
	}
	if got := advice(problem.Code); got != signInAgain {
		return fmt.Errorf("the advice is %q", got)
	}
	fmt.Println("signed out; the refresh token is refused:", advice(problem.Code))
	return nil
}
