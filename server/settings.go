package server

import (
	"context"

	"usermanager/gen/api"
	"usermanager/server/secret"
)

// GetSettings tells a form the rules of this deployment before it asks anything.
func (s *Server) GetSettings(context.Context, api.GetSettingsRequestObject) (api.GetSettingsResponseObject, error) {
	registration := api.RegistrationModeClosed
	if s.RegistrationOpen {
		registration = api.RegistrationModeOpen
	}
	hasClasses := s.PasswordPolicy != secret.PolicyNIST
	return api.GetSettings200JSONResponse{
		ProductName:  s.Product.Name,
		Registration: registration,
		Password: api.PasswordRules{
			Policy: api.PasswordPolicy(s.PasswordPolicy), MinLength: secret.MinPasswordLength, MaxLength: secret.MaxPasswordLength,
			RequiresUppercase: hasClasses, RequiresLowercase: hasClasses, RequiresDigit: hasClasses, RequiresSpecial: hasClasses,
			SpecialCharacters: secret.SpecialCharacters,
		},
		Nickname:           api.NicknameRules{MinLength: minNickname, MaxLength: maxNickname, Pattern: nicknamePattern},
		Locales:            s.renderer.Locales(),
		AccessTokenSeconds: int32(s.AccessTTL.Seconds()),
	}, nil
}
