package detect

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/ship"
)

// A frameworkRule tells a framework; the first that is there is the project's.
type frameworkRule struct {
	name string
	look func(*scan) bool
}

func frameworks(s *scan) {
	for _, f := range []frameworkRule{
		{"Django", django}, {"Flask", flask}, {"FastAPI", fastapi}, {"Rails", rails}, {"Node", node}, {"Go", golang},
	} {
		if !f.look(s) {
			continue
		}
		if python := []string{"Django", "Flask", "FastAPI"}; s.p.Python == nil && slices.Contains(python, f.name) {
			s.note(Evidence{}, "nothing lists what pip has to install: write a requirements.txt and name it under run.python.requirements")
		}
		return
	}
}

var (
	flaskObject    = regexp.MustCompile(`^(\w+)\s*=\s*(?:flask\.)?Flask\(`)
	fastapiObject  = regexp.MustCompile(`^(\w+)\s*(?::\s*\w+\s*)?=\s*(?:fastapi\.)?FastAPI\(`)
	madeObject     = regexp.MustCompile(`^(app|application)\s*=\s*(?:\w+\.)?(?:create_app|make_app|create_application)\(`)
	flaskFactory   = regexp.MustCompile(`^def (create_app|make_app|create_application)\(`)
	entryFiles     = []string{"wsgi.py", "asgi.py", "app.py", "application.py", "main.py", "run.py", "server.py"}
	importedFrom   = regexp.MustCompile(`^from (\w+)(?:\.\w+)* import .*\bcreate_app\b`)
	factoryNeeds   = regexp.MustCompile(`^def \w+\(\s*\w+\s*(?::[^=,)]*)?[,)]`)
	isFlaskCode    = regexp.MustCompile(`^(?:from|import) flask\b`)
	isFastapiCode  = regexp.MustCompile(`^(?:from|import) fastapi\b`)
	defaultServers = map[bool]string{false: "gunicorn", true: "uvicorn"}
)

// moduleOf is the Python module in a file.
func moduleOf(file string) string {
	return strings.ReplaceAll(strings.TrimSuffix(strings.TrimSuffix(file, ".py"), "/__init__"), "/", ".")
}

func flask(s *scan) bool {
	dep, ok := s.dep("py:flask")
	if !ok {
		if dep, ok = s.imports(isFlaskCode); !ok {
			return false
		}
	}
	s.framework("Flask", "it depends on Flask", dep)
	s.pythonApp(flaskObject, false)
	return true
}

func fastapi(s *scan) bool {
	dep, ok := s.dep("py:fastapi")
	if !ok {
		if dep, ok = s.imports(isFastapiCode); !ok {
			return false
		}
	}
	s.framework("FastAPI", "it depends on FastAPI", dep)
	s.pythonApp(fastapiObject, true)
	return true
}

// imports looks for an import where the application may be.
func (s *scan) imports(re *regexp.Regexp) (Evidence, bool) {
	at, m := s.grep(re, s.entries()...)
	return at, m != nil
}

// entries returns the files an application object may be in: the usual names,
// then the packages.
func (s *scan) entries() []string {
	var names []string
	for _, name := range entryFiles {
		if s.has(name) {
			names = append(names, name)
		}
	}
	for _, file := range s.code(".py") {
		base := path.Base(file)
		if strings.Count(file, "/") == 1 && (base == "__init__.py" || slices.Contains(entryFiles, base)) {
			names = append(names, file)
		}
	}
	return names
}

// pythonApp finds the application object, or else the factory of one, and
// starts it.
func (s *scan) pythonApp(object *regexp.Regexp, asgi bool) {
	entries := s.entries()
	at, m := s.grep(object, entries...)
	for _, file := range entries { // of two in one list, the one that is usually loaded
		if made, name := s.read(file).find(madeObject); name != nil && (m == nil || slices.Index(entries, made.File) < slices.Index(entries, at.File)) {
			at, m = made, name
			break
		}
	}
	var name string
	if m != nil {
		name = m[1]
	} else {
		if at, name = s.factory(entries, asgi); name == "" {
			return
		}
	}
	module := moduleOf(at.File)
	if _, from := s.read(at.File).find(importedFrom); from != nil {
		s.names = append(s.names, from[1])
	}
	s.names = append(s.names, strings.Split(module, ".")[0])
	s.serve(module, name, asgi, at)
}

