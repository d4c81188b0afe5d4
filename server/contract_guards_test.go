package server_test

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"usermanager/db/dbtest"
	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server/mail"
)

// contractPublic are the operations that need no token. To open another door, write it down here, too.
var contractPublic = []string{
	"acceptInvitation", "cancelDeletion", "changePassword", "checkNickname", "confirmEmailChange", "createSession",
	"forgotPassword", "getAuthorizationServer", "getJwks", "getLiveness", "getOpenapiJson", "getOpenapiYaml", "getReadiness",
	"getSettings", "login", "logout", "refreshSession", "register", "resendVerification", "resetPassword", "revokeEmailChange",
	"showDeletionCancellation", "showDocs", "showEmailChangeConfirmation", "showEmailChangeRevocation",
	"showEmailVerification", "showForgotPassword", "showInvitation", "showPasswordReset", "verifyEmail", "verifyEmailLink",
}

// contractOperation is an operation with what its path item knows.
type contractOperation struct {
	*openapi3.Operation
	method, path string
}

func (o contractOperation) isPublic() bool { return o.Security != nil && len(*o.Security) == 0 }

func (o contractOperation) scopes() []string {
	if o.Security == nil || len(*o.Security) == 0 {
		return nil
	}
	return (*o.Security)[0]["oauth2"]
}

// contractOperations are all operations in the order of their ids.
func contractOperations() []contractOperation {
	var all []contractOperation
	for path, item := range closedSpec().Paths.Map() {
		for method, op := range item.Operations() {
			all = append(all, contractOperation{Operation: op, method: method, path: path})
		}
	}
	slices.SortFunc(all, func(a, b contractOperation) int { return strings.Compare(a.OperationID, b.OperationID) })
	return all
}

func TestEveryOperationIsDescribedWhole(t *testing.T) {
	t.Parallel()
	ids := map[string]bool{}
	for _, op := range contractOperations() {
		id := op.OperationID
		if id == "" || ids[id] {
			t.Errorf("%s %s: operationId %q is missing or taken", op.method, op.path, id)
		}
		ids[id] = true
		if len(op.Tags) != 1 || closedSpec().Tags.Get(op.Tags[0]) == nil {
			t.Errorf("%s has tags %q, want exactly one that the document declares", id, op.Tags)
		}
		if op.Summary == "" {
			t.Errorf("%s has no summary", id)
		}
		lines := strings.Split(strings.TrimSpace(op.Description), "\n")
		if last := lines[len(lines)-1]; !strings.HasPrefix(last, "Codes: ") || !strings.HasSuffix(last, ".") {
			t.Errorf("the description of %s ends in %q, want a line with its codes", id, last)
		}
		for mediaType, content := range contractSuccesses(op) {
			if len(content.Examples) == 0 && content.Example == nil {
				t.Errorf("%s has no example of %s", id, mediaType)
			}
		}
		if op.RequestBody != nil && len(op.RequestBody.Value.Content) != 1 {
			t.Errorf("%s takes %d media types, want one", id, len(op.RequestBody.Value.Content))
		}
		if op.RequestBody != nil && !op.RequestBody.Value.Required && id != "logout" {
			t.Errorf("the body of %s is optional", id)
		}
	}
}

// contractSuccesses are the bodies of requests and of successful responses, by a name for messages.
func contractSuccesses(op contractOperation) map[string]*openapi3.MediaType {
	all := map[string]*openapi3.MediaType{}
	for status, response := range op.Responses.Map() {
		for mediaType, content := range response.Value.Content {
			if strings.HasPrefix(status, "2") {
				all[status+" "+mediaType] = content
			}
		}
	}
	if op.RequestBody != nil {
		for mediaType, content := range op.RequestBody.Value.Content {
			all["request "+mediaType] = content
		}
	}
	return all
}

func TestThePublicOperationsAreTheseAndNoOthers(t *testing.T) { // Z-01
	t.Parallel()
	var public []string
	for _, op := range contractOperations() {
		if op.isPublic() {
			public = append(public, op.OperationID)
		}
	}
	if !slices.Equal(public, contractPublic) {
		t.Errorf("public are\n%s\nwant\n%s", strings.Join(public, " "), strings.Join(contractPublic, " "))
	}
	if closedSpec().Security == nil {
		t.Error("the document has no security default, so an operation without a security line looks public to clients")
	}
}

