package server_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

// answerTraps is about what comes back, and what is refused.
func answerTraps() []trap {
	return []trap{
		{"links arrive and say what this caller may do", linksArrive},
		{"time stamps and the professional status arrive", timesArrive},
		{"a registration is created and says where", func(t *testing.T, s *system) {
			got := s.call(http.MethodPost, "/register", "", trapRegistration(nil))
			var profile api.OwnProfile
			trapJSON(s, got, http.StatusCreated, &profile)
			if location := got.header.Get("Location"); location != s.url+"/users/"+profile.ID.String() {
				t.Errorf("Location is %q", location)
			}
		}},
		{"an edit into something that is taken is refused and changes nothing", takenOnEditIsRefused},
		{"an edit changes what is given, null clears, and nothing else happens", editChangesWhatIsGiven},
		{"an edit of something that changed meanwhile is refused", func(t *testing.T, s *system) { // Z-14
			user, manager, _ := trapStaff(s)
			read := s.call(http.MethodGet, trapPath(user, ""), manager.token, nil).header.Get("ETag")
			edit := func(name string, header ...string) response {
				return s.call(http.MethodPatch, trapPath(user, ""), manager.token, map[string]any{"first_name": name}, header...)
			}
			trapStatus(s, "first", edit("Ada", "If-Match", read), http.StatusOK)
			trapUntouched(s, user, func() {
				edit("Eve", "If-Match", read).problem(t, api.ProblemCodeVersionConflict)
				edit("Eve").problem(t, api.ProblemCodeVersionRequired)
			})
		}},
		{"text that is too long is refused by name", longTextIsRefused}, // I-04
		{"text that just fits is stored whole", func(t *testing.T, s *system) { // I-04
			bio, name := strings.Repeat("\U0001F600", 500), strings.Repeat("ä", 100)
			user := trapRegister(s, map[string]any{"bio": bio, "first_name": name, "nickname": strings.Repeat("n", 29) + "1"})
			if n := s.count("SELECT count(*) FROM users WHERE id = $1 AND bio = $2 AND first_name = $3", user.id, bio, name); n != 1 {
				t.Error("it was cut")
			}
		}},
		{"a trailing slash is accepted without a redirect", func(t *testing.T, s *system) {
			_, manager, _ := trapStaff(s)
			trapStatus(s, "register", s.call(http.MethodPost, "/register/", "", trapRegistration(nil)), http.StatusCreated)
			trapStatus(s, "list", s.call(http.MethodGet, "/users/?limit=1", manager.token, nil), http.StatusOK)
			trapStatus(s, "read", s.call(http.MethodGet, trapPath(manager, "/"), manager.token, nil), http.StatusOK)
		}},
		{"a method that does not exist says which do", func(t *testing.T, s *system) { // I-08: PUT was a partial update
			user, manager, _ := trapStaff(s)
			trapUntouched(s, user, func() {
				got := s.call(http.MethodPut, trapPath(user, ""), manager.token, map[string]any{"first_name": "Ada"}, "If-Match", "*")
				got.problem(t, api.ProblemCodeMethodNotAllowed)
				for _, method := range []string{"GET", "PATCH", "DELETE"} {
					if allow := got.header.Get("Allow"); !strings.Contains(allow, method) {
						t.Errorf("Allow is %q, want %s in it", allow, method)
					}
				}
			})
		}},
		{"everyone can read and edit their own profile", func(t *testing.T, s *system) {
			user, _, _ := trapStaff(s)
			var profile api.OwnProfile
			trapJSON(s, s.call(http.MethodPatch, "/users/me", user.token, map[string]any{"bio": "Mine."}), http.StatusOK, &profile)
			trapJSON(s, s.call(http.MethodGet, "/users/me", user.token, nil), http.StatusOK, &profile)
			if profile.ID != user.id || profile.Bio.MustGet() != "Mine." {
				t.Errorf("got %s with bio %v", profile.ID, profile.Bio)
			}
		}},
		{"a monitor can ask whether the service is well", func(t *testing.T, s *system) { // F-32
			for _, path := range []string{"/livez", "/readyz"} {
				trapStatus(s, path, s.call(http.MethodGet, path, "", nil), http.StatusOK)
			}
		}},
	}
}

func linksArrive(t *testing.T, s *system) {
	user, manager, admin := trapStaff(s)
	trapStatus(s, "upgrade", s.call(http.MethodPost, trapPath(user, "/upgrade"), manager.token, nil), http.StatusOK)
	for _, c := range []struct {
		reader, of account
		want       string
	}{
		{manager, user, "delete downgrade edit lock self sessions"},
		{manager, manager, "self"},
		{manager, admin, "self"},
		{admin, user, "delete downgrade edit lock role self sessions"},
		{admin, admin, "edit self sessions upgrade"},
	} {
		got := trapUser(s, c.reader, c.of.id)
		if rels := trapRels(got.Links); rels != c.want {
			t.Errorf("got links %q, want %q", rels, c.want)
		}
		for _, link := range got.Links {
			if link.Href == "" || !strings.HasPrefix(link.Href, s.url+"/users/"+c.of.id.String()) || link.Method == "" {
				t.Errorf("%s leads with %q to %q", link.Rel, link.Method, link.Href)
			}
		}
	}
	// A link is a promise: the manager's next request is the one that it describes.
	for _, link := range trapUser(s, manager, user.id).Links {
		if link.Rel == api.RelDowngrade {
			path := strings.TrimPrefix(link.Href, s.url)
			trapStatus(s, "follow", s.call(string(link.Method), path, manager.token, nil), http.StatusOK)
		}
	}
}

