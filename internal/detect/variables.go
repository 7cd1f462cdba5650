package detect

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// A variable is one that the code reads from its environment.
type variable struct {
	name     string
	required bool // nothing stands in for it
	at       Evidence
}

// A reader is how a language reads a variable. The name is the first group;
// what comes of the second tells whether there is a default.
type reader struct {
	endings  []string
	re       *regexp.Regexp
	required func(rest string) bool
}

func readers() []reader {
	always := func(string) bool { return true }
	never := func(string) bool { return false }
	alone := func(rest string) bool { return strings.HasPrefix(strings.TrimSpace(rest), ")") }
	noDefault := func(rest string) bool { return !strings.Contains(rest, "||") && !strings.Contains(rest, "??") }
	return []reader{
		{[]string{".py"}, regexp.MustCompile(`os\.environ\[["'](\w+)["']\]`), always},
		{[]string{".py"}, regexp.MustCompile(`os\.(?:getenv|environ\.get)\(\s*["'](\w+)["']`), never},
		{[]string{".py"}, regexp.MustCompile(`\b(?:env|config)(?:\.\w+)?\(\s*["']([A-Z][A-Z0-9_]+)["']`), alone},
		{[]string{".js", ".ts", ".mjs", ".cjs"}, regexp.MustCompile(`process\.env\.([A-Z]\w*)`), noDefault},
		{[]string{".js", ".ts", ".mjs", ".cjs"}, regexp.MustCompile(`process\.env\[["'](\w+)["']\]`), noDefault},
		{[]string{".go"}, regexp.MustCompile(`os\.(?:Getenv|LookupEnv)\("(\w+)"\)`), always},
		{[]string{".rb"}, regexp.MustCompile(`ENV\.fetch\(\s*["'](\w+)["']`), alone},
		{[]string{".rb"}, regexp.MustCompile(`ENV\[["'](\w+)["']\]`), never},
	}
}

var (
	assigned   = regexp.MustCompile(`^\s*=[^=]`)
	isSecret   = regexp.MustCompile(`SECRET|PASSWORD|PASSWD|TOKEN|API_?KEY|PRIVATE_?KEY|CREDENTIAL|_DSN$|^DSN$|MASTER_KEY`)
	isDatabase = regexp.MustCompile(`^(SQLALCHEMY_DATABASE_(URI|URL)|DB_URL|DB_DSN|POSTGRES(QL)?_(URL|DSN)|PG_?URL|PG_?DSN|DATABASE_(DSN|URI)|DSN)$`)
	// given are set by whoever starts the process.
	given = regexp.MustCompile(`^(PORT|HOME|PATH|USER|TZ|LANG|TMPDIR|CI|DATABASE_URL|NODE_ENV|RAILS_ENV|DJANGO_SETTINGS_MODULE|SHIPLOCK_.*)$`)
)

// variables finds what the code reads from its environment: secrets it cannot
// do without become references, the others are named.
func variables(s *scan) {
	seen := map[string]bool{}
	for _, r := range readers() {
		for _, file := range s.code(r.endings...) {
			s.readVariables(r, s.read(file), seen)
		}
	}
	var unset []string
	var first Evidence
	for _, v := range s.reads {
		switch {
		case given.MatchString(v.name) || s.isSet(v.name):
		case isDatabase.MatchString(v.name) && s.p.Database != "":
			s.refer(v, "DATABASE_URL", "the code reads the database's URL from it")
		case !v.required:
		case isSecret.MatchString(v.name):
			s.refer(v, v.name, "the code does not start without it")
			s.p.Secrets = append(s.p.Secrets, Secret{v.name, "read by the code, without a default", v.at})
		default:
			if unset = append(unset, v.name); len(unset) == 1 {
				first = v.at
			}
		}
	}
	if len(unset) > 0 {
		s.note(first, "the code also reads %s: set under vars what has no default", strings.Join(unset[:min(len(unset), 12)], ", "))
	}
}