func TestEveryScopeIsDeclaredAndSomeRoleHasIt(t *testing.T) {
	t.Parallel()
	scheme := closedSpec().Components.SecuritySchemes["oauth2"].Value
	declared := slices.Sorted(maps.Keys(scheme.Flows.Password.Scopes))
	held := map[string]bool{}
	roles, _ := scheme.Extensions["x-roles"].(map[string]any)
	for role, scopes := range roles {
		list, isList := scopes.([]any)
		if !isList {
			t.Fatalf("the scopes of %s are %v, want a list", role, scopes)
		}
		for _, scope := range list {
			name := fmt.Sprint(scope)
			held[name] = true
			if !slices.Contains(declared, name) {
				t.Errorf("role %s has scope %s, which the flow does not declare", role, name)
			}
		}
	}
	if got, want := slices.Sorted(maps.Keys(roles)), contractEnum("Role"); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("x-roles knows %q, want the roles %q", got, want)
	}
	used := map[string]bool{}
	for _, op := range contractOperations() {
		for _, scope := range op.scopes() {
			used[scope] = true
		}
		if !op.isPublic() && len(op.scopes()) == 0 {
			t.Errorf("%s asks for no scope, so nobody may call it", op.OperationID)
		}
	}
	if got := slices.Sorted(maps.Keys(used)); !slices.Equal(got, declared) {
		t.Errorf("operations use the scopes %q, want each declared one: %q", got, declared)
	}
	for _, scope := range declared {
		if !held[scope] {
			t.Errorf("no role has scope %s", scope)
		}
	}
}

// What generators give a made-up name, or do not compile: the linters of gen/contract say more, this needs only Go.
func TestBodiesAreNamedAndEnumsHoldNoNull(t *testing.T) {
	t.Parallel()
	for _, op := range contractOperations() {
		bodies := map[string]openapi3.Content{}
		if op.RequestBody != nil {
			bodies["request"] = op.RequestBody.Value.Content
		}
		for status, response := range op.Responses.Map() {
			if status == "default" || strings.HasSuffix(status, "XX") {
				t.Errorf("%s declares the response %s, want explicit statuses", op.OperationID, status)
			}
			bodies[status] = response.Value.Content
		}
		for where, content := range bodies {
			for mediaType, c := range content {
				if c.Schema == nil || c.Schema.Ref == "" {
					t.Errorf("%s %s %s has a body that is no component", op.OperationID, where, mediaType)
				}
			}
		}
	}
	check := func(where string, schema *openapi3.SchemaRef) {
		if slices.Contains(schema.Value.Enum, nil) {
			t.Errorf("the enum of %s holds null", where)
		}
	}
	for name, schema := range closedSpec().Components.Schemas {
		check(name, schema)
		for property, s := range schema.Value.Properties {
			check(name+"."+property, s)
		}
	}
}

func TestEveryExampleIsValid(t *testing.T) {
	t.Parallel()
	check := func(where string, schema *openapi3.SchemaRef, value any) {
		if err := schema.Value.VisitJSON(value, openapi3.MultiErrors(), openapi3.EnableFormatValidation()); err != nil {
			t.Errorf("example of %s: %v", where, err)
		}
	}
	content := func(where string, all openapi3.Content) {
		for mediaType, c := range all {
			if c.Example != nil {
				check(where+" "+mediaType, c.Schema, c.Example)
			}
			for name, example := range c.Examples {
				check(where+" "+mediaType+" "+name, c.Schema, example.Value.Value)
			}
		}
	}
	components := closedSpec().Components
	for name, body := range components.RequestBodies {
		content("request body "+name, body.Value.Content)
	}
	for name, response := range components.Responses {
		content("response "+name, response.Value.Content)
		for header, h := range response.Value.Headers {
			check("response "+name+" header "+header, h.Value.Schema, h.Value.Example)
		}
	}
	for name, p := range components.Parameters {
		check("parameter "+name, p.Value.Schema, p.Value.Example)
	}
	for name, schema := range components.Schemas {
		if schema.Value.Example != nil {
			check("schema "+name, schema, schema.Value.Example)
		}
		for property, s := range schema.Value.Properties {
			if s.Value.Example != nil {
				check("schema "+name+"."+property, s, s.Value.Example)
			}
		}
	}
	for _, op := range contractOperations() {
		for status, response := range op.Responses.Map() {
			content(op.OperationID+" "+status, response.Value.Content)
		}
	}
}

