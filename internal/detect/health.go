package detect

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/ship"
)

// healthWords are what such routes are called, the most telling first.
var healthWords = [...]string{"readyz", "healthz", "health", "healthcheck", "health_check", "health-check", "livez", "up", "status", "ping"}

var (
	// healthRoute is a path that is given to something that routes.
	healthRoute = regexp.MustCompile(`(\w+)?(?:\.|\b)(?:re_path|path|url|route|add_url_rule|add_api_route|get|use|all|GET|Get|Any|any|Handle|HandleFunc)(?:\(\s*|\s+)r?["'` + "`" +
		`](?:GET )?\^?(/?(?:[A-Za-z0-9_.-]+/)*(?:` + strings.Join(healthWords[:], "|") + `))(/?)\$?["'` + "`]")
	// fileRoute is a route that is a file, as Next.js has them.
	fileRoute     = regexp.MustCompile(`^(?:src/)?(?:app/((?:[\w-]+/)*(` + strings.Join(healthWords[:], "|") + `))/route|pages/((?:[\w-]+/)*(` + strings.Join(healthWords[:], "|") + `)))\.[jt]sx?$`)
	djangoInclude = regexp.MustCompile(`path\(\s*r?["']\^?([^"']*)["']\s*,\s*include\(\s*\(?\s*["']([\w.]+)["']`)
	ownPrefix     = regexp.MustCompile(`(?:Blueprint|APIRouter)\(.*prefix\s*=\s*["']([^"']*)["']`)
	mountPrefix   = regexp.MustCompile(`(?:register_blueprint|include_router)\(.*prefix\s*=|\.use\(\s*["'` + "`" + `]/\w`)
	wholeApp      = map[string]bool{"app": true, "application": true, "server": true, "mux": true, "http": true, "api": false}
)

// health finds the path that says whether the application is well.
func health(s *scan) {
	if at, m := s.read("Dockerfile").find(dockerHealth); m != nil {
		s.healthPath(m[1], "the image's own health check", at)
		return
	}
	if at, found := s.bestRoute(); found != "" {
		s.healthPath(found, "a route of that name", at)
		return
	}
	s.guess("health.path", "/", "no route like /healthz was found", Evidence{})
	s.note(Evidence{}, "the health check asks for /: a route that also asks the database says more")
}

// bestRoute returns the route whose name says most, the shallowest first.
func (s *scan) bestRoute() (best Evidence, found string) {
	rank := len(healthWords)
	take := func(at Evidence, route string) {
		if r := slices.Index(healthWords[:], path.Base(route)); r >= 0 && r < rank {
			best, rank, found = at, r, route
		}
	}
	for _, file := range s.code(".py", ".js", ".ts", ".jsx", ".tsx", ".mjs", ".cjs", ".go", ".rb") {
		if m := fileRoute.FindStringSubmatch(file); m != nil {
			take(Evidence{File: file}, "/"+m[1]+m[3])
		}
		prefix, ok := s.prefixOf(file)
		if !ok {
			continue
		}
		if at, m := s.read(file).find(healthRoute); m != nil && s.trusted(m[1], file) {
			take(at, "/"+strings.TrimLeft(strings.TrimRight(prefix, "/")+"/"+strings.TrimLeft(m[2], "/"), "/")+m[3])
		}
	}
	return best, found
}

func (s *scan) healthPath(p, why string, at Evidence) {
	s.p.Health.Path = p
	s.guess("health.path", p, why, at)
}

// prefixOf returns what stands before the routes of a file, where that can be
// told.
func (s *scan) prefixOf(file string) (string, bool) {
	if s.django == nil {
		if _, m := s.read(file).find(ownPrefix); m != nil {
			return m[1], true
		}
		return "", true
	}
	if s.django.urls == "" || path.Ext(file) != ".py" || file == s.django.urls {
		return "", file == s.django.urls
	}
	for _, line := range s.read(s.django.urls).lines {
		if m := djangoInclude.FindStringSubmatch(line); m != nil && moduleFile(m[2]) == file {
			return m[1], true
		}
	}
	return "", false
}

// trusted tells whether a route is where it seems to be: parts of an
// application may be mounted elsewhere.
func (s *scan) trusted(object, file string) bool {
	if wholeApp[object] || s.django != nil {
		return true
	}
	if _, m := s.read(file).find(ownPrefix); m != nil {
		return true
	}
	_, m := s.grep(mountPrefix, s.code(path.Ext(file))...)
	return m == nil
}

// ports tells when nothing says that the web process listens where the proxy
// looks for it.
func ports(s *scan) {
	web := s.process(ship.Web)
	if web == nil || strings.Contains(web.Command, "$PORT") {
		return
	}
	for _, v := range s.reads {
		if v.name == "PORT" {
			return
		}
	}
	s.note(Evidence{}, "nothing shows that %q listens at 127.0.0.1:$PORT, as it must", web.Command)
}
