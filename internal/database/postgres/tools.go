package postgres

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/shiplock/shiplock/internal/ship"
)

const (
	toolBins    = "/usr/lib/postgresql/*/bin" // where Debian and its like keep several versions
	stderrLimit = 16 << 10
	toolGrace   = 10 * time.Second // between the end of the context and SIGKILL
)

// bin returns the folder of the newest pg_dump that is not older than the
// server: an older one refuses, or misses what it does not know.
func (d *DB) bin(ctx context.Context) (string, error) {
	var server int
	err := d.read(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int / 10000").Scan(&server)
	})
	if err != nil {
		return "", err
	}
	dir, newest := findTools(ctx)
	if newest < server {
		have := "there is none on this machine"
		if newest > 0 {
			have = fmt.Sprintf("the newest on this machine is %d", newest)
		}
		return "", ship.Errorf(ship.Failed, fmt.Sprintf("apt-get install postgresql-client-%d", server),
			"the server is PostgreSQL %d and needs pg_dump of that version or newer, %s", server, have)
	}
	return dir, nil
}

// findTools returns the folder of the newest pg_dump and its major version, 0
// when there is none.
func findTools(ctx context.Context) (dir string, version int) {
	candidates, _ := filepath.Glob(filepath.Join(toolBins, "pg_dump"))
	if path, err := exec.LookPath("pg_dump"); err == nil {
		candidates = append(candidates, path)
	}
	for _, path := range candidates {
		if v := toolVersion(ctx, path); v > version {
			dir, version = filepath.Dir(path), v
		}
	}
	return dir, version
}

var versionForm = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

func toolVersion(ctx context.Context, path string) int {
	ctx, cancel := context.WithTimeout(ctx, toolGrace)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	m := versionForm.FindSubmatch(out)
	if err != nil || m == nil {
		return 0
	}
	version, _ := strconv.Atoi(string(m[1]))
	return version
}

// A tool is a running command of PostgreSQL's.
type tool struct {
	*exec.Cmd
	db     *DB
	stderr tail
}

// command prepares a tool. Where and as whom it connects is told in variables:
// arguments can be read by every user of the machine.
func (d *DB) command(ctx context.Context, path, name string, args ...string) *tool {
	t := &tool{Cmd: exec.CommandContext(ctx, path, args...), db: d}
	t.Env = d.environment(os.Environ(), name)
	t.Stderr = &t.stderr
	t.WaitDelay = toolGrace
	t.Cancel = func() error { return t.Process.Signal(syscall.SIGTERM) }
	return t
}

// explain adds what the tool said to its error.
func (t *tool) explain(err error) error {
	if err == nil {
		return nil
	}
	said := strings.TrimSpace(t.db.hide(t.stderr.String()))
	return fmt.Errorf("%s: %w: %s", filepath.Base(t.Path), err, said)
}

// environment returns libpq's variables for a database of our server, and of
// our own variables only what programs need to run at all.
func (d *DB) environment(own []string, name string) []string {
	hosts, ports := []string{d.conn.Host}, []string{strconv.Itoa(int(d.conn.Port))}
	for _, f := range d.conn.Fallbacks {
		// A host is listed once for each way of encrypting.
		if last := len(hosts) - 1; hosts[last] != f.Host || ports[last] != strconv.Itoa(int(f.Port)) {
			hosts, ports = append(hosts, f.Host), append(ports, strconv.Itoa(int(f.Port)))
		}
	}
	set := map[string]string{
		"PGHOST": strings.Join(hosts, ","), "PGPORT": strings.Join(ports, ","), "PGUSER": d.conn.User,
		"PGPASSWORD": d.conn.Password, "PGDATABASE": name, "PGAPPNAME": reader, "LC_MESSAGES": "C",
	}
	for option, variable := range libpqVariables {
		if value := d.options[option]; value != "" {
			set[variable] = value
		}
	}
	var env []string
	for _, pair := range own {
		key, _, _ := strings.Cut(pair, "=")
		_, ours := set[key]
		if !ours && (strings.HasPrefix(key, "PG") || strings.HasPrefix(key, "KRB5") || slices.Contains(inherited, key)) {
			env = append(env, pair)
		}
	}
	for key, value := range set {
		if value != "" {
			env = append(env, key+"="+value)
		}
	}
	return env
}

var inherited = []string{"PATH", "HOME", "USER", "TMPDIR", "TZ", "LANG", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR"}

// libpqVariables are the parameters of a URL that libpq also reads from variables.
var libpqVariables = map[string]string{
	"sslmode": "PGSSLMODE", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY", "sslrootcert": "PGSSLROOTCERT", "sslcrl": "PGSSLCRL",
	"sslsni": "PGSSLSNI", "sslnegotiation": "PGSSLNEGOTIATION", "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
	"ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION", "channel_binding": "PGCHANNELBINDING", "gssencmode": "PGGSSENCMODE",
	"krbsrvname": "PGKRBSRVNAME", "connect_timeout": "PGCONNECT_TIMEOUT", "options": "PGOPTIONS",
	"target_session_attrs": "PGTARGETSESSIONATTRS", "passfile": "PGPASSFILE", "service": "PGSERVICE", "require_auth": "PGREQUIREAUTH",
}

// A tail keeps the end of what is written to it.
type tail struct{ buf bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	t.buf.Write(p)
	if over := t.buf.Len() - stderrLimit; over > 0 {
		t.buf.Next(over)
	}
	return len(p), nil
}

func (t *tail) String() string { return t.buf.String() }

// quote returns name as an identifier.
func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

// literal returns text as a constant.
func literal(text string) (string, error) {
	if strings.ContainsRune(text, 0) {
		return "", &pgconn.PgError{Severity: "ERROR", Code: "22021", Message: "a text contains a zero byte"}
	}
	return ` E'` + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(text) + `'`, nil
}
