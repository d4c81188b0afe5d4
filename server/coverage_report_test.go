package server_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"usermanager/gen/api"
)

var contractTable = flag.String("contract-table", "", "write what the tests saw of each operation, status and code to this `file`")

// observations are what the tests of this run met of the contract.
type observations struct {
	sync.Mutex
	statuses   map[string]int  // by "register 201"
	codes      map[string]int  // by "register 409 email_taken"
	examples   map[string]bool // the same, when an answer was the document's example word for word
	problems   map[string]bool // codes, of whatever operation
	fieldCodes map[string]bool
}

var seen = observations{
	statuses: map[string]int{}, codes: map[string]int{}, examples: map[string]bool{}, problems: map[string]bool{}, fieldCodes: map[string]bool{},
}

func (o *observations) status(operationID string, status int) {
	o.Lock()
	defer o.Unlock()
	o.statuses[fmt.Sprintf("%s %d", operationID, status)]++
}

func (o *observations) problem(operationID string, status int, p api.Problem, isExample bool) {
	o.Lock()
	defer o.Unlock()
	key := fmt.Sprintf("%s %d %s", operationID, status, p.Code)
	o.codes[key]++
	o.examples[key] = o.examples[key] || isExample
	o.problems[string(p.Code)] = true
	for _, e := range p.Errors {
		o.fieldCodes[string(e.Code)] = true
	}
}

// undeclared records the problem of a path or method that no operation has.
func (o *observations) undeclared(body []byte) {
	var p api.Problem
	if json.Unmarshal(body, &p) == nil && p.Code != "" {
		o.Lock()
		defer o.Unlock()
		o.problems[string(p.Code)] = true
	}
}

// checkProblem fails for a code that the operation gives no example of, which is one that it does not declare.
func checkProblem(op *openapi3.Operation, declared *openapi3.Response, status int, body []byte) error {
	var p api.Problem
	if err := json.Unmarshal(body, &p); err != nil {
		return fmt.Errorf("operation %s answers %d without a problem: %w", op.OperationID, status, err)
	}
	content := declared.Content.Get("application/problem+json")
	if content == nil || content.Examples[string(p.Code)] == nil {
		return fmt.Errorf("operation %s answers %d %s, of which it has no example", op.OperationID, status, p.Code)
	}
	isExample, err := isSameProblem(content.Examples[string(p.Code)].Value.Value, body)
	seen.problem(op.OperationID, status, p, isExample)
	return err
}

// isSameProblem compares an answer with an example in all but what is new in each answer.
func isSameProblem(example any, body []byte) (bool, error) {
	var got, want map[string]any
	if err := json.Unmarshal(body, &got); err != nil {
		return false, err
	}
	data, err := json.Marshal(example)
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(data, &want); err != nil {
		return false, err
	}
	for _, problem := range []map[string]any{got, want} {
		problem["instance"], problem["request_id"] = nil, nil
		suggestions, _ := problem["suggestions"].([]any)
		problem["suggestions"] = len(suggestions)
	}
	return reflect.DeepEqual(got, want), nil
}

// contractRow is one line of the table: a success has no code.
type contractRow struct {
	operation, status, code string
	answers                 int
	isProven                bool // for a code: the example was answered word for word
}

func (r contractRow) String() string {
	return strings.TrimSpace(r.operation + " " + r.status + " " + r.code)
}

// contractRows are all operation x status x problem code of the contract, with what was seen of each.
func contractRows() []contractRow {
	var rows []contractRow
	for _, op := range contractOperations() {
		for status, response := range op.Responses.Map() {
			content := response.Value.Content.Get("application/problem+json")
			if content == nil {
				answers := seen.statuses[op.OperationID+" "+status]
				rows = append(rows, contractRow{operation: op.OperationID, status: status, answers: answers, isProven: answers > 0})
				continue
			}
			for code := range content.Examples {
				row := contractRow{operation: op.OperationID, status: status, code: code}
				row.answers, row.isProven = seen.codes[row.String()], seen.examples[row.String()]
				rows = append(rows, row)
			}
		}
	}
	slices.SortFunc(rows, func(a, b contractRow) int { return strings.Compare(a.String(), b.String()) })
	return rows
}

// countingRun runs the tests and then says how much of the contract they saw. A whole run fails when that is not
// all of it; a run of some tests only says nothing.
type countingRun struct{ *testing.M }

func (r countingRun) Run() int {
	code := r.M.Run()
	isWhole := true
	for _, name := range []string{"run", "skip", "list", "fuzz"} {
		isWhole = isWhole && flag.Lookup("test."+name).Value.String() == ""
	}
	if !isWhole {
		return code
	}
	rows := contractRows()
	missing := contractMissing(rows)
	for _, what := range missing {
		fmt.Println("contract: no test saw", what)
	}
	summary := contractSummary(rows)
	fmt.Println(summary)
	if *contractTable != "" {
		if err := os.WriteFile(*contractTable, contractMarkdown(rows, summary), 0o644); err != nil {
			fmt.Println("contract:", err)
			return 1
		}
	}
	if len(missing) > 0 && code == 0 {
		return 1
	}
	return code
}

// contractMissing says what is declared, but was not seen.
func contractMissing(rows []contractRow) []string {
	var missing []string
	for _, row := range rows {
		switch {
		case row.answers == 0:
			missing = append(missing, row.String())
		case !row.isProven:
			missing = append(missing, row.String()+" as its example says it")
		}
	}
	for _, code := range contractEnum("ProblemCode") {
		if !seen.problems[code] {
			missing = append(missing, "problem code "+code)
		}
	}
	for _, code := range contractEnum("FieldCode") {
		if !seen.fieldCodes[code] {
			missing = append(missing, "field code "+code)
		}
	}
	return missing
}

func contractSummary(rows []contractRow) string {
	statuses, codes := map[string]int{}, [2]int{}
	for _, row := range rows {
		statuses[row.operation+" "+row.status] += row.answers
		if row.code != "" {
			codes[1]++
			if row.isProven {
				codes[0]++
			}
		}
	}
	answered := 0
	for _, answers := range statuses {
		answered += min(answers, 1)
	}
	share := func(part, whole int) string {
		return fmt.Sprintf("%d of %d (%.1f %%)", part, whole, 100*float64(part)/float64(whole))
	}
	known := func(schema string, seen map[string]bool) string { return share(len(seen), len(contractEnum(schema))) }
	return fmt.Sprintf("contract: seen %s operation x status, %s operation x status x problem code, %s problem codes, %s field codes",
		share(answered, len(statuses)), share(codes[0], codes[1]), known("ProblemCode", seen.problems), known("FieldCode", seen.fieldCodes))
}

func contractMarkdown(rows []contractRow, summary string) []byte {
	var out strings.Builder
	fmt.Fprintf(&out, "# What the tests saw of the contract\n\n%s.\n\n", summary)
	out.WriteString("A problem counts once its example was answered word for word.\n\n")
	out.WriteString("| operation | status | problem code | answers | example proven |\n|---|---|---|---:|---|\n")
	for _, row := range rows {
		proven := map[bool]string{true: "yes", false: "no"}[row.isProven]
		fmt.Fprintf(&out, "| %s | %s | %s | %d | %s |\n", row.operation, row.status, row.code, row.answers, proven)
	}
	return []byte(out.String())
}
