package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/testneed"
)

// sshServer is a machine that is reached by ssh: a server with keys of its own
// on 127.0.0.1.
type sshServer struct {
	t    *testing.T
	dir  string
	port int
	cmd  *exec.Cmd
	log  said
}

// newSSHServer starts Debian's server for the user that runs the tests.
func newSSHServer(t *testing.T) *sshServer {
	t.Helper()
	daemon := "/usr/sbin/sshd" // it wants to be started by its whole name
	if _, err := os.Stat(daemon); err != nil {
		daemon = testneed.Command(t, "sshd", "openssh-server")
	}
	s := &sshServer{t: t, dir: t.TempDir(), port: freePort(t)}
	for _, key := range []string{"host", "user", "stranger"} {
		out, err := exec.Command(testneed.Command(t, "ssh-keygen", "openssh-client"), "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(s.dir, key)).CombinedOutput()
		if err != nil {
			t.Fatalf("ssh-keygen: %v: %s", err, out)
		}
	}
	s.write("sshd_config", fmt.Sprintf(`ListenAddress 127.0.0.1:%d
HostKey %[2]s/host
AuthorizedKeysFile %[2]s/user.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
SetEnv PATH=%[3]s:/usr/bin:/bin
`, s.port, s.dir, filepath.Dir(binary)))
	if os.Geteuid() == 0 { // where it keeps an empty folder, which a booted machine has
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.cmd = exec.Command(daemon, "-D", "-e", "-f", filepath.Join(s.dir, "sshd_config"))
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	return s
}

func (s *sshServer) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sshServer) stop() {
	if s.cmd.ProcessState == nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	}
	if s.t.Failed() {
		s.t.Logf("sshd: %s", tail(s.log.String(), 3000))
	}
}

// caller is a person with ssh set up to reach the server. The program runs
// plain ssh: what ssh itself reads is the person's own business, and here a
// file of the test instead of the one in the person's home.
type caller struct {
	s   *sshServer
	bin string // has an ssh that reads our file
}

// caller returns one who knows a host key and has a key.
func (s *sshServer) caller(hostKey, userKey string) *caller {
	s.t.Helper()
	c := &caller{s: s, bin: s.t.TempDir()}
	ssh := testneed.Command(s.t, "ssh", "openssh-client")
	public, err := os.ReadFile(filepath.Join(s.dir, hostKey+".pub"))
	known := fmt.Sprintf("[127.0.0.1]:%d %s", s.port, public)
	config := fmt.Sprintf("IdentityFile %s/%s\nIdentitiesOnly yes\nUserKnownHostsFile %s/known\nGlobalKnownHostsFile none\nStrictHostKeyChecking yes\n", s.dir, userKey, c.bin)
	err = errors.Join(err,
		os.WriteFile(filepath.Join(c.bin, "known"), []byte(known), 0o600),
		os.WriteFile(filepath.Join(c.bin, "config"), []byte(config), 0o600),
		os.WriteFile(filepath.Join(c.bin, "ssh"), []byte(fmt.Sprintf("#!/bin/sh\nexec %s -F %s/config \"$@\"\n", ssh, c.bin)), 0o755))
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// do runs a verb on a project as the caller, who has no data here.
func (c *caller) do(p *project, args ...string) ended {
	c.s.t.Helper()
	cmd := &command{p: p}
	args = append(args, "--data", c.s.t.TempDir(), "-f", filepath.Join(p.dir, "shiplock.yaml"), "-o", "json")
	cmd.cmd = exec.CommandContext(c.s.t.Context(), binary, args...)
	cmd.cmd.Env = []string{"PATH=" + c.bin + ":/usr/bin:/bin", "HOME=" + c.bin}
	cmd.cmd.Stdout, cmd.cmd.Stderr = &cmd.out, &cmd.err
	cmd.cmd.WaitDelay = time.Second
	if err := cmd.cmd.Start(); err != nil {
		c.s.t.Fatal(err)
	}
	return cmd.wait()
}

func TestDeployThroughSSH(t *testing.T) {
	t.Parallel()
	sshd := newSSHServer(t)
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s := newGoShop(t, newWorld(t), "1s")
	yaml := fmt.Sprintf(goYAML, s.port, "1s")
	// The secrets are the machine's own, not the caller's.
	secrets := filepath.Join(t.TempDir(), "secrets.env")
	if err := os.WriteFile(secrets, []byte(s.take("secrets.env")), 0o600); err != nil {
		t.Fatal(err)
	}
	yaml = strings.Replace(yaml, "{file: secrets.env}", "{file: "+secrets+"}", 1)
	yaml += fmt.Sprintf("server: ssh://%s@%s%s\n", me.Username, net.JoinHostPort("127.0.0.1", fmt.Sprint(sshd.port)), s.w.data)
	s.write("shiplock.yaml", yaml, 0o644)

	c := sshd.caller("host", "user")
	s.w.eventually(time.Minute, "sshd listens", func() error {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", sshd.port))
		if err == nil {
			err = conn.Close()
		}
		return err
	})
	c.do(s.project, "deploy", "production").expect(t, 0, "", ship.SchemaChanged, 1)
	s.answers("/products", "1")
	s.version("2")
	tr := s.traffic(30)
	c.do(s.project, "deploy", "production").expect(t, 0, "", ship.SchemaUnchanged, 2)
	tr.stop()
	s.answers("/products", "2")
	c.do(s.project, "rollback", "production", "--yes").expect(t, 0, "", ship.SchemaUnchanged, 1)
	s.answers("/products", "1")
	if st := c.do(s.project, "status"); st.code != 0 || !strings.Contains(st.text, `"app": "shop"`) {
		t.Errorf("status ended with exit code %d: %s", st.code, st.text)
	}

	// Who has the wrong keys, or meets the wrong machine, is told by ssh
	// itself; nothing is begun.
	for _, wrong := range []struct{ host, user, says string }{
		{"stranger", "user", "Host key verification failed"},
		{"host", "stranger", "Permission denied"},
	} {
		e := sshd.caller(wrong.host, wrong.user).do(s.project, "deploy", "production")
		if e.code != 9 || !strings.Contains(e.text, wrong.says) {
			t.Errorf("with the key of %s and the host key of %s: exit code %d: %s", wrong.user, wrong.host, e.code, e.text)
		}
	}
	sshd.stop()
	if e := c.do(s.project, "deploy", "production"); e.code != 9 || !strings.Contains(e.text, "Connection refused") {
		t.Errorf("without a server: exit code %d: %s", e.code, e.text)
	}
	s.answers("/products", "1")
}
