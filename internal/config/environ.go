package config

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"

	"github.com/shiplock/shiplock/internal/ship"
)

// Environ is what our own process environment says, read once. The zero value
// is an empty environment of an unprivileged user.
type Environ struct {
	DataDir   string // SHIPLOCK_DATA
	Server    string // SHIPLOCK_SERVER
	NoColor   bool   // NO_COLOR is set and not empty
	Term      string // TERM
	CI        CI
	StepFile  string // GITHUB_STEP_SUMMARY: file a summary is added to
	Home      string // HOME
	StateHome string // XDG_STATE_HOME
	Root      bool   // we run as user 0
}

// CI is the service a process runs in.
type CI string

// The services that are told apart. CIOther is any that sets CI.
const (
	CINone   CI = ""
	CIGitHub CI = "github"
	CIGitLab CI = "gitlab"
	CIOther  CI = "other"
)

// ProcessEnv reads an environment through lookup; nil means our own.
func ProcessEnv(lookup func(string) (string, bool)) Environ {
	if lookup == nil {
		lookup = os.LookupEnv
	}
	get := func(name string) string {
		text, _ := lookup(name)
		return text
	}
	return Environ{
		DataDir:   get("SHIPLOCK_DATA"),
		Server:    get("SHIPLOCK_SERVER"),
		NoColor:   get("NO_COLOR") != "",
		Term:      get("TERM"),
		CI:        ciOf(get),
		StepFile:  get("GITHUB_STEP_SUMMARY"),
		Home:      get("HOME"),
		StateHome: get("XDG_STATE_HOME"),
		Root:      os.Geteuid() == 0,
	}
}

func ciOf(get func(string) string) CI {
	on := func(name string) bool {
		yes, err := strconv.ParseBool(get(name))
		return err == nil && yes
	}
	switch {
	case on("GITHUB_ACTIONS"):
		return CIGitHub
	case on("GITLAB_CI"):
		return CIGitLab
	case on("CI"):
		return CIOther
	}
	return CINone
}

// Lookup reads a variable of our own environment, for references to ${env:NAME}.
func Lookup(name string) (string, bool) { return os.LookupEnv(name) }

// Inherited returns our whole environment, as NAME=VALUE. It is for the program
// that becomes the app in a container, whose environment is the app's; every
// other child starts from [BaseEnviron].
func Inherited() []string { return os.Environ() }

// DataDirectory returns the absolute folder our state is in: what the flag
// says, else SHIPLOCK_DATA, else /var/lib/shiplock for root, else the user's
// state folder.
func (e Environ) DataDirectory(flag string) (string, error) {
	switch {
	case flag != "":
		return filepath.Abs(flag)
	case e.DataDir != "":
		return filepath.Abs(e.DataDir)
	case e.Root:
		return "/var/lib/shiplock", nil
	case filepath.IsAbs(e.StateHome):
		return filepath.Join(e.StateHome, "shiplock"), nil
	case filepath.IsAbs(e.Home):
		return filepath.Join(e.Home, ".local", "state", "shiplock"), nil
	}
	return "", ship.Errorf(ship.Invalid, "set SHIPLOCK_DATA or --data", "no place for our state: %w", errors.New("HOME is not set"))
}

// ServerAddress returns where the control plane is: what the flag says, else
// SHIPLOCK_SERVER, else the file's server; "" is the socket on this machine.
func (e Environ) ServerAddress(flag, file string) (string, error) {
	for _, address := range []string{flag, e.Server, file} {
		if address == "" {
			continue
		}
		if why := checkServer(address); why != "" {
			return "", ship.Errorf(ship.Invalid, "--server ssh://user@host", "%s", why)
		}
		return address, nil
	}
	return "", nil
}

// inherited are the variables children get from us. Everything else we were
// started with, secrets of a CI job first of all, stays with us.
var inherited = [...]string{
	"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR",
	"SSL_CERT_FILE", "SSL_CERT_DIR", "XDG_RUNTIME_DIR",
}

// defaultPath is for a process that was started without PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// BaseEnviron returns the environment every child of ours starts from, as
// NAME=VALUE: a few variables of our own and nothing else.
func BaseEnviron() []string { return baseEnviron(os.LookupEnv) }

func baseEnviron(lookup func(string) (string, bool)) []string {
	list := []string{}
	for _, name := range inherited {
		text, ok := lookup(name)
		switch {
		case ok && text != "":
			list = append(list, name+"="+text)
		case name == "PATH":
			list = append(list, "PATH="+defaultPath)
		case name == "LANG":
			list = append(list, "LANG=C.UTF-8")
		}
	}
	return list
}
