package cli_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/shiplock/shiplock/internal/node"
	"github.com/shiplock/shiplock/internal/testneed"
)

// A finding is what the output of doctor has, as others read it.
type finding struct {
	Check, State, Detail, Next string
}

// examine runs doctor on a configuration, in a folder of its own.
func examine(t *testing.T, config string) []finding {
	t.Helper()
	write(t, "shiplock.yaml", config, 0o600)
	code, out, errOut := run(t, "doctor", "-o", "json")
	if code != 3 { // no server runs
		t.Fatalf("doctor ended with exit code %d: %s%s", code, out, errOut)
	}
	var all []finding
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return all
}

// place makes the folder of a test the current one.
func place(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("SHIPLOCK_DATA", filepath.Join(dir, "data"))
	t.Setenv("SHIPLOCK_SERVER", "")
	return dir
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// has fails the test unless a finding is there.
func has(t *testing.T, all []finding, check, state, detail, next string) {
	t.Helper()
	for _, f := range all {
		if f.Check == check && f.State == state && strings.Contains(f.Detail, detail) && strings.Contains(f.Next, next) {
			return
		}
	}
	t.Errorf("there is no %s %s %q [%s] in:", check, state, detail, next)
	for _, f := range all {
		t.Logf("%s %s %q [%s]", f.Check, f.State, f.Detail, f.Next)
	}
}

const least = "app: shop\nrun: {processes: {web: ./serve}}\n"

func TestDoctorTellsAFreeAddressFromATakenOne(t *testing.T) {
	place(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken := l.Addr().String()
	config := least + "environments: {dev: {listen: '" + taken + "'}}\n"
	_, port, _ := net.SplitHostPort(taken)
	has(t, examine(t, config), "listen", "fail", taken+" is taken by another program", port)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	has(t, examine(t, config), "listen", "ok", taken+" is free", "")
}

func TestDoctorNamesTheEnvironmentWhereThereAreSeveral(t *testing.T) {
	place(t)
	all := examine(t, least+"environments: {a: {listen: '203.0.113.77:81'}, b: {listen: '127.0.0.1:39481'}}\n")
	has(t, all, "listen a", "fail", "this machine has no address for 203.0.113.77:81", "ip address")
	has(t, all, "listen b", "ok", "free", "")
}

func TestDoctorReadsCertificates(t *testing.T) {
	place(t)
	certificate(t, "soon", 5*24*time.Hour, "shop.test")
	certificate(t, "over", -time.Hour, "shop.test")
	certificate(t, "good", 90*24*time.Hour, "other.test")
	all := examine(t, least+`environments:
  soon: {host: a.test, tls: {cert: soon.pem, key: soon.key}}
  over: {host: b.test, tls: {cert: over.pem, key: over.key}}
  good: {host: shop.test, tls: {cert: good.pem, key: good.key}}
  mixed: {host: d.test, tls: {cert: good.pem, key: soon.key}}
  none: {host: e.test, tls: {cert: none.pem, key: none.key}}
`)
	has(t, all, "tls soon", "warn", "soon.pem expires in 4 days", "renew")
	has(t, all, "tls over", "fail", "over.pem expired on", "renew")
	has(t, all, "tls good", "ok", "good.pem is valid until", "")
	has(t, all, "tls good", "warn", "good.pem is not for shop.test", "")
	has(t, all, "tls mixed", "fail", "private key does not match", "tls")
	has(t, all, "tls none", "fail", "none.pem", "")
}

// certificate writes a certificate and its key.
func certificate(t *testing.T, name string, left time.Duration, host string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(left),
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, name+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), 0o644)
	write(t, name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})), 0o600)
}

