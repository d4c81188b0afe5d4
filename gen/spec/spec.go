// Package spec holds openapi.yaml as the server publishes it, byte for byte. `task generate` copies it here,
// because a package can embed only what lies below it.
package spec

import _ "embed"

// YAML is the document.
//
//go:embed openapi.yaml
var YAML []byte
