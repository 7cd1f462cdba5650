package detect

import (
	"encoding/json"
	"path"
	"regexp"
	"strings"

	"github.com/shiplock/shiplock/internal/argv"
	"github.com/shiplock/shiplock/internal/ship"
)

var (
	procfileLine = regexp.MustCompile(`^([A-Za-z0-9][\w-]*)\s*:\s*(.+)$`)
	migrateWords = regexp.MustCompile(`manage\.py migrate|flask db upgrade|alembic .*upgrade|db:migrate|prisma migrate deploy|goose .*up|dbmate .*up|flyway .*migrate`)
)

// procfile takes the processes of a Procfile, which its author wrote to be
// run. The release line is not a process: what it does is either migrating,
// which is not done behind the back of the migration lock, or setting up.
func procfile(s *scan) {
	src := s.read("Procfile")
	for i, line := range src.lines {
		m := procfileLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if name := processName(m[1]); name == "release" {
			s.releaseLine(m[2], src.at(i))
		} else {
			s.declared(name, m[2], src.at(i))
		}
	}
}

func (s *scan) releaseLine(command string, at Evidence) {
	if migrateWords.MatchString(command) {
		s.note(at, "the release line migrates: shiplock does that itself, under its lock and after a backup")
		return
	}
	command, vars := cutAssignments(command)
	if why := needsShell(command); why != "" {
		s.note(at, "the release line was left out (%s): put it into a script and name that under run.setup", why)
		return
	}
	s.p.Vars = append(s.p.Vars, vars...)
	s.p.Setup = append(s.p.Setup, command)
	s.guess("run.setup", command, "the release line of the Procfile", at)
}

// declared adds a process as its author wrote it.
func (s *scan) declared(name, command string, at Evidence) {
	command, vars := cutAssignments(command)
	if name == ship.Web {
		command = webCommand(command)
	}
	if why := needsShell(command); why != "" {
		s.note(at, "the process %s was left out (%s): put it into a script", name, why)
		return
	}
	s.p.Vars = append(s.p.Vars, vars...)
	s.start(name, command, "the line of the Procfile", at)
}

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

// processName makes a name of the configuration from another name.
func processName(name string) string {
	name = strings.Trim(notInName.ReplaceAllString(strings.ToLower(name), "-"), "-")
	name = strings.TrimLeft(name, "0123456789-")
	return strings.TrimRight(name[:min(39, len(name))], "-")
}

// appName returns the first of the names that can be an app's and says
// something about it.
func appName(names []string) string {
	generic := map[string]bool{
		"": true, "go": true, "app": true, "src": true, "config": true, "core": true, "project": true, "main": true, "wsgi": true,
		"asgi": true, "server": true, "backend": true, "web": true, "api": true, "site": true, "mysite": true, "run": true, "cmd": true, "application": true,
	}
	last := ""
	for _, name := range names {
		if name = processName(path.Base(name)); !generic[name] {
			return name
		}
		if name != "" {
			last = name
		}
	}
	if last == "" {
		return "app"
	}
	return last
}

var (
	dockerStart  = regexp.MustCompile(`(?i)^\s*(CMD|ENTRYPOINT)\s+(.+)$`)
	dockerStage  = regexp.MustCompile(`(?i)^\s*FROM\s`)
	dockerHealth = regexp.MustCompile(`(?i)\b(?:curl|wget)\b.*https?://(?:localhost|127\.0\.0\.1)[^/\s"']*(/[^\s"'|]*)`)
)

// dockerfile takes the start command of the last stage of a Dockerfile, unless
// something stronger said how the application starts.
func dockerfile(s *scan) {
	src := s.read("Dockerfile")
	words := map[string]ship.Argv{}
	var at Evidence
	for i := 0; i < len(src.lines); i++ {
		line, begin := src.lines[i], i
		for strings.HasSuffix(line, "\\") && i+1 < len(src.lines) {
			i++
			line = strings.TrimSuffix(line, "\\") + " " + strings.TrimSpace(src.lines[i])
		}
		if dockerStage.MatchString(line) {
			clear(words)
		} else if m := dockerStart.FindStringSubmatch(line); m != nil {
			words[strings.ToUpper(m[1])] = dockerWords(m[2])
			at = src.at(begin)
		}
	}
	command := append(words["ENTRYPOINT"], words["CMD"]...)
	switch {
	case len(command) == 0 || s.process(ship.Web) != nil:
	case path.IsAbs(command[0]):
		s.note(at, "the image starts %s, a path within the image: write a command that works in the project's folder", command[0])
	default:
		s.startImage(argv.Join(command), at)
	}
}

func (s *scan) startImage(command string, at Evidence) {
	command = webCommand(command)
	if why := needsShell(command); why != "" {
		s.note(at, "what the image starts was left out (%s): put it into a script", why)
		return
	}
	s.start(ship.Web, command, "what the image starts", at)
}

// dockerWords reads a command in either of its two forms.
func dockerWords(text string) ship.Argv {
	var list []string
	if json.Unmarshal([]byte(text), &list) == nil {
		return list
	}
	words, err := argv.Split(portDefault.ReplaceAllLiteralString(text, "$PORT"))
	if err != nil {
		return nil
	}
	return words
}