func TestDoctorAsksTheDatabaseWhetherItsRoleMayMigrate(t *testing.T) {
	admin := testneed.Postgres(t)
	place(t)
	u, err := url.Parse(admin)
	if err != nil {
		t.Fatal(err)
	}
	const config = least + "secrets: {file: secrets.env}\ndatabase: {kind: postgres, url: '${secret:DATABASE_URL}'}\nenvironments: {dev: {}}\n"
	write(t, "secrets.env", "DATABASE_URL="+admin+"\n", 0o600)
	all := examine(t, config)
	has(t, all, "secrets", "ok", "secret:DATABASE_URL", "")
	has(t, all, "database", "ok", "PostgreSQL ", "")
	has(t, all, "database", "ok", "may create tables in schema public", "")
	has(t, all, "database", "ok", "pg_dump ", "")
	has(t, all, "backup", "warn", "there is none in ", "shiplock backup dev")

	conn, err := pgx.Connect(t.Context(), admin)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "CREATE ROLE doctor_reads LOGIN PASSWORD 'hunter2'"); err != nil {
		t.Fatal(err)
	}
	reader := *u
	reader.User = url.UserPassword("doctor_reads", "hunter2")
	write(t, "secrets.env", "DATABASE_URL="+reader.String()+"\n", 0o600)
	has(t, examine(t, config), "database", "fail", "doctor_reads may not create tables", "GRANT CREATE ON SCHEMA public TO doctor_reads")

	u.Path = "/nowhere"
	write(t, "secrets.env", "DATABASE_URL="+u.String()+"\n", 0o600)
	has(t, examine(t, config), "database", "fail", `there is no database "nowhere"`, "create it")
}

func TestDoctorKnowsTheAgeOfTheNewestBackup(t *testing.T) {
	dir := place(t)
	const config = least + "database: {url: 'sqlite:///srv/none/shop.db', backup: {to: 'file://copies'}}\nenvironments: {dev: {}}\n"
	folder := filepath.Join(dir, "data/server/copies/shop/dev")
	write(t, filepath.Join(folder, "d-1.backup"), "x", 0o600)
	write(t, filepath.Join(folder, ".backup-2"), "x", 0o600) // not whole
	old := time.Now().Add(-50 * time.Hour)
	if err := os.Chtimes(filepath.Join(folder, "d-1.backup"), old, old); err != nil {
		t.Fatal(err)
	}
	has(t, examine(t, config), "backup", "warn", "d-1.backup, is 2 d old", "shiplock backup dev")
	write(t, filepath.Join(folder, "d-2.backup"), "x", 0o600)
	has(t, examine(t, config), "backup", "ok", "d-2.backup", "")
}

func TestDoctorLooksAtTheDataFolderAndTheAccount(t *testing.T) {
	dir := place(t)
	config := least + "environments: {dev: {user: nobody-of-this-name}}\n"
	for mode, state := range map[os.FileMode]string{0o755: "fail", 0o711: "ok", 0o700: "ok"} {
		if err := os.MkdirAll("data", 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod("data", mode); err != nil {
			t.Fatal(err)
		}
		has(t, examine(t, config), "data", state, filepath.Join(dir, "data"), "")
	}
	has(t, examine(t, config), "user", "fail", "the account nobody-of-this-name is not there", "useradd")
}

func TestDoctorAsksTheInterpreter(t *testing.T) {
	testneed.Command(t, "python3", "python3-venv")
	place(t)
	write(t, "requirements.txt", "", 0o600)
	for python, want := range map[string]finding{
		"{requirements: requirements.txt}":            {"python", "ok", "python3 is 3.", ""},
		"{requirements: none.txt}":                    {"python", "fail", "none.txt is not there", "run.python.requirements"},
		"{interpreter: python2.1, site_packages: no}": {"python", "fail", "there is no python2.1 on PATH", "apt-get install python2.1"},
	} {
		config := fmt.Sprintf("app: shop\nrun: {python: %s, processes: {web: ./serve}}\nenvironments: {dev: {}}\n", strings.Replace(python, ": no}", ": false}", 1))
		has(t, examine(t, config), want.Check, want.State, want.Detail, want.Next)
	}
}

func TestDoctorKnowsTheNodesAddressAlthoughNothingWasDeployedWell(t *testing.T) {
	dir := place(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	// A node that is this process.
	socket := node.Socket(filepath.Join(dir, "data", "node"))
	if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
		t.Fatal(err)
	}
	at, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(node.Info{PID: os.Getpid(), Started: time.Now()})
	})}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(at) }()
	defer func() { _ = srv.Close(); <-served }()
	taken := l.Addr().String()
	has(t, examine(t, least+"environments: {dev: {listen: '"+taken+"'}}\n"), "listen", "ok", taken+" is ours", "")
}
