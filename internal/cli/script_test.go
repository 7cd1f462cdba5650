package cli_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/shiplock/shiplock/internal/cli"
)

// The test binary is also the program itself, as a child under the name
// shiplock.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"shiplock": func() {
			os.Exit(cli.Run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
		},
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("SHIPLOCK_DATA", filepath.Join(e.WorkDir, "data"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"code": code},
	})
}

// code runs the program and wants an exit code: code 2 config check
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code NUMBER arguments of shiplock…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec("shiplock", args[1:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("shiplock %s: %v", strings.Join(args[1:], " "), err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("shiplock %s ended with exit code %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

// run carries out a command line in this process.
func run(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	code = cli.Run(t.Context(), args, strings.NewReader(""), &o, &e)
	return code, o.String(), e.String()
}

// subcommand is a line of the list of commands in a help text.
var subcommand = regexp.MustCompile(`^  ([a-z][a-z-]*)\s+(.*)$`)

// subcommands returns the commands a help text lists, with what it says of them.
func subcommands(help string) map[string]string {
	list := map[string]string{}
	_, rest, ok := strings.Cut(help, "Available Commands:\n")
	if !ok {
		return list
	}
	for line := range strings.Lines(rest) {
		m := subcommand.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil {
			break
		}
		list[m[1]] = m[2]
	}
	return list
}

func TestHelpOfEveryCommandTouchesNothing(t *testing.T) {
	dir, calls := t.TempDir(), countCalls(t)
	t.Chdir(dir)
	t.Setenv("SHIPLOCK_DATA", filepath.Join(dir, "data"))
	t.Setenv("HOME", dir)
	if err := os.WriteFile("shiplock.yaml", []byte("this: is: broken\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := tree(t, dir)
	seen := 0
	var visit func(command []string, short string)
	visit = func(command []string, short string) {
		seen++
		name := strings.Join(append([]string{"shiplock"}, command...), " ")
		code, out, errOut := run(t, append(command, "--help")...)
		if code != 0 || errOut != "" {
			t.Errorf("%s --help ended with exit code %d: %s", name, code, errOut)
		}
		if !strings.Contains(out, "Usage:\n  "+name) {
			t.Errorf("%s --help shows no usage:\n%s", name, out)
		}
		if len(command) > 0 && short == "" {
			t.Errorf("%s has no short description", name)
		}
		for sub, short := range subcommands(out) {
			visit(append(append([]string{}, command...), sub), short)
		}
	}
	visit(nil, "")
	if seen < 25 {
		t.Errorf("only %d commands were found", seen)
	}
	if after := tree(t, dir); !maps.Equal(before, after) {
		t.Errorf("files changed: %v, before %v", after, before)
	}
	if n := calls.Load(); n != 0 {
		t.Errorf("the server was called %d times", n)
	}
}

// countCalls makes a socket the server's and counts who connects.
func countCalls(t *testing.T) *atomic.Int32 {
	t.Helper()
	dir, err := os.MkdirTemp("", "sl") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SHIPLOCK_SERVER", path)
	calls, done := new(atomic.Int32), make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			calls.Add(1)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return calls
}

// tree lists the files below a folder with their sizes.
func tree(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	files := map[string]int64{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && !d.IsDir() {
			files[path] = info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// A test of the test above: the counter does count.
func TestACallOfTheServerIsCounted(t *testing.T) {
	calls := countCalls(t)
	t.Chdir(t.TempDir())
	if code, _, errOut := run(t, "status"); code != 9 {
		t.Errorf("status ended with exit code %d: %s", code, errOut)
	}
	if calls.Load() == 0 {
		t.Error("the call was not counted")
	}
}
