// A module of its own, with the versions of the server's: generated/ is not in a clean clone, and its absence must not
// stop `go build ./...`, `go vet ./...` and the linter there.
module usermanagerclient

go 1.26.0

require (
	github.com/oapi-codegen/nullable v1.1.0
	github.com/oapi-codegen/runtime v1.8.0
	go.yaml.in/yaml/v3 v3.0.5
)

require (
	github.com/apapsch/go-jsonmerge/v2 v2.0.0 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/nishanths/exhaustive v0.15.0 // indirect
	golang.org/x/mod v0.41.0 // indirect
	golang.org/x/sync v0.23.0 // indirect
	golang.org/x/tools v0.50.0 // indirect
)

tool github.com/nishanths/exhaustive/cmd/exhaustive
