package node

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/shiplock/shiplock/internal/argv"
	"github.com/shiplock/shiplock/internal/ship"
)

// environ is the environment of a command, by name.
type environ map[string]string

func newEnviron(base []string) environ {
	e := environ{}
	for _, kv := range base {
		if k, v, ok := strings.Cut(kv, "="); ok {
			e[k] = v
		}
	}
	return e
}

// list returns e in the form a process is given it, in order.
func (e environ) list() []string {
	kvs := make([]string, 0, len(e))
	for k, v := range e {
		kvs = append(kvs, k+"="+v)
	}
	slices.Sort(kvs)
	return kvs
}

// first puts dir before everything else that is searched for programs.
func (e environ) first(dir string) {
	if e["PATH"] == "" {
		e["PATH"] = "/usr/local/bin:/usr/bin:/bin"
	}
	e["PATH"] = dir + ":" + e["PATH"]
}

// A task is a command ready to be started. Its environment may hold secrets:
// a task is written to disk only without it.
type task struct {
	Argv []string `json:"argv"`
	Dir  string   `json:"dir"`
	User string   `json:"user,omitempty"`
	Env  environ  `json:"-"`
}

// newTask expands the words of a command from the environment it will have.
func newTask(a ship.Argv, dir, user string, env environ) (task, error) {
	words, err := argv.Expand(a, func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	if err != nil {
		return task{}, ship.Errorf(ship.Invalid, "", "command %s: %w", strings.Join(a, " "), err)
	}
	return task{Argv: words, Dir: dir, User: user, Env: env}, nil
}

// cmd returns the process of the task, in a session of its own. The program
// is looked for on the PATH it will have itself, and becomes the process.
func (t task) cmd() (*exec.Cmd, error) {
	path, err := t.program()
	if err != nil {
		return nil, err
	}
	cred, err := credential(t.User)
	if err != nil {
		return nil, err
	}
	return &exec.Cmd{
		Path: path, Args: t.Argv, Dir: t.Dir, Env: t.Env.list(),
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Credential: cred},
	}, nil
}

func (t task) program() (string, error) {
	name := t.Argv[0]
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			name = filepath.Join(t.Dir, name)
		}
		return name, executable(name)
	}
	for _, dir := range filepath.SplitList(t.Env["PATH"]) {
		if !filepath.IsAbs(dir) {
			continue
		}
		if path := filepath.Join(dir, name); executable(path) == nil {
			return path, nil
		}
	}
	return "", ship.Errorf(ship.Failed, "install it, or name its path in shiplock.yaml", "program %q is not on PATH (%s)", name, t.Env["PATH"])
}

func executable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return ship.Errorf(ship.Failed, "", "program: %w", err)
	case info.IsDir() || info.Mode()&0o111 == 0:
		return ship.Errorf(ship.Failed, "chmod +x "+path, "program %s is not executable", path)
	}
	return nil
}

// credential returns whom a command runs as; nil is us.
func credential(name string) (*syscall.Credential, error) {
	if name == "" {
		return nil, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, ship.Errorf(ship.Invalid, "useradd --system "+name, "user of the commands: %w", err)
	}
	if u.Uid == strconv.Itoa(os.Getuid()) {
		return nil, nil
	}
	if os.Getuid() != 0 {
		return nil, ship.Errorf(ship.Invalid, "run the node as root, or leave run.user out",
			"commands are to run as %s, and only a node that runs as root can do that", name)
	}
	ids, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("groups of %s: %w", name, err)
	}
	c := &syscall.Credential{}
	for _, id := range ids {
		gid, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("groups of %s: %w", name, err)
		}
		c.Groups = append(c.Groups, uint32(gid))
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", name, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", name, err)
	}
	c.Uid, c.Gid = uint32(uid), uint32(gid)
	return c, nil
}

// home is the home folder of the user, or "".
func home(name string) string {
	if u, err := user.Lookup(name); err == nil {
		return u.HomeDir
	}
	return ""
}

// ended says how a process ended that we did not end ourselves.
func ended(s *os.ProcessState, outOfMemory bool) string {
	status, ok := s.Sys().(syscall.WaitStatus)
	switch {
	case !ok || !status.Signaled():
		return fmt.Sprintf("exit code %d", s.ExitCode())
	case status.Signal() == syscall.SIGKILL && outOfMemory:
		return "killed by SIGKILL (out of memory)"
	case status.Signal() == syscall.SIGKILL:
		return "killed by SIGKILL, possibly out of memory"
	}
	return "killed by " + signalName(status.Signal())
}

func signalName(s syscall.Signal) string {
	names := map[syscall.Signal]string{
		syscall.SIGTERM: "SIGTERM", syscall.SIGINT: "SIGINT", syscall.SIGSEGV: "SIGSEGV", syscall.SIGABRT: "SIGABRT",
		syscall.SIGBUS: "SIGBUS", syscall.SIGHUP: "SIGHUP", syscall.SIGQUIT: "SIGQUIT", syscall.SIGILL: "SIGILL",
		syscall.SIGFPE: "SIGFPE", syscall.SIGPIPE: "SIGPIPE", syscall.SIGUSR1: "SIGUSR1", syscall.SIGUSR2: "SIGUSR2",
	}
	if name, ok := names[s]; ok {
		return name
	}
	return fmt.Sprintf("signal %d", int(s))
}