func (s *scan) factory(entries []string, asgi bool) (Evidence, string) {
	at, m := s.grep(flaskFactory, entries...)
	if m == nil {
		return at, ""
	}
	if factoryNeeds.MatchString(s.read(at.File).lines[at.Line-1]) {
		s.note(at, "the factory may want an argument: check what stands in run.processes.web")
	}
	if asgi {
		return at, m[1] + " --factory"
	}
	return at, m[1] + "()"
}

// serve starts an application with the server that the project depends on.
func (s *scan) serve(module, object string, asgi bool, at Evidence) {
	for _, sv := range servers() {
		dep, ok := s.dep(sv.dep)
		if !ok || sv.asgi != asgi {
			continue
		}
		s.start(ship.Web, sv.command(module, object), "with "+strings.TrimPrefix(sv.dep, "py:")+" from "+dep.String(), at)
		return
	}
	if s.process(ship.Web) != nil {
		return
	}
	for _, sv := range servers() {
		if sv.asgi == asgi {
			s.start(ship.Web, sv.command(module, object), "the usual server, which is not among the dependencies", at)
			s.note(at, "add %s to the requirements", defaultServers[asgi])
			return
		}
	}
}

// A workerRule tells a queue by a dependency.
type workerRule struct {
	dep, process, command string
}

// workerRules have their commands in full, but for the module of a Celery app.
func workerRules() []workerRule {
	return []workerRule{
		{"py:django-background-tasks", "worker", "python manage.py process_tasks"},
		{"py:django-q2", "worker", "python manage.py qcluster"},
		{"py:django-rq", "worker", "python manage.py rqworker"},
		{"py:django-dramatiq", "worker", "python manage.py rundramatiq"},
		{"gem:sidekiq", "worker", "bundle exec sidekiq"},
		{"gem:solid_queue", "worker", "bin/jobs"},
		{"gem:good_job", "worker", "bundle exec good_job start"},
	}
}

var (
	celeryApp   = regexp.MustCompile(`^(\w+)\s*=\s*(?:celery\.)?Celery\(`)
	celeryBeat  = regexp.MustCompile(`beat_schedule|CELERY_BEAT_SCHEDULE`)
	commandLoop = regexp.MustCompile(`^\s+while (?:True|not |1)`)
)

// workers finds processes that take work from a queue or a table.
func workers(s *scan) {
	if contains(commandsOf(s.p.Processes), "celery") {
		return
	}
	for _, r := range workerRules() {
		if at, ok := s.dep(r.dep); ok {
			s.start(r.process, r.command, "it depends on "+r.dep[strings.Index(r.dep, ":")+1:], at)
		}
	}
	if _, ok := s.dep("py:celery"); ok {
		s.celery()
	}
	if s.django == nil {
		return
	}
	for _, file := range s.code(".py") {
		if !strings.Contains(file, "management/commands/") {
			continue
		}
		at, m := s.read(file).find(commandLoop)
		command := "python manage.py " + strings.TrimSuffix(path.Base(file), ".py")
		if m != nil && s.process("worker") == nil && !slices.Contains(commandsOf(s.p.Processes), command) {
			s.start("worker", command, "a command of its own that goes on for ever", at)
		}
	}
}

func (s *scan) celery() {
	at, m := s.grep(celeryApp, s.code(".py")...)
	if m == nil {
		return
	}
	module := moduleOf(at.File)
	if path.Base(at.File) == "celery.py" {
		module = moduleOf(path.Dir(at.File)) // celery -A shop finds shop.celery
	}
	s.start("worker", "celery -A "+module+" worker", "the Celery app", at)
	if at, m := s.grep(celeryBeat, s.code(".py")...); m != nil {
		s.start("beat", "celery -A "+module+" beat", "there is a schedule", at)
	}
}

func commandsOf(list []Process) []string {
	var out []string
	for _, p := range list {
		out = append(out, p.Command)
	}
	return out
}
