package detect

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/ship"
)

var railsMark = regexp.MustCompile(`rails/commands|APP_PATH`)

func rails(s *scan) bool {
	at, m := s.read("bin/rails").find(railsMark)
	if m == nil {
		return false
	}
	s.framework("Rails", "bin/rails runs Rails' commands", at)
	s.prepare("bundle install", "what the Gemfile lists", Evidence{File: "Gemfile"})
	if puma, ok := s.dep("gem:puma"); ok {
		s.start(ship.Web, "bundle exec puma -b tcp://"+loopback, "with puma from "+puma.String(), at)
	}
	s.start(ship.Web, "bin/rails server -b 127.0.0.1 -p $PORT", "Rails' own command", at)
	if at, ok := s.dep("gem:sprockets-rails", "gem:propshaft"); ok {
		s.prepare("bin/rails assets:precompile", "it has assets", at)
	}
	return true
}

var (
	startScript = regexp.MustCompile(`"start"\s*:`)
	buildScript = regexp.MustCompile(`"build"\s*:`)
	plainNode   = regexp.MustCompile(`^(?:NODE_ENV=\w+\s+)?node\s`)
)

func node(s *scan) bool {
	src, p := s.npm()
	command := p.Scripts["start"]
	if command == "" {
		return false
	}
	at, _ := src.find(startScript)
	s.framework("Node", "package.json has a start script", at)
	s.names = append(s.names, p.Name)
	s.install()
	if build, ok := p.Scripts["build"]; ok {
		at, _ := src.find(buildScript)
		s.prepare("npm run build", build, at)
	}
	rest, vars := cutAssignments(command)
	if plainNode.MatchString(command) && needsShell(rest) == "" {
		// Without npm in between the server itself gets the signals.
		s.p.Vars = append(s.p.Vars, vars...)
		s.start(ship.Web, rest, "the start script", at)
		return true
	}
	if strings.HasPrefix(rest, "next start") {
		s.start(ship.Web, "npm start -- --hostname 127.0.0.1 --port $PORT", "the start script: "+command, at)
		return true
	}
	s.start(ship.Web, "npm start", "the start script: "+command, at)
	s.note(at, "npm stands between shiplock and the server: a plain \"node …\" as run.processes.web gets signals sooner")
	return true
}

// install adds what installs the packages of package.json.
func (s *scan) install() {
	for _, r := range []struct{ lock, command string }{
		{"pnpm-lock.yaml", "pnpm install --frozen-lockfile"},
		{"yarn.lock", "yarn install --frozen-lockfile"},
		{"package-lock.json", "npm ci"},
		{"npm-shrinkwrap.json", "npm ci"},
		{"package.json", "npm install"},
	} {
		if s.has(r.lock) {
			s.prepare(r.command, "what it depends on", Evidence{File: r.lock})
			break
		}
	}
	if s.dirs["node_modules"] {
		s.exclude("node_modules/", "installed anew for each release", Evidence{File: "node_modules"})
	}
}

// assets builds the front end of a project whose server is not Node.
func assets(s *scan) {
	src, p := s.npm()
	if build, ok := p.Scripts["build"]; ok && s.p.Framework != "Node" {
		at, _ := src.find(buildScript)
		s.install()
		s.prepare("npm run build", build, at)
	}
}

// prepare adds a command that is run once for each release.
func (s *scan) prepare(command, why string, at Evidence) {
	if !slices.Contains(s.p.Prepare, command) {
		s.p.Prepare = append(s.p.Prepare, command)
		s.guess("run.prepare", command, why, at)
	}
}

var (
	goModule     = regexp.MustCompile(`^module\s+(\S+)`)
	majorVersion = regexp.MustCompile(`/v[0-9]+$`)
	goMain       = regexp.MustCompile(`^package main\b`)
	goMainFunc   = regexp.MustCompile(`^func main\(\)`)
	goCommand    = regexp.MustCompile(`^// Command ([\w-]+)`)
	goListens    = regexp.MustCompile(`ListenAndServe|\.Serve\(|\.Run\(|\.Listen\(|\.Start\(`)
	goAddrFlag   = regexp.MustCompile(`\w\.String(?:Var)?\((?:&[\w.]+,\s*)?"(addr|address|listen|http|bind|http-addr|listen-addr)"`)
	goPortFlag   = regexp.MustCompile(`\w\.(?:Int|String|Uint)(?:Var)?\((?:&[\w.]+,\s*)?"(port|http-port)"`)
)

func golang(s *scan) bool {
	at, folder, ok := s.goProgram()
	if !ok {
		return false
	}
	s.framework("Go", "a program that listens", at)
	name := s.goName(folder)
	output, target := name, "."
	if s.dirs[name] {
		output = "bin/" + name
	}
	if folder != "." {
		target = "./" + folder
	}
	build := "go build -o " + output + " " + target
	if s.has("go.mod") {
		s.prepare(build, "the program is built once for each release", at)
	} else {
		s.note(at, "the folder is part of a larger module: build the program before it is packed (%s)", build)
		s.exclude("!/"+output, "the program is packed, whatever .gitignore says", at)
	}
	command := "./" + output
	if fat, flag := s.grep(goAddrFlag, s.goFiles(folder)...); flag != nil {
		command, at = command+" --"+flag[1]+" "+loopback, fat
	} else if fat, flag := s.grep(goPortFlag, s.goFiles(folder)...); flag != nil {
		command, at = command+" --"+flag[1]+" $PORT", fat
	}
	s.start(ship.Web, command, "the program that was built", at)
	return true
}

// goName returns what the program in a folder is called: by its comment, its
// folder or its module.
func (s *scan) goName(folder string) string {
	_, module := s.read("go.mod").find(goModule)
	if module != nil {
		module[1] = majorVersion.ReplaceAllString(module[1], "")
		s.names = append(s.names, path.Base(module[1]))
	}
	_, comment := s.grep(goCommand, s.goFiles(folder)...)
	var names []string
	if comment != nil {
		names = append(names, comment[1])
	}
	if folder != "." {
		names = append(names, path.Base(folder))
	}
	if module != nil {
		names = append(names, path.Base(module[1]))
	}
	name := appName(names)
	s.names = append(s.names, name)
	return name
}

// goProgram finds the main package that most looks like a server: one that
// listens, the shallowest first.
func (s *scan) goProgram() (Evidence, string, bool) {
	var found []Evidence
	var folders []string
	for _, file := range s.code(".go") {
		at, m := s.read(file).find(goMainFunc)
		if _, isMain := s.read(file).find(goMain); m == nil || isMain == nil {
			continue
		}
		folder := path.Dir(file)
		if l, m := s.grep(goListens, s.goFiles(folder)...); m != nil {
			return l, folder, true
		}
		found, folders = append(found, at), append(folders, folder)
	}
	if len(found) == 0 {
		return Evidence{}, "", false
	}
	if len(found) > 1 {
		s.note(found[0], "%d programs are here (%s), the first was taken", len(found), strings.Join(folders, ", "))
	}
	return found[0], folders[0], true
}

// goFiles returns the files of a package.
func (s *scan) goFiles(folder string) []string {
	var names []string
	for _, file := range s.code(".go") {
		if path.Dir(file) == folder {
			names = append(names, file)
		}
	}
	return names
}
