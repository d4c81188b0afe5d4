package localpg

import (
	"context"
	"errors"
	"fmt"
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

// patienceForRetries is long enough for a few starts on a busy machine.
const patienceForRetries = 2 * time.Second

func TestAServerThatWasKilledIsStartedAgain(t *testing.T) {
	t.Parallel()
	dir := open(t)
	cluster := begin(t, Options{Dir: dir})
	if err := cluster.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-cluster.Done() // reports the crash
	if _, err := os.Stat(filepath.Join(cluster.folder.data(), "postmaster.pid")); err != nil {
		t.Fatalf("the killed server left no postmaster.pid to be healed: %v", err)
	}
	stop(t, cluster)

	again := begin(t, Options{Dir: dir})
	ask(t, again.URL("postgres"), "SELECT 'healed'")
}

func TestNoServerSurvivesTheProcessThatStartedIt(t *testing.T) {
	t.Parallel()
	dir := open(t)
	helper := startHelper(t, dir, nil)
	conn, err := pgx.Connect(t.Context(), helper.url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), "CREATE TABLE notes AS SELECT 'remember' AS note"); err != nil {
		t.Fatal(err)
	}

	if err := helper.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	helper.cmd.Wait()
	again := begin(t, Options{Dir: dir}) // also where no death signal exists: it ends the server
	gone(t, helper.pid)
	if got := ask(t, again.URL("postgres"), "SELECT note FROM notes"); got != "remember" {
		t.Errorf("the note reads %q, want %q", got, "remember")
	}
}

func TestTheKernelEndsTheServerOfAKilledProcess(t *testing.T) {
	t.Parallel()
	attributes := (*account)(nil).process()
	if !strings.Contains(fmt.Sprintf("%+v", attributes), "Pdeathsig:") {
		return // not Linux: the next Start ends it, see above
	}
	helper := startHelper(t, open(t), nil)
	helper.cmd.Process.Signal(syscall.SIGKILL)
	helper.cmd.Wait()
	gone(t, helper.pid)
}

func TestAHelperThatIsAskedToStopStopsItsServer(t *testing.T) {
	t.Parallel()
	helper := startHelper(t, open(t), nil)
	helper.stdin.Close()
	if err := helper.cmd.Wait(); err != nil {
		t.Errorf("the helper ended with %v", err)
	}
	gone(t, helper.pid)
}

// Run as root this is the second half of the story: begin runs the server as another user, this runs all of it so.
func TestAnOrdinaryUserNeedsNoRights(t *testing.T) {
	t.Parallel()
	as, err := unprivileged()
	if err != nil {
		t.Fatal(err)
	}
	dir := open(t)
	if err := as.give(dir); err != nil {
		t.Fatal(err)
	}
	helper := startHelper(t, dir, as)
	ask(t, helper.url, "SELECT 'running'")
	uid, _, ok := ownerOf(filepath.Join(dir, "data"))
	if as != nil && (!ok || uid != as.uid) {
		t.Errorf("the data belong to %d, want %d", uid, as.uid)
	}
	helper.stdin.Close()
	if err := helper.cmd.Wait(); err != nil {
		t.Fatalf("the helper ended with %v", err)
	}

	// Root goes on with such a folder as its owner, not as postgres.
	cluster := begin(t, Options{Dir: dir})
	ask(t, cluster.URL("postgres"), "SELECT 'running'")
}

func TestANumberInPostmasterPidThatIsSomebodyElsesNowIsNoHindrance(t *testing.T) {
	t.Parallel()
	dir := open(t)
	cluster := begin(t, Options{Dir: dir})
	path := filepath.Join(cluster.folder.data(), "postmaster.pid")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	stop(t, cluster)

	// As the same user, because PostgreSQL itself sees through another user's process.
	other := cluster.account.command("/bin/sleep", []string{"600"})
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		other.Process.Kill()
		other.Wait()
	}()
	_, rest, _ := strings.Cut(string(content), "\n")
	stale := strconv.Itoa(other.Process.Pid) + "\n" + rest
	if err := os.WriteFile(path, []byte(stale), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := cluster.account.give(path); err != nil {
		t.Fatal(err)
	}

	again := begin(t, Options{Dir: dir})
	ask(t, again.URL("postgres"), "SELECT 'healed'")
	if _, running := commandLine(other.Process.Pid); !running {
		t.Error("the innocent process was ended")
	}
}

// As for a process that another goroutine starts meanwhile, between its fork and its exec.
func TestTheFolderIsFreeAtOnceThoughSomebodyHasACopyOfItsLock(t *testing.T) {
	t.Parallel()
	f, err := openFolder(open(t))
	if err != nil {
		t.Fatal(err)
	}
	lock, err := f.lock()
	if err != nil {
		t.Fatal(err)
	}
	duplicate, err := syscall.Dup(int(lock.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(duplicate)

	if _, err := f.lock(); !errors.Is(err, ErrInUse) {
		t.Fatalf("a second lock = %v, want ErrInUse", err)
	}
	unlockFile(lock)
	again, err := f.lock()
	if err != nil {
		t.Fatalf("a lock after unlocking = %v, want it at once", err)
	}
	unlockFile(again)
}

func TestAServerWithoutAProcessThatWatchesItIsReplaced(t *testing.T) {
	t.Parallel()
	dir := open(t)
	cluster := begin(t, Options{Dir: dir})
	stop(t, cluster)
	// What a kill -9 leaves on a system without death signals.
	orphan := exec.Command(cluster.executable("postgres"), serverArgs(cluster.folder.data(), cluster.port, Options{})...)
	orphan.SysProcAttr = &syscall.SysProcAttr{Credential: cluster.account.credential()}
	orphan.Dir = "/"
	ended, err := launch(orphan)
	if err != nil {
		t.Fatal(err)
	}
	if err := cluster.waitFor(t, ended); err != nil {
		t.Fatal(err)
	}

	again := begin(t, Options{Dir: dir})
	<-ended
	ask(t, again.URL("postgres"), "SELECT 'replaced'")

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	stop(t, again)
	if err := stopOrphan(cancelled, again.folder.data()); err != nil {
		t.Errorf("stopOrphan of a stopped cluster = %v, want nil", err)
	}
}

// waitFor waits until a server that a test started by hand answers.
func (c *Cluster) waitFor(t *testing.T, ended <-chan struct{}) error {
	t.Helper()
	c.done = ended
	return c.waitReady(t.Context())
}

func TestDamagedPidFilesAreLeftToPostgreSQL(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"nothing": "", "words": "not a number\n", "the first process": "1\n", "a group": "-5\n",
		"a number that nobody has": "4194305\n",
	} {
		data := open(t)
		path := filepath.Join(data, "postmaster.pid")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := stopOrphan(t.Context(), data); err != nil {
			t.Errorf("%s: stopOrphan = %v, want nil", name, err)
		}
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%s: %v, want the file left alone", name, err)
		}
	}
}

func TestAnInitializationThatWasKilledIsBegunAnew(t *testing.T) {
	t.Parallel()
	dir := open(t)
	unfinished := filepath.Join(dir, "data.new")
	if err := os.MkdirAll(filepath.Join(unfinished, "base"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(unfinished, "PG_VERSION"), []byte("15\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "password.new"), []byte("old"), 0o400); err != nil {
		t.Fatal(err)
	}

	begin(t, Options{Dir: dir})
	for _, left := range []string{unfinished, filepath.Join(dir, "password.new")} {
		if _, err := os.Stat(left); err == nil {
			t.Errorf("%s is still there", left)
		}
	}
}