func (s *scan) readVariables(r reader, src *source, seen map[string]bool) {
	if manual.MatchString(path.Base(src.name)) {
		return
	}
	for i, line := range src.lines {
		if len(line) > maxLine || !strings.Contains(strings.ToLower(line), "env") && !strings.Contains(line, "config(") {
			continue
		}
		for _, m := range r.re.FindAllStringSubmatchIndex(line, -1) {
			name, rest := line[m[2]:m[3]], line[m[1]:]
			if seen[name] || len(s.reads) == maxVariables {
				continue
			}
			seen[name] = true
			if !assigned.MatchString(rest) { // else the code sets it by itself
				s.reads = append(s.reads, variable{name, r.required(rest), src.at(i)})
			}
		}
	}
}

// manual are files whose variables are for people at a keyboard.
var manual = regexp.MustCompile(`^(setup|fabfile|noxfile|tasks|conftest)\.py$|^(webpack|vite|jest|rollup|eslint|playwright)\.config\.`)

func (s *scan) isSet(name string) bool {
	return slices.ContainsFunc(s.p.Vars, func(v Var) bool { return v.Name == name })
}

// refer sets a variable to a secret.
func (s *scan) refer(v variable, secret, why string) {
	value := "${secret:" + secret + "}"
	s.p.Vars = append(s.p.Vars, Var{v.name, value})
	s.guess("vars."+v.name, value, why, v.at)
}

// SecretsFile is the file that a written configuration looks secrets up in,
// beside it.
const SecretsFile = "secrets.env"

// An exclusionRule names something that a release does not need.
type exclusionRule struct {
	pattern string
	there   func(*scan) (string, bool) // what was found of it
	why     string
}

func exclusionRules() []exclusionRule {
	folder := func(name string) func(*scan) (string, bool) {
		return func(s *scan) (string, bool) { return name, s.dirs[name] }
	}
	ending := func(ext ...string) func(*scan) (string, bool) {
		return func(s *scan) (string, bool) {
			i := slices.IndexFunc(s.files, func(f string) bool { return slices.Contains(ext, path.Ext(f)) })
			if i < 0 {
				return "", false
			}
			return s.files[i], true
		}
	}
	return []exclusionRule{
		{"tests/", folder("tests"), "tests are run before a release"},
		{"test/", folder("test"), "tests are run before a release"},
		{"spec/", folder("spec"), "tests are run before a release"},
		{"docs/", folder("docs"), "for readers"},
		{".github/", folder(".github"), "for the forge"},
		{"*.sqlite3", ending(".sqlite3"), "the database of a desk"},
		{"*.db", ending(".db"), "the database of a desk"},
		{"venv/", folder("venv"), "made anew for each release"},
	}
}

// exclusions names what a release does not need. Folders that outlive releases
// are not of any release.
func exclusions(s *scan) {
	if len(s.p.Secrets) > 0 {
		s.exclude(SecretsFile, "secrets are not packed", Evidence{})
	}
	for _, r := range exclusionRules() {
		if name, ok := r.there(s); ok {
			s.exclude(r.pattern, r.why, Evidence{File: name})
		}
	}
	for _, name := range []string{"uploads", "media", "storage", "public/uploads"} {
		if s.dirs[name] && len(s.p.Shared) == 0 && !s.holdsCode(name) {
			s.share(name, "a folder that users' files are kept in", Evidence{File: name})
		}
	}
	for _, name := range s.p.Shared {
		if s.dirs[name] {
			s.exclude(name+"/", "it outlives releases", Evidence{File: name})
		}
	}
}

// holdsCode tells whether a folder has source code: then it is a module that
// happens to be called so.
func (s *scan) holdsCode(dir string) bool {
	return slices.ContainsFunc(s.code(".py", ".js", ".ts", ".go", ".rb", ".yml"), func(f string) bool { return strings.HasPrefix(f, dir+"/") })
}

func (s *scan) exclude(pattern, why string, at Evidence) {
	if !slices.Contains(s.p.Exclude, pattern) {
		s.p.Exclude = append(s.p.Exclude, pattern)
		s.guess("release.exclude", pattern, why, at)
	}
}

func (s *scan) share(dir, why string, at Evidence) {
	if !slices.Contains(s.p.Shared, dir) {
		s.p.Shared = append(s.p.Shared, dir)
		s.guess("run.shared", dir, why, at)
	}
}
