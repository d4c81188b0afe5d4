package server

import (
	"strings"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

// link leads to an operation, whose rel, path and method are those of openapi.yaml.
func (s *Server) link(operationID, userID string) api.Link {
	return s.linkTo(operationID, "{user_id}", userID)
}

// linkTo is link with every parameter of the path, each followed by its value.
func (s *Server) linkTo(operationID string, parameters ...string) api.Link {
	op := s.contract.byID[operationID]
	return api.Link{
		Rel: api.Rel(op.rel), Href: s.absolute(strings.NewReplacer(parameters...).Replace(op.path), nil), Method: api.LinkMethod(op.method),
		OperationID: op.id,
	}
}

// permits says whether a role has every scope that an operation asks for.
func (s *Server) permits(role query.UserRole, operationID string) bool {
	return s.contract.roleHas(role, s.contract.byID[operationID].scopes...)
}

// profileLinks are what the owner may do: nothing before the address is proven.
func (s *Server) profileLinks(user query.User) []api.Link {
	links := []api.Link{}
	for _, id := range []string{"getOwnProfile", "updateOwnProfile", "listOwnSessions", "listUsers"} {
		if s.permits(user.Role, id) {
			links = append(links, s.link(id, ""))
		}
	}
	return links
}

// userLinks are what this caller may do with a user now: the scopes of the contract, the rank that SQL found,
// and what would change something.
func (s *Server) userLinks(actor *actor, user query.User, isManageable, isWaiting bool) []api.Link {
	isSelf := actor.ID == user.ID
	offers := []struct {
		operationID string
		isOffered   bool
	}{
		{"getUser", true},
		{"updateUser", isManageable},
		{"deleteUser", isManageable && !isSelf},
		{"upgradeUser", isManageable && !user.IsProfessional},
		{"downgradeUser", isManageable && user.IsProfessional},
		{"setUserRole", isManageable && !isSelf},
		{"lockUser", isManageable && !isSelf && !user.IsLocked},
		{"unlockUser", isManageable && (user.IsLocked || isWaiting)}, // it also ends the waits after failed sign-ins
		{"listUserSessions", isManageable},
		{"resendInvitation", isManageable && !user.EmailVerified},
	}
	links := []api.Link{}
	for _, offer := range offers {
		if offer.isOffered && s.permits(actor.Role, offer.operationID) {
			links = append(links, s.link(offer.operationID, user.ID.String()))
		}
	}
	return links
}
