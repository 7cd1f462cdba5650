package detect

import (
	"path"
	"regexp"
	"strings"

	"github.com/shiplock/shiplock/internal/ship"
)

// A djangoProject is where the parts of a Django project are.
type djangoProject struct {
	module   string   // of the settings, "shop.settings"
	settings []string // files of the settings, those for production first
	urls     string   // file of the root URL configuration
}

var (
	djangoMark     = regexp.MustCompile(`execute_from_command_line|DJANGO_SETTINGS_MODULE`)
	settingsModule = regexp.MustCompile(`DJANGO_SETTINGS_MODULE["'],\s*["']([\w.]+)["']`)
	rootURLs       = regexp.MustCompile(`^ROOT_URLCONF\s*=\s*["']([\w.]+)["']`)
	wsgiSetting    = regexp.MustCompile(`^WSGI_APPLICATION\s*=\s*["']([\w.]+)\.(\w+)["']`)
	asgiSetting    = regexp.MustCompile(`^ASGI_APPLICATION\s*=\s*["']([\w.]+)\.(\w+)["']`)
	staticRoot     = regexp.MustCompile(`^STATIC_ROOT\s*=\s*(.*)$`)
	mediaRoot      = regexp.MustCompile(`^MEDIA_ROOT\s*=\s*(.*)$`)
	allowedHosts   = regexp.MustCompile(`^ALLOWED_HOSTS\s*=\s*\[([^\]]*)\]`)
	lastQuoted     = regexp.MustCompile(`["']([\w./-]+)["']\s*\)*\s*,?\s*(?:#.*)?$`)
)

// moduleFile is the file of a Python module.
func moduleFile(module string) string { return strings.ReplaceAll(module, ".", "/") + ".py" }

func django(s *scan) bool {
	at, m := s.read("manage.py").find(djangoMark)
	if m == nil {
		return false
	}
	s.framework("Django", "manage.py runs Django's commands", at)
	s.django = s.djangoProject()
	s.djangoServer()
	s.djangoFiles()
	s.djangoHosts()
	return true
}

// djangoProject finds the settings. A project may have a module of them, or a
// package with one for each place.
func (s *scan) djangoProject() *djangoProject {
	d := &djangoProject{}
	at, m := s.read("manage.py").find(settingsModule)
	if m == nil {
		return d
	}
	d.module = m[1]
	folder := strings.TrimSuffix(moduleFile(d.module), ".py")
	if !s.has(folder + "/__init__.py") {
		folder = path.Dir(folder)
	}
	for _, name := range []string{"production", "prod", "base", "common", "settings", "__init__"} {
		if file := folder + "/" + name + ".py"; s.has(file) {
			d.settings = append(d.settings, file)
		}
	}
	if own := moduleFile(d.module); s.has(own) {
		d.settings = append(d.settings, own)
	}
	for _, name := range []string{"production", "prod"} {
		module := strings.ReplaceAll(folder, "/", ".") + "." + name
		if s.has(moduleFile(module)) && module != d.module {
			s.p.Vars = append(s.p.Vars, Var{"DJANGO_SETTINGS_MODULE", module})
			s.guess("vars.DJANGO_SETTINGS_MODULE", module, "manage.py would take "+d.module, at)
			break
		}
	}
	if _, m := s.grep(rootURLs, d.settings...); m != nil {
		d.urls = moduleFile(m[1])
	}
	return d
}

// A server runs the applications of a Python project.
type server struct {
	dep     string
	asgi    bool
	command func(module, object string) string
}