func timesArrive(t *testing.T, s *system) {
	user, manager, _ := trapStaff(s)
	for _, isProfessional := range []bool{false, true} {
		var own api.OwnProfile
		var list api.UserList
		trapJSON(s, s.call(http.MethodGet, "/users/me", user.token, nil), http.StatusOK, &own)
		trapJSON(s, s.call(http.MethodGet, "/users?email="+user.email, manager.token, nil), http.StatusOK, &list)
		if own.IsProfessional != isProfessional || len(list.Items) != 1 || list.Items[0].IsProfessional != isProfessional ||
			own.ProfessionalStatusUpdatedAt.IsNull() == isProfessional {
			t.Errorf("professional: own %t since %v, in the list %+v, want %t", own.IsProfessional, own.ProfessionalStatusUpdatedAt, list.Items, isProfessional)
		}
		for _, at := range []time.Time{own.CreatedAt, own.UpdatedAt, list.Items[0].CreatedAt, list.Items[0].UpdatedAt} {
			if _, offset := at.Zone(); time.Since(at).Abs() > time.Hour || offset != 0 { // I-25
				t.Errorf("a time stamp is %s, want about now in UTC", at)
			}
		}
		trapStatus(s, "upgrade", s.call(http.MethodPost, trapPath(user, "/upgrade"), manager.token, nil), http.StatusOK)
	}
}

func takenOnEditIsRefused(t *testing.T, s *system) {
	user, manager, _ := trapStaff(s)
	other := s.account(verifiedUser)
	trapUntouched(s, user, func() {
		for _, got := range []response{
			s.call(http.MethodPatch, "/users/me", user.token, map[string]any{"nickname": strings.ToUpper(other.nickname)}),
			s.call(http.MethodPatch, trapPath(user, ""), manager.token, map[string]any{"nickname": other.nickname, "bio": "x"}, "If-Match", "*"),
		} {
			if problem := got.problem(t, api.ProblemCodeNicknameTaken); len(problem.Suggestions) != 3 || got.status != http.StatusConflict {
				t.Errorf("got %d with suggestions %q", got.status, problem.Suggestions)
			}
		}
		got := s.call(http.MethodPatch, trapPath(user, ""), manager.token, map[string]any{"email": other.email, "bio": "x"}, "If-Match", "*")
		got.problem(t, api.ProblemCodeEmailTaken)
	})
}

func editChangesWhatIsGiven(t *testing.T, s *system) {
	user, _, _ := trapStaff(s)
	edit := func(body any) (profile api.OwnProfile) {
		trapJSON(s, s.call(http.MethodPatch, "/users/me", user.token, body), http.StatusOK, &profile)
		return profile
	}
	edit(map[string]any{"first_name": "Ada", "bio": "Writes."})
	got := edit(map[string]any{"last_name": "Lovelace", "bio": nil})
	if got.FirstName.MustGet() != "Ada" || got.LastName.MustGet() != "Lovelace" || !got.Bio.IsNull() || got.Nickname != user.nickname {
		t.Errorf("got %+v", got)
	}
	trapUntouched(s, user, func() {
		for body, want := range map[string]map[string][]api.FieldCode{
			`{}`:                       {"": {api.FieldCodeTooFewFields}},
			`{"nickname":null}`:        {"/nickname": {api.FieldCodeNullNotAllowed}},
			`{"email":"a@b.example"}`:  {"/email": {api.FieldCodeUnknownField}},
			`{"is_professional":true}`: {"/is_professional": {api.FieldCodeUnknownField}},
			`{"hashed_password":"x"}`:  {"/hashed_password": {api.FieldCodeUnknownField}},
			`{"Bio":"x","bi\u006f":1}`: {"/Bio": {api.FieldCodeUnknownField}, "/bio": {api.FieldCodeWrongType}},
		} {
			trapFields(s, s.call(http.MethodPatch, "/users/me", user.token, body), want)
		}
	})
}

func longTextIsRefused(t *testing.T, s *system) {
	limits := map[string]int{
		"first_name": 100, "last_name": 100, "bio": 500, "preferred_language": 50,
		"profile_picture_url": 255, "linkedin_profile_url": 255, "github_profile_url": 255, "email": 254,
	}
	for _, over := range []int{1, 5000} {
		fields, want := map[string]any{}, map[string][]api.FieldCode{}
		for field, limit := range limits {
			fields[field] = strings.Repeat("x", limit+over)
			want["/"+field] = []api.FieldCode{api.FieldCodeTooLong}
		}
		trapFields(s, s.call(http.MethodPost, "/register", "", trapRegistration(fields)), want)
	}
	user := s.account(server.NewAccount{Role: query.UserRoleAUTHENTICATED, EmailVerified: true})
	body, err := json.Marshal(trapRegistration(map[string]any{"bio": string(bytes.Repeat([]byte("x"), 70<<10))}))
	if err != nil {
		t.Fatal(err)
	}
	s.call(http.MethodPost, "/register", "", body).problem(t, api.ProblemCodePayloadTooLarge)
	signInFrom(s, trapAddress(), user.email, strings.Repeat("x", 1025)).problem(t, api.ProblemCodeValidationFailed)
}
