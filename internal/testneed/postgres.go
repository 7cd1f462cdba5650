package testneed

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// A Cluster is a private PostgreSQL server of one test.
type Cluster struct {
	URL string // of database "postgres", superuser
	Bin string // folder of pg_dump and its like
	Dir string
	cmd *exec.Cmd
}

var databases atomic.Int64

// shared is the server the tests of one process have in common, started by
// the first that asks. It is a child that dies with the process.
var shared = sync.OnceValues(startShared)

// Postgres returns the superuser URL of a new database in a PostgreSQL server
// that the tests of this process share. The database is dropped at the end.
func Postgres(t testing.TB) string {
	t.Helper()
	if postgresBin() == "" {
		Missing(t, "PostgreSQL", "apt-get install postgresql")
	}
	c, err := shared()
	if err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	name := fmt.Sprintf("t%d_%d", os.Getpid(), databases.Add(1))
	ctx := context.Background()
	admin, err := pgx.Connect(ctx, c.URL)
	if err != nil {
		t.Fatalf("connect to PostgreSQL: %v", err)
	}
	defer admin.Close(ctx)
	if _, err := admin.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		t.Fatalf("create database: %v", err)
	}
	t.Cleanup(func() {
		admin, err := pgx.Connect(ctx, c.URL)
		if err != nil {
			return
		}
		defer admin.Close(ctx)
		_, _ = admin.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
	})
	return c.In(name)
}

// In returns the superuser URL of another database of the cluster.
func (c *Cluster) In(database string) string {
	cfg, err := pgx.ParseConfig(c.URL)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("postgres://postgres@%s:%d/%s?sslmode=disable", cfg.Host, cfg.Port, database)
}

func startShared() (*Cluster, error) {
	dir, err := os.MkdirTemp("", "shiplock-pg-")
	if err != nil {
		return nil, err
	}
	return StartPostgres(dir)
}

// StartPostgres starts a server in dir, which it makes its own. The server is
// stopped by Stop, and by the kernel when this process ends.
func StartPostgres(dir string) (*Cluster, error) {
	bin := postgresBin()
	if bin == "" {
		return nil, fmt.Errorf("no PostgreSQL on this machine: apt-get install postgresql")
	}
	cred, err := postgresUser(dir)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
	initdb.Dir = dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	c := &Cluster{Bin: bin, Dir: dir, URL: fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", port)}
	return c, c.start(data, port, cred)
}

func (c *Cluster) start(data string, port int, cred *syscall.Credential) error {
	var log bytes.Buffer
	args := []string{"-D", data, "-p", strconv.Itoa(port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "max_connections=200"}
	if _, err := os.Stat(filepath.Join(filepath.Dir(c.Bin), "lib", "pg_stat_statements.so")); err == nil {
		args = append(args, "-c", "shared_preload_libraries=pg_stat_statements") // counts where a database has the extension
	}
	c.cmd = exec.Command(filepath.Join(c.Bin, "postgres"), args...)
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred, Pdeathsig: syscall.SIGINT}
	c.cmd.Dir = c.Dir
	c.cmd.Stdout, c.cmd.Stderr = &log, &log
	if err := c.cmd.Start(); err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	deadline := time.Now().Add(time.Minute)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		conn, err := pgx.Connect(ctx, c.URL)
		if err == nil {
			err = conn.Close(ctx)
		}
		cancel()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("postgres does not answer: %w: %s", err, log.String())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Stop stops the server and waits for it.
func (c *Cluster) Stop() error {
	if err := c.cmd.Process.Signal(syscall.SIGINT); err != nil {
		return err
	}
	_ = c.cmd.Wait()
	return os.RemoveAll(c.Dir)
}

// postgresBin returns the folder of the newest server on the machine, or "".
func postgresBin() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(found) == 0 {
		if path, err := exec.LookPath("postgres"); err == nil {
			return filepath.Dir(path)
		}
		return ""
	}
	slices.SortFunc(found, func(a, b string) int { return version(a) - version(b) })
	return found[len(found)-1]
}

func version(bin string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
	return n
}

// postgresUser returns whom the server runs as, since it refuses root.
func postgresUser(dir string) (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, os.Chown(dir, uid, gid)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
