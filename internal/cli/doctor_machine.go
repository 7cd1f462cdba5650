package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/shiplock/shiplock/internal/app"
	"github.com/shiplock/shiplock/internal/config"
	"github.com/shiplock/shiplock/internal/node"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

// Room on the disk below which a check says so: a release, its environment
// and a backup hardly fit.
const (
	littleRoom = 2 << 30
	noRoom     = 200 << 20
)

// clock compares ours with the moment something was last written here: what
// was written cannot be of tomorrow.
func (d *doctor) clock() {
	now := time.Now()
	for _, path := range []string{d.session.file, filepath.Join(d.data, "server")} {
		info, err := os.Stat(path)
		if err == nil && info.ModTime().After(now.Add(time.Minute)) {
			d.all.add("clock", warn, "timedatectl set-ntp true", "the clock says %s, and %s was changed at %s", now.Format(time.DateTime), path, info.ModTime().Format(time.DateTime))
			return
		}
	}
	if now.Year() < 2025 {
		d.all.add("clock", fail, "timedatectl set-ntp true", "the clock says %s", now.Format(time.DateTime))
	}
}

// dataFolder looks at the folder that everything of ours is kept in.
func (d *doctor) dataFolder() {
	info, err := os.Stat(d.data)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.all.add("data", warn, "shiplock up", "%s is not there yet", d.data)
		return
	case err != nil:
		d.all.add("data", fail, "give another folder with --data", "%v", err)
		return
	case !info.IsDir():
		d.all.add("data", fail, "give another folder with --data", "%s is no folder", d.data)
		return
	case info.Mode().Perm()&0o066 != 0: // others may pass through when a release has a user of its own
		d.all.add("data", fail, "chmod go-rw "+d.data, "%s has mode %04o: others can read or change what is in it", d.data, info.Mode().Perm())
		return
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		d.all.add("data", warn, "run shiplock as the user it belongs to", "%s belongs to user %d, we are %d", d.data, stat.Uid, os.Geteuid())
		return
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(d.data, &st); err != nil {
		d.all.add("data", warn, "", "how much room is left in %s cannot be told: %v", d.data, err)
		return
	}
	room := int64(st.Bavail) * int64(st.Bsize) //nolint:unconvert // the types differ between systems
	state, next := fine, ""
	switch {
	case room < noRoom:
		state, next = fail, "make room: shiplock releases, df -h "+d.data
	case room < littleRoom:
		state, next = warn, "make room: df -h "+d.data
	}
	d.all.add("data", state, next, "%s, %s free", d.data, size(room))
}