func TestEveryBoundOfThePasswordIsACodeOfTheContract(t *testing.T) {
	t.Parallel()
	codes := contractEnum("FieldCode")
	file, err := parser.ParseFile(token.NewFileSet(), "secret/policy.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	rules := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, isSpec := n.(*ast.ValueSpec)
		if !isSpec || !strings.HasPrefix(spec.Names[0].Name, "Rule") {
			return true
		}
		value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		rules++
		if !slices.Contains(codes, value) {
			t.Errorf("secret.%s is %q, which is no FieldCode", spec.Names[0].Name, value)
		}
		return true
	})
	if rules < 9 {
		t.Errorf("found %d rules, want all of policy.go", rules)
	}
}

func TestTheEnumsOfSQLAreThoseOfTheContract(t *testing.T) {
	t.Parallel()
	pool := dbtest.Pool(t)
	ofSQL := func(name string) []string {
		var values []string
		err := pool.QueryRow(context.Background(), "SELECT array_agg(v::text) FROM unnest(enum_range(NULL::"+name+")) v").Scan(&values)
		if err != nil {
			t.Fatalf("read enum %s: %v", name, err)
		}
		return values
	}
	for name, want := range map[string][]string{
		"user_role":     contractEnum("Role"),
		"mail_kind":     contractText(mail.Kinds()),
		"mail_state":    contractText(query.AllMailStateValues()),
		"audit_action":  contractText(query.AllAuditActionValues()),
		"token_purpose": contractText(query.AllTokenPurposeValues()),
	} {
		if got := ofSQL(name); !slices.Equal(got, want) {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string][]string{
		"LastMailKind":  append([]string{"none"}, ofSQL("mail_kind")...),
		"LastMailState": append([]string{"none"}, ofSQL("mail_state")...),
		"GrantedRole":   ofSQL("user_role")[1:],
	} {
		if got := contractEnum(name); !slices.Equal(got, want) {
			t.Errorf("%s of the contract is %q, want %q", name, got, want)
		}
	}
}

func contractEnum(schema string) []string {
	var values []string
	for _, v := range closedSpec().Components.Schemas[schema].Value.Enum {
		values = append(values, fmt.Sprint(v))
	}
	return values
}

func contractText[T ~string](values []T) []string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = string(v)
	}
	return texts
}

func TestEveryLinkLeadsToAnOperationOfTheContract(t *testing.T) {
	t.Parallel()
	rels := contractEnum("Rel")
	for _, op := range contractOperations() {
		rel, isLinked := op.Extensions["x-rel"].(string)
		if isLinked && !slices.Contains(rels, rel) {
			t.Errorf("%s is linked as %q, which is no Rel", op.OperationID, rel)
		}
		if isLinked && !slices.Contains(contractEnum("LinkMethod"), op.method) {
			t.Errorf("%s is linked, but %s is no LinkMethod", op.OperationID, op.method)
		}
	}
}

func TestEveryEnumValueIsDescribed(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"ProblemCode", "FieldCode"} {
		description := closedSpec().Components.Schemas[name].Value.Description
		for _, value := range contractEnum(name) {
			if !strings.Contains(description, "- `"+value+"`: ") {
				t.Errorf("%s does not say what %s means", name, value)
			}
		}
	}
	if got, want := len(contractEnum("ProblemCode")), len(contractProblemCodes()); got != want {
		t.Errorf("got %d problem codes, operations list %d", got, want)
	}
}

// The codes that a description lists are those that the responses give an example of, and coverage_report_test.go
// fails unless the tests have met each of them and no other.
func TestEveryDescriptionListsTheCodesOfItsExamples(t *testing.T) {
	t.Parallel()
	for _, op := range contractOperations() {
		var examples []string
		for _, response := range op.Responses.Map() {
			if content := response.Value.Content.Get("application/problem+json"); content != nil {
				examples = slices.AppendSeq(examples, maps.Keys(content.Examples))
			}
		}
		if listed := slices.Sorted(slices.Values(contractListed(op.Description))); !slices.Equal(listed, slices.Sorted(slices.Values(examples))) {
			t.Errorf("the description of %s lists %q, its responses have examples of %q", op.OperationID, listed, examples)
		}
	}
}

// contractProblemCodes are those that some operation lists, and method_not_allowed, which no operation can have.
func contractProblemCodes() map[string]bool {
	codes := map[string]bool{string(api.ProblemCodeMethodNotAllowed): true}
	for _, op := range contractOperations() {
		for _, code := range contractListed(op.Description) {
			codes[code] = true
		}
	}
	return codes
}

// contractListed are the codes in the last line of an operation's description.
func contractListed(description string) []string {
	_, line, _ := strings.Cut(description, "Codes: ")
	var codes []string
	for i, part := range strings.Split(line, "`") {
		if i%2 == 1 {
			codes = append(codes, part)
		}
	}
	return codes
}
