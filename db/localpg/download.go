package localpg

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	embedded "github.com/fergusstrange/embedded-postgres"
)

const mavenCentral = "https://repo1.maven.org/maven2"

// download unpacks a PostgreSQL into dir/bin, dir/lib and dir/share, from a Maven repository, about 20 MB. It is the
// last resort of a first `usermanager dev`, so it needs the internet once and keeps what it got.
//
// The library fetches only as part of running a server, and cannot run one as root. So it is told to make a
// cluster with an encoding that does not exist, which fails right after the part that is wanted here.
func download(dir, repository string) error {
	archives, err := os.MkdirTemp("", "usermanager-postgres-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(archives)

	port, err := freePort()
	if err != nil {
		return err
	}
	server := embedded.NewDatabase(embedded.DefaultConfig().
		Version(embedded.V17).
		Port(uint32(port)).
		BinaryRepositoryURL(repository).
		BinariesPath(dir).
		CachePath(archives).
		RuntimePath(filepath.Join(archives, "run")).
		Encoding("none").
		Logger(io.Discard))
	err = server.Start()
	if isServer(filepath.Join(dir, "bin")) {
		return nil
	}
	if err == nil {
		err = errors.New("the archive has no server in it")
	}
	return err
}