// size writes a number of bytes for a person.
func size(n int64) string {
	if n >= 10<<30 {
		return fmt.Sprintf("%d GiB", n>>30)
	}
	if n < 1<<20 {
		return fmt.Sprintf("%d KiB", (n+1023)>>10)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}

func (d *doctor) node(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	info, err := node.NewClient(node.Socket(app.Options{Dir: d.data}.NodeDir())).Info(ctx)
	switch {
	case err != nil && !d.answers:
		d.all.add("node", fail, "shiplock up", "no node answers: the server starts it")
	case err != nil:
		d.all.failed("node", err)
	}
	if d.nodePID = info.PID; err != nil {
		return
	}
	switch info.Worker {
	case 0:
		d.all.add("node", fine, "", "pid %d, up for %s, nothing to serve yet", info.PID, ago(info.Started))
	default:
		d.all.add("node", fine, "", "pid %d, up for %s, proxy worker pid %d", info.PID, ago(info.Started), info.Worker)
	}
}

// secrets looks every reference up. Names are shown, values never are.
func (d *doctor) secrets(_ context.Context, env ship.Environment) (out findings) {
	refs := references(env)
	r, err := config.NewResolver(env.SecretsFile, config.Lookup)
	if err != nil {
		out.failed("secrets", err)
		return out
	}
	var found []string
	for _, ref := range refs {
		if _, err := r.Resolve(ship.Value("${" + ref + "}")); err != nil {
			state := fail
			if strings.HasPrefix(ref, "env:") {
				state = warn // what counts is the server's environment
			}
			out.add("secrets", state, ship.HintOf(err), "%v", err)
			continue
		}
		found = append(found, ref)
	}
	if len(found) > 0 {
		out.add("secrets", fine, "", "%s", strings.Join(found, ", "))
	}
	return out
}

// references returns every reference in an environment, sorted.
func references(env ship.Environment) []string {
	var values []ship.Value
	for _, v := range env.Vars {
		values = append(values, v)
	}
	if db := env.Database; db != nil {
		values = append(values, db.URL, db.MigrateURL, db.Backup.Key)
	}
	for _, n := range env.Notify {
		values = append(values, ship.Value(n.Plugin.Config))
	}
	var refs []string
	for _, v := range values {
		refs = append(refs, config.Names(v)...)
	}
	slices.Sort(refs)
	return slices.Compact(refs)
}

// python asks the interpreter whether it can make a virtual environment.
func (d *doctor) python(ctx context.Context, env ship.Environment) (out findings) {
	py := env.Run.Python
	if py == nil {
		return nil
	}
	if py.Requirements != "" {
		if _, err := os.Stat(filepath.Join(d.file.Dir, py.Requirements)); err != nil {
			out.add("python", fail, "name the file under run.python.requirements", "%s is not there", py.Requirements)
		}
	}
	if _, err := exec.LookPath(py.Interpreter); err != nil {
		out.add("python", fail, "apt-get install "+py.Interpreter+" "+py.Interpreter+"-venv", "there is no %s on PATH", py.Interpreter)
		return out
	}
	cmd := exec.CommandContext(ctx, py.Interpreter, "-I", "-c", "import ensurepip, sys, venv; print(sys.version.split()[0])")
	cmd.Env, cmd.WaitDelay = config.BaseEnviron(), time.Second
	cmd.Dir, cmd.SysProcAttr = "/", as(env.Run.User)
	text, err := cmd.Output()
	if errors.Is(err, fs.ErrPermission) {
		out.add("python", fail, "set run.python.interpreter to one that "+env.Run.User+" may run, such as /usr/bin/python3", "%s may not run %s", env.Run.User, cmd.Path)
		return out
	}
	if err != nil {
		out.add("python", fail, "apt-get install "+py.Interpreter+"-venv", "%s cannot make a virtual environment: %v", py.Interpreter, err)
		return out
	}
	out.add("python", fine, "", "%s is %s and can make virtual environments", py.Interpreter, bytes.TrimSpace(text))
	return out
}

// listen finds out whether the addresses are free, or the node has them.
func (d *doctor) listen(ctx context.Context, env ship.Environment) (out findings) {
	for _, address := range env.Route.Listen {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		_, port, _ := net.SplitHostPort(address)
		switch {
		case err == nil:
			_ = l.Close()
			out.add("listen", fine, "", "%s is free", address)
		case d.ours(address), holdsPort(d.nodePID, port):
			out.add("listen", fine, "", "%s is ours", address)
		case errors.Is(err, syscall.EADDRINUSE):
			out.add("listen", fail, "ss -ltnp sport = :"+port, "%s is taken by another program", address)
		case errors.Is(err, syscall.EACCES):
			out.add("listen", fail, "sysctl net.ipv4.ip_unprivileged_port_start="+port, "we may not listen at %s", address)
		case errors.Is(err, syscall.EADDRNOTAVAIL):
			out.add("listen", fail, "ip address", "this machine has no address for %s", address)
		default:
			out.add("listen", fail, "", "%s: %v", address, err)
		}
	}
	return out
}

// ours tells whether the server says that the node serves at an address. A
// node that has it and serves nothing, as after a failed first deployment, is
// known by its process.
func (d *doctor) ours(address string) bool {
	for _, env := range d.known {
		i := slices.IndexFunc(d.status, func(st wire.EnvironmentStatus) bool { return st.ID == env.ID })
		if i >= 0 && d.status[i].Observed.Active != "" && slices.Contains(env.Route.Listen, address) {
			return true
		}
	}
	return false
}

// expiresSoon is when a certificate must be renewed.
const expiresSoon = 14 * 24 * time.Hour

func (d *doctor) certificate(_ context.Context, env ship.Environment) (out findings) {
	files := env.Route.TLS
	if files == nil {
		return nil
	}
	if _, err := tls.LoadX509KeyPair(files.Cert, files.Key); err != nil {
		out.add("tls", fail, "renew the certificate, or correct tls in shiplock.yaml", "%v", err)
		return out
	}
	leaf, err := leafOf(files.Cert)
	if err != nil {
		out.add("tls", fail, "renew the certificate", "%v", err)
		return out
	}
	left := time.Until(leaf.NotAfter)
	switch {
	case left < 0:
		out.add("tls", fail, "renew the certificate", "%s expired on %s", files.Cert, leaf.NotAfter.Format(time.DateOnly))
	case time.Until(leaf.NotBefore) > 0:
		out.add("tls", fail, "check the clock", "%s is not valid before %s", files.Cert, leaf.NotBefore.Format(time.DateTime))
	case left < expiresSoon:
		out.add("tls", warn, "renew the certificate", "%s expires in %d days", files.Cert, int(left.Hours()/24))
	default:
		out.add("tls", fine, "", "%s is valid until %s", files.Cert, leaf.NotAfter.Format(time.DateOnly))
	}
	for _, host := range env.Route.Hosts {
		if leaf.VerifyHostname(host) != nil {
			out.add("tls", warn, "get a certificate for it", "%s is not for %s", files.Cert, host)
		}
	}
	return out
}

// leafOf returns the first certificate of a file.
func leafOf(path string) (*x509.Certificate, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s has no certificate", path)
	}
	return x509.ParseCertificate(block.Bytes)
}
