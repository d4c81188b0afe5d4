package localpg

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// helperDir makes this program, started again by a test, run a cluster in that folder instead of tests.
const helperDir = "LOCALPG_HELPER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperDir); dir != "" {
		os.Exit(helper(dir))
	}
	os.Exit(m.Run())
}

// helper reports its cluster on one line and keeps it until its standard input ends.
func helper(dir string) int {
	cluster, err := Start(context.Background(), Options{Dir: dir})
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	fmt.Println("running", cluster.cmd.Process.Pid, cluster.URL("postgres"))
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		fmt.Println("error", err)
		return 1
	}
	if err := cluster.Stop(context.Background()); err != nil {
		fmt.Println("error", err)
		return 1
	}
	return 0
}

// process is a started helper.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	pid   int // the server's
	url   string
}

// startHelper runs the helper as an account, nil meaning our own.
func startHelper(t *testing.T, dir string, as *account) process {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	if as != nil {
		// The folder that `go test` builds in is closed to others.
		copied := filepath.Join(open(t), "helper")
		content, err := os.ReadFile(program)
		if err == nil {
			err = os.WriteFile(copied, content, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
		cmd = exec.Command(copied)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as.credential()}
	}
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), helperDir+"="+dir)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
	line, _ := bufio.NewReader(stdout).ReadString('\n')
	words := strings.Fields(line)
	if len(words) != 3 || words[0] != "running" {
		t.Fatalf("the helper says %q, want a running cluster", line)
	}
	pid, err := strconv.Atoi(words[1])
	if err != nil {
		t.Fatal(err)
	}
	return process{cmd: cmd, stdin: stdin, pid: pid, url: words[2]}
}

// open is a folder that every user may enter; t.TempDir is not.
func open(t *testing.T) string {
	t.Helper()
	parent := os.TempDir()
	if _, err := os.Stat("/dev/shm"); err == nil {
		parent = "/dev/shm"
	}
	dir := filepath.Join(parent, "localpg-test-"+strings.ToLower(rand.Text()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove the test's folder: %v", err)
		}
	})
	return dir
}

// begin starts a cluster that ends with the test.
func begin(t *testing.T, o Options) *Cluster {
	t.Helper()
	cluster, err := Start(t.Context(), o)
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	t.Cleanup(func() { _ = cluster.Stop(context.Background()) }) // a test that minds how it ends stops it itself
	return cluster
}

func stop(t *testing.T, cluster *Cluster) {
	t.Helper()
	if err := cluster.Stop(t.Context()); err != nil {
		t.Fatalf("Stop: %v", err)
	}
}

// ask is the one value of a query, as text.
func ask(t *testing.T, url, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	defer conn.Close(context.Background())
	var value string
	if err := conn.QueryRow(t.Context(), sql).Scan(&value); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}

// gone waits until a process has ended.
func gone(t *testing.T, pid int) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, running := commandLine(pid); !running {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("process %d still runs", pid)
		}
	}
}
