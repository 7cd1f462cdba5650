// Package detect reads a folder of source code and guesses how the application
// in it is started, migrated and found healthy. It knows the marks that
// frameworks and their tools leave in files, as tables of rules, and gives for
// every guess the line that it rests on.
//
// It refuses to run anything, to write anything, and to go anywhere: it sees
// what an [fs.FS] shows, and reads a bounded part of that. What it returns is a
// start for a person to edit, never a decision.
package detect

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/ship"
)

// A Project is what a folder seems to hold.
type Project struct {
	App       string
	Framework string // "Django", "Flask" …; "" when only its author's files say how it starts

	Python    *Python
	Prepare   []string // commands, as a person writes them
	Setup     []string
	Processes []Process
	Shared    []string
	Exclude   []string
	Vars      []Var
	Health    Health
	Database  string // kind, "" is none
	Tool      Tool

	Secrets []Secret // names whose values must be supplied
	Guesses []Guess
	Notes   []Note
}

// Python is what a virtual environment is made of.
type Python struct {
	Requirements string // "" is none
	Interpreter  string // "" is the default
}

// A Process is a long-running command.
type Process struct{ Name, Command string }

// A Var is an environment variable and the reference it is set to.
type Var struct{ Name, Value string }

// Health is how the application is asked whether it is well.
type Health struct {
	Path string
	Host string // "" is the default
}

// A Tool is a migration tool with its settings; Kind "" is none.
type Tool struct {
	Kind     string
	Settings []Var
}

// A Secret is a name whose value must be supplied, and why.
type Secret struct {
	Name string   `json:"name"`
	Why  string   `json:"why"`
	At   Evidence `json:"at,omitzero"`
}

// A Guess is a setting that was decided, and what it rests on. A guess without
// evidence is a default.
type Guess struct {
	Key   string   `json:"key"` // where it stands in shiplock.yaml
	Value string   `json:"value"`
	Why   string   `json:"why"`
	At    Evidence `json:"at,omitzero"`
}

// A Note is something a person should know before the first deployment.
type Note struct {
	Text string   `json:"text"`
	At   Evidence `json:"at,omitzero"`
}

// Evidence is a line of a file.
type Evidence struct {
	File string `json:"file"`
	Line int    `json:"line"` // from 1; 0 is the file or folder as a whole
	Text string `json:"text,omitempty"`
}

// String returns "file:line", "file", or "" for no evidence.
func (e Evidence) String() string {
	if e.Line == 0 {
		return e.File
	}
	return fmt.Sprintf("%s:%d", e.File, e.Line)
}

// A rule looks for one thing. It leaves alone what a rule above it decided.
type rule struct {
	about string
	look  func(*scan)
}

// rules returns all of them, the strongest evidence first.
func rules() []rule {
	return []rule{
		{"what the project depends on", dependencies},
		{"processes its author declared", procfile},
		{"the framework and how it starts", frameworks},
		{"a start command in a Dockerfile", dockerfile},
		{"building its web assets", assets},
		{"workers beside the web process", workers},
		{"the database", databaseKind},
		{"the migration tool", migrations},
		{"where it says that it is well", health},
		{"variables it cannot start without", variables},
		{"whether it uses the database it is given", databaseRead},
		{"what a release does not need", exclusions},
		{"whether it listens where it should", ports},
	}
}

// A scan is one reading of a folder: the tree, and what was made of it so far.
type scan struct {
	*tree
	p      Project
	deps   map[string]Evidence // "py:django", "npm:express", "gem:rails", "go:module"
	names  []string            // what the app might be called, best first
	reads  []variable          // of the environment
	django *djangoProject      // nil when it is none
}

// Scan reads the folder and returns what it seems to hold. It fails with kind
// Invalid when nothing tells how the application starts. folder is its name.
func Scan(ctx context.Context, files fs.FS, folder string) (*Project, error) {
	t, err := readTree(ctx, files)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", folder, err)
	}
	s := &scan{tree: t, deps: map[string]Evidence{}}
	for _, r := range rules() {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("looking for %s: %w", r.about, err)
		}
		r.look(s)
	}
	if s.process(ship.Web) == nil {
		return nil, s.nothing(folder)
	}
	s.p.App = appName(append(s.names, folder))
	if t.cut {
		s.note(Evidence{}, "only the first %d files and folders were looked at", maxEntries)
	}
	return &s.p, nil
}

// nothing says why no start command was found, and where to look instead.
func (s *scan) nothing(folder string) error {
	for _, name := range s.files {
		dir, base, nested := cutLast(name)
		if nested && slices.Contains([]string{"manage.py", "package.json", "Procfile", "go.mod", "wsgi.py", "app.py"}, base) {
			return ship.Errorf(ship.Invalid, "shiplock init "+strings.TrimSuffix(folder, "/")+"/"+dir,
				"nothing in %s tells how the application starts, but %s may", folder, name)
		}
	}
	return ship.Errorf(ship.Invalid, "write a Procfile with the line \"web: COMMAND\" and run shiplock init again",
		"nothing in %s tells how the application starts: there is no Procfile, Dockerfile with a CMD, manage.py, Flask or FastAPI app, package.json with a start script, Rails app or Go program",
		folder)
}

// guess notes a decision and what it rests on.
func (s *scan) guess(key, value, why string, at Evidence) {
	s.p.Guesses = append(s.p.Guesses, Guess{key, value, why, at})
}

// note notes something a person should know.
func (s *scan) note(at Evidence, format string, args ...any) {
	n := Note{fmt.Sprintf(format, args...), at}
	if !slices.Contains(s.p.Notes, n) {
		s.p.Notes = append(s.p.Notes, n)
	}
}

// process returns the process of a name, or nil.
func (s *scan) process(name string) *Process {
	for i := range s.p.Processes {
		if s.p.Processes[i].Name == name {
			return &s.p.Processes[i]
		}
	}
	return nil
}

// start adds a process, unless there is one of that name.
func (s *scan) start(name, command, why string, at Evidence) {
	if s.process(name) != nil {
		return
	}
	if len(s.p.Processes) == maxProcesses {
		s.note(at, "only %d processes were taken: add the others under run.processes", maxProcesses)
		return
	}
	s.p.Processes = append(s.p.Processes, Process{name, command})
	s.guess("run.processes."+name, command, why, at)
}

// framework says what the project is.
func (s *scan) framework(name, why string, at Evidence) {
	s.p.Framework = name
	s.guess("framework", name, why, at)
}

// dep returns the first of the dependencies that the project has.
func (s *scan) dep(names ...string) (Evidence, bool) {
	for _, name := range names {
		if at, ok := s.deps[name]; ok {
			return at, true
		}
	}
	return Evidence{}, false
}

func cutLast(name string) (dir, base string, nested bool) {
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		return "", name, false
	}
	return name[:i], name[i+1:], true
}
