package detect

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// A databaseRule tells a kind of database by a dependency. An empty kind is
// one that there is no support for.
type databaseRule struct {
	dep, kind string
}

// databaseRules have servers before files: a project that has the drivers of
// both uses the file at its author's desk.
func databaseRules() []databaseRule {
	const postgres, sqlite = "postgres", "sqlite"
	return []databaseRule{
		{"py:psycopg", postgres},
		{"py:psycopg2", postgres},
		{"py:psycopg2-binary", postgres},
		{"py:psycopg-binary", postgres},
		{"py:asyncpg", postgres},
		{"py:pg8000", postgres},
		{"npm:pg", postgres},
		{"npm:postgres", postgres},
		{"npm:pg-promise", postgres},
		{"gem:pg", postgres},
		{"go:github.com/jackc/pgx/v5", postgres},
		{"go:github.com/jackc/pgx/v4", postgres},
		{"go:github.com/lib/pq", postgres},
		{"go:gorm.io/driver/postgres", postgres},
		{"py:mysqlclient", ""},
		{"py:pymysql", ""},
		{"npm:mysql2", ""},
		{"npm:mysql", ""},
		{"gem:mysql2", ""},
		{"go:github.com/go-sql-driver/mysql", ""},
		{"py:aiosqlite", sqlite},
		{"npm:better-sqlite3", sqlite},
		{"npm:sqlite3", sqlite},
		{"gem:sqlite3", sqlite},
		{"go:modernc.org/sqlite", sqlite},
		{"go:github.com/mattn/go-sqlite3", sqlite},
		{"go:gorm.io/driver/sqlite", sqlite},
	}
}

var (
	prismaProvider = regexp.MustCompile(`^\s*provider\s*=\s*"(postgresql|sqlite|mysql)"`)
	djangoEngine   = regexp.MustCompile(`django\.(?:db|contrib\.gis\.db)\.backends\.(postgresql|postgis|sqlite3|spatialite|mysql)`)
	databaseURL    = regexp.MustCompile(`["'](postgres|postgresql|sqlite)(?:\+\w+)?:/`)
)

// databaseKind guesses the kind of database.
func databaseKind(s *scan) {
	defer s.databaseSecret()
	for _, r := range databaseRules() {
		at, ok := s.dep(r.dep)
		switch {
		case !ok:
		case r.kind == "":
			s.note(at, "it uses MySQL, which shiplock does not know: its migrations must be run by hand")
			return
		default:
			s.database(r.kind, "the driver it depends on", at)
			return
		}
	}
	if at, m := s.grep(prismaProvider, "prisma/schema.prisma"); m != nil {
		s.database(m[1], "Prisma's provider", at)
		return
	}
	if s.django != nil {
		if at, m := s.grep(djangoEngine, s.django.settings...); m != nil {
			s.database(m[1], "the engine in the settings", at)
			return
		}
	}
	if at, m := s.grep(databaseURL, s.code(".py", ".js", ".ts", ".go", ".rb")...); m != nil {
		s.database(m[1], "a URL in the code", at)
	}
}

func (s *scan) database(kind, why string, at Evidence) {
	switch kind {
	case "postgresql", "postgis":
		kind = "postgres"
	case "sqlite3", "spatialite":
		kind = "sqlite"
	case "mysql":
		s.note(at, "it uses MySQL, which shiplock does not know: its migrations must be run by hand")
		return
	}
	s.p.Database = kind
	s.guess("database.kind", kind, why, at)
	if kind == "sqlite" {
		s.note(at, "a database file within the release's folder ends with the release: give DATABASE_URL an absolute path, such as sqlite:////var/lib/shop/shop.db")
	}
}

// databaseSecret asks for the URL of what was found.
func (s *scan) databaseSecret() {
	if s.p.Database != "" {
		at := s.p.Guesses[len(s.p.Guesses)-1].At
		s.p.Secrets = append(s.p.Secrets, Secret{"DATABASE_URL", "the URL of the database; every process gets it as DATABASE_URL", at})
	}
}

// readsURL is how code gets hold of DATABASE_URL, by itself or through a library.
var readsURL = regexp.MustCompile(`(?i)database_url|env\.db\(|dj_database_url`)

// databaseRead tells when the application may use another database than the
// one its migrations are applied to.
func databaseRead(s *scan) {
	if s.p.Database == "" || s.p.Framework == "Rails" {
		return
	}
	files := append(s.code(".py", ".js", ".ts", ".mjs", ".cjs", ".go", ".rb"), "prisma/schema.prisma", "alembic.ini")
	if _, m := s.grep(readsURL, files...); m != nil {
		return
	}
	for _, v := range s.reads {
		if isDatabase.MatchString(v.name) {
			return
		}
	}
	s.note(Evidence{}, "nothing here reads DATABASE_URL: the application must use the database that its migrations are applied to")
}

// migrations finds the migration tool.
func migrations(s *scan) {
	for _, look := range []func(*scan) bool{djangoMigrations, alembicMigrations, sqlMigrations, otherMigrations} {
		if look(s) {
			break
		}
	}
	if s.p.Tool.Kind != "" && s.p.Database == "" {
		s.database("postgres", "it has migrations; nothing tells of which database", Evidence{})
		s.databaseSecret()
	}
}