func servers() []server {
	return []server{
		{"py:gunicorn", false, func(module, object string) string {
			if object != "application" {
				module += ":" + object
			}
			return "gunicorn " + quoteWord(module) + " --bind " + loopback
		}},
		{"py:uvicorn", true, func(module, object string) string {
			return "uvicorn " + module + ":" + object + " --host 127.0.0.1 --port $PORT"
		}},
		{"py:daphne", true, func(module, object string) string {
			return "daphne -b 127.0.0.1 -p $PORT " + module + ":" + object
		}},
		{"py:hypercorn", true, func(module, object string) string {
			return "hypercorn " + module + ":" + object + " --bind " + loopback
		}},
		{"py:waitress", false, func(module, object string) string {
			return "waitress-serve --listen=" + loopback + " " + quoteWord(module+":"+object)
		}},
	}
}

// quoteWord keeps a factory's parentheses from a shell's meaning.
func quoteWord(word string) string {
	if strings.Contains(word, "(") {
		return "'" + word + "'"
	}
	return word
}

func (s *scan) djangoServer() {
	for _, sv := range servers() {
		dep, ok := s.dep(sv.dep)
		if !ok {
			continue
		}
		at, module, object := s.djangoEntry(sv.asgi)
		if module == "" {
			continue
		}
		s.names = append(s.names, strings.Split(module, ".")[0])
		s.start(ship.Web, sv.command(module, object), "with "+strings.TrimPrefix(sv.dep, "py:")+" from "+dep.String(), at)
		return
	}
	if s.process(ship.Web) != nil {
		return
	}
	at := Evidence{File: "manage.py"}
	s.start(ship.Web, "python manage.py runserver --noreload "+loopback, "no server is among the dependencies", at)
	s.note(at, "Django's own server is not made for users: add gunicorn to the requirements")
}

// djangoEntry returns the module and the name of the application.
func (s *scan) djangoEntry(asgi bool) (at Evidence, module, object string) {
	re, name := wsgiSetting, "wsgi.py"
	if asgi {
		re, name = asgiSetting, "asgi.py"
	}
	if at, m := s.grep(re, s.django.settings...); m != nil {
		return at, m[1], m[2]
	}
	for _, file := range s.files {
		if path.Base(file) == name && strings.Count(file, "/") == 1 {
			return Evidence{File: file}, strings.ReplaceAll(strings.TrimSuffix(file, ".py"), "/", "."), "application"
		}
	}
	return at, "", ""
}

// djangoFiles finds what is made at set-up and what outlives releases.
func (s *scan) djangoFiles() {
	if at, m := s.grep(staticRoot, s.django.settings...); m != nil {
		const command = "python manage.py collectstatic --noinput"
		if !contains(s.p.Setup, "collectstatic") {
			// Once per release and before it is sealed: it needs no database,
			// and an unprivileged user could not write there later.
			s.p.Prepare = append(s.p.Prepare, command)
			s.guess("run.prepare", command, "static files are collected", at)
		}
		if folder := lastQuoted.FindStringSubmatch(m[1]); folder != nil && s.dirs[folder[1]] {
			s.exclude(folder[1]+"/", "collectstatic makes it", at)
		}
	}
	if at, m := s.grep(mediaRoot, s.django.settings...); m != nil {
		if folder := lastQuoted.FindStringSubmatch(m[1]); folder != nil {
			s.share(strings.Trim(folder[1], "/"), "uploads outlive releases", at)
		}
	}
}

// djangoHosts makes the probe ask for a host that Django answers to.
func (s *scan) djangoHosts() {
	at, m := s.grep(allowedHosts, s.django.settings...)
	if m == nil || strings.TrimSpace(m[1]) == "" || strings.Contains(m[1], "*") || strings.Contains(m[1], "127.0.0.1") || strings.Contains(m[1], "localhost") {
		return
	}
	if host := regexp.MustCompile(`["']\.?([a-z0-9.-]+)["']`).FindStringSubmatch(m[1]); host != nil {
		s.p.Health.Host = host[1]
		s.guess("health.host", host[1], "Django answers to no other", at)
	}
}

func contains(commands []string, word string) bool {
	for _, c := range commands {
		if strings.Contains(c, word) {
			return true
		}
	}
	return false
}
