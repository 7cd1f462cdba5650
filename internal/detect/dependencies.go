package detect

import (
	"encoding/json"
	"path"
	"regexp"
	"strings"
)

// dependencies reads what the project says that it needs.
func dependencies(s *scan) {
	pythonDependencies(s)
	npmDependencies(s)
	listed(s, "Gemfile", "gem:", regexp.MustCompile(`^\s*gem\s+["']([\w-]+)["']`))
	listed(s, "go.mod", "go:", regexp.MustCompile(`^(?:require\s+|\t)([\w./~-]+\.[\w./~-]+) v`))
}

// listed reads a file that names one dependency a line.
func listed(s *scan, file, prefix string, re *regexp.Regexp) {
	src := s.read(file)
	for i, line := range src.lines {
		if m := re.FindStringSubmatch(line); m != nil {
			s.depend(prefix+m[1], src.at(i))
		}
	}
}

func (s *scan) depend(name string, at Evidence) {
	if _, ok := s.deps[name]; !ok {
		s.deps[name] = at
	}
}

// requirementFiles are where projects keep what pip installs, the likeliest
// for production first.
var requirementFiles = []string{
	"requirements.txt", "requirements/production.txt", "requirements/prod.txt", "requirements/base.txt",
	"requirements/requirements.txt", "requirements-prod.txt", "requirements.prod.txt",
}

func pythonDependencies(s *scan) {
	if _, m := s.read("pyproject.toml").find(projectName); m != nil {
		s.names = append(s.names, m[1])
	}
	file, ok := s.first(requirementFiles...)
	switch {
	case ok:
		s.p.Python = &Python{Requirements: file}
		s.requirements(file, map[string]bool{})
		s.guess("run.python.requirements", file, "what pip installs for each release", Evidence{File: file})
	case s.has("pyproject.toml"):
		s.pyproject()
	case s.has("Pipfile"):
		listed(s, "Pipfile", "py:", regexp.MustCompile(`^([A-Za-z0-9][\w.-]*)\s*=`))
		s.p.Python = &Python{}
		s.note(Evidence{File: "Pipfile"}, "pip cannot install from a Pipfile: pipenv requirements > requirements.txt, then run.python.requirements")
	default:
		return
	}
	s.interpreter()
}

var (
	requirementLine    = regexp.MustCompile(`^([A-Za-z0-9][\w.-]*)`)
	requirementInclude = regexp.MustCompile(`^(?:-r|--requirement)[ =]?\s*(\S+)`)
)

// requirements reads a requirements file and those it includes.
func (s *scan) requirements(file string, seen map[string]bool) {
	if seen[file] || len(seen) == 20 {
		return
	}
	seen[file] = true
	src := s.read(file)
	for i, line := range src.lines {
		if m := requirementInclude.FindStringSubmatch(line); m != nil {
			s.requirements(path.Join(path.Dir(file), m[1]), seen)
		} else if m := requirementLine.FindStringSubmatch(line); m != nil {
			s.depend("py:"+pythonName(m[1]), src.at(i))
		}
	}
}

// pythonName writes a distribution's name as the index does.
func pythonName(name string) string {
	return strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name))
}

var (
	quotedName   = regexp.MustCompile(`["']([A-Za-z0-9][\w.-]*)[^"']*["']`)
	tomlKey      = regexp.MustCompile(`^([A-Za-z0-9][\w.-]*)\s*=`)
	tomlSection  = regexp.MustCompile(`^\[+([^\]]+)\]+`)
	projectName  = regexp.MustCompile(`^name\s*=\s*["']([^"']+)["']`)
	buildSection = regexp.MustCompile(`^\[build-system\]`)
)

// pyproject reads the dependencies of pyproject.toml, as PEP 621 and Poetry
// write them.
func (s *scan) pyproject() {
	src := s.read("pyproject.toml")
	section, inList := "", false
	for i, line := range src.lines {
		if m := tomlSection.FindStringSubmatch(line); m != nil {
			section, inList = m[1], false
			continue
		}
		switch section {
		case "project":
			if strings.HasPrefix(line, "dependencies") {
				inList = true
				_, line, _ = strings.Cut(line, "=")
			}
			if inList {
				for _, m := range quotedName.FindAllStringSubmatch(line, -1) {
					s.depend("py:"+pythonName(m[1]), src.at(i))
				}
				inList = !strings.HasSuffix(strings.TrimSpace(line), "]")
			}
		case "tool.poetry.dependencies":
			if m := tomlKey.FindStringSubmatch(line); m != nil {
				s.depend("py:"+pythonName(m[1]), src.at(i))
			}
		}
	}
	s.p.Python = &Python{}
	at := Evidence{File: "pyproject.toml"}
	if build, m := src.find(buildSection); m != nil {
		s.p.Prepare = append(s.p.Prepare, "pip install .")
		s.guess("run.prepare", "pip install .", "the project can be built, and there is no requirements.txt", build)
		return
	}
	s.note(at, "pip installs nothing from this file: write its lock as requirements.txt (uv export --no-dev, poetry export) and name it under run.python.requirements")
}

var pythonVersion = regexp.MustCompile(`^(?:python-)?(3\.\d+)`)

// interpreter reads which Python the project asks for.
func (s *scan) interpreter() {
	for _, file := range []string{"runtime.txt", ".python-version"} {
		if at, m := s.read(file).find(pythonVersion); m != nil {
			s.p.Python.Interpreter = "python" + m[1]
			s.guess("run.python.interpreter", s.p.Python.Interpreter, "the version the project asks for", at)
			return
		}
	}
}

// A packageJSON is what matters of a package.json.
type packageJSON struct {
	Name            string            `json:"name"`
	Scripts         map[string]string `json:"scripts"`
	Dependencies    map[string]any    `json:"dependencies"`
	DevDependencies map[string]any    `json:"devDependencies"`
}

// npm returns the project's package.json; a broken one is empty.
func (s *scan) npm() (*source, packageJSON) {
	src := s.read("package.json")
	var p packageJSON
	if json.Unmarshal([]byte(strings.Join(src.lines, "\n")), &p) != nil {
		return src, packageJSON{}
	}
	return src, p
}

func npmDependencies(s *scan) {
	src, p := s.npm()
	for _, deps := range []map[string]any{p.Dependencies, p.DevDependencies} {
		for name := range deps {
			at, _ := src.find(regexp.MustCompile(`"` + regexp.QuoteMeta(name) + `"\s*:`))
			s.depend("npm:"+name, at)
		}
	}
}