func djangoMigrations(s *scan) bool {
	if s.django == nil {
		return false
	}
	s.p.Tool.Kind = "django"
	s.guess("migrations.tool", "django", "manage.py migrate", Evidence{File: "manage.py"})
	return true
}

var flaskMigrate = regexp.MustCompile(`current_app|flask_migrate`)

// alembicMigrations finds Alembic by its own file, or Flask-Migrate by the env.py
// it writes.
func alembicMigrations(s *scan) bool {
	if at, ok := s.dep("py:flask-migrate"); ok {
		for _, file := range s.files {
			dir, base, _ := cutLast(file)
			if base != "env.py" || strings.Count(dir, "/") > 1 {
				continue
			}
			if _, m := s.read(file).find(flaskMigrate); m == nil {
				continue
			}
			s.p.Tool.Kind = "alembic"
			if dir != "migrations" {
				s.p.Tool.Settings = append(s.p.Tool.Settings, Var{"directory", dir})
			}
			s.flaskApp()
			s.guess("migrations.tool", "alembic", "Flask-Migrate keeps them in "+dir, at)
			return true
		}
	}
	for _, file := range s.files {
		if path.Base(file) != "alembic.ini" || strings.Count(file, "/") > 1 || isTest(file) {
			continue
		}
		s.p.Tool.Kind = "alembic"
		if file != "alembic.ini" {
			s.p.Tool.Settings = append(s.p.Tool.Settings, Var{"flavor", "alembic"}, Var{"ini", file})
		}
		s.guess("migrations.tool", "alembic", "Alembic's configuration", Evidence{File: file})
		return true
	}
	return false
}

var flaskCommand = regexp.MustCompile(`([\w.]+):(\w+(?:\(\))?)`)

// flaskApp tells Flask-Migrate where the application is, when Flask would not
// find it by itself.
func (s *scan) flaskApp() {
	web := s.process("web")
	if web == nil || s.has("wsgi.py") || s.has("app.py") {
		return
	}
	if m := flaskCommand.FindStringSubmatch(web.Command); m != nil {
		s.p.Tool.Settings = append(s.p.Tool.Settings, Var{"app", m[1] + ":" + m[2]})
	}
}

// A convention tells for which tool a file of SQL was written, by its name or
// by a line in it.
type convention struct {
	name string
	file *regexp.Regexp
	line *regexp.Regexp
}

func conventions() []convention {
	return []convention{
		{"flyway", regexp.MustCompile(`^V[0-9][0-9._]*__.+\.sql$`), nil},
		{"golang-migrate", regexp.MustCompile(`^[0-9]+_.+\.up\.sql$`), nil},
		{"goose", regexp.MustCompile(`^[0-9]+_.+\.sql$`), regexp.MustCompile(`(?i)^--\s*\+goose\s+up`)},
		{"dbmate", regexp.MustCompile(`^[0-9]+_.+\.sql$`), regexp.MustCompile(`(?i)^--\s*migrate:up`)},
	}
}

// sqlMigrations finds the folder with most files that follow a convention.
func sqlMigrations(s *scan) bool {
	type found struct {
		at    Evidence
		name  string
		count int
	}
	folders := map[string]*found{}
	var order []string
	for _, file := range s.code(".sql") {
		at, name := s.convention(file)
		if name == "" {
			continue
		}
		key := path.Dir(file) + " " + name
		if folders[key] == nil {
			folders[key] = &found{at, name, 0}
			order = append(order, key)
		}
		folders[key].count++
	}
	if len(order) == 0 {
		return false
	}
	best := slices.MaxFunc(order, func(a, b string) int { return folders[a].count - folders[b].count })
	dir, f := strings.TrimSuffix(best, " "+folders[best].name), folders[best]
	s.p.Tool.Kind = "sqlfiles"
	if dir != "migrations" {
		s.p.Tool.Settings = append(s.p.Tool.Settings, Var{"dir", dir})
	}
	s.p.Tool.Settings = append(s.p.Tool.Settings, Var{"convention", f.name})
	s.guess("migrations.tool", "sqlfiles", "files as "+f.name+" has them, in "+dir, f.at)
	return true
}

func (s *scan) convention(file string) (Evidence, string) {
	for _, c := range conventions() {
		if !c.file.MatchString(path.Base(file)) {
			continue
		}
		if c.line == nil {
			return Evidence{File: file}, c.name
		}
		if at, m := s.read(file).find(c.line); m != nil {
			return at, c.name
		}
	}
	return Evidence{}, ""
}

// otherMigrations names tools that are seen and not known.
func otherMigrations(s *scan) bool {
	for _, r := range []struct{ mark, name, command string }{
		{"npm:prisma", "Prisma", "npx prisma migrate deploy"},
		{"npm:knex", "Knex", "npx knex migrate:latest"},
		{"npm:typeorm", "TypeORM", "npx typeorm migration:run"},
		{"npm:drizzle-kit", "Drizzle", "npx drizzle-kit migrate"},
		{"npm:sequelize-cli", "Sequelize", "npx sequelize db:migrate"},
		{"gem:rails", "Rails", "bin/rails db:migrate"},
	} {
		if at, ok := s.dep(r.mark); ok {
			s.note(at, "migrations of %s have no adapter of their own: give what \"%s\" does step by step under migrations, with tool: command and its settings list, up, down and files", r.name, r.command)
			return true
		}
	}
	return false
}
