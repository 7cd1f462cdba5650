package client

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// Dial returns a client of the server at an address: a path or unix:// URL of
// its socket, or ssh://user@host, where the remote shiplock is run to connect
// to the socket there. It does not connect yet.
func Dial(address string) (*Client, error) {
	if strings.HasPrefix(address, "/") {
		address = "unix://" + address
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, ship.Errorf(ship.Invalid, "use ssh://user@host or the path of a socket", "server %q: %w", address, err)
	}
	switch u.Scheme {
	case "unix":
		return Over(address, func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", u.Path)
		}), nil
	case "ssh":
		argv, err := sshCommand(u)
		if err != nil {
			return nil, err
		}
		c := Over(address, func(context.Context) (net.Conn, error) { return dialCommand(argv) })
		c.mend = sshMend(u)
		return c, nil
	}
	return nil, ship.Errorf(ship.Invalid, "use ssh://user@host or the path of a socket", "server %q has an unknown scheme", address)
}

// Over returns a client that connects by dial; name is for errors.
func Over(name string, dial func(context.Context) (net.Conn, error)) *Client {
	t := &http.Transport{
		DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute, DisableCompression: true,
	}
	return &Client{http: &http.Client{Transport: t}, name: name, mend: "shiplock up"}
}

// sshMend returns the command by which a person sees why a remote server does
// not answer: it asks the same way.
func sshMend(u *url.URL) string {
	words := []string{"ssh"}
	if p := u.Port(); p != "" {
		words = append(words, "-p", p)
	}
	host := u.Hostname()
	if user := u.User.Username(); user != "" {
		host = user + "@" + host
	}
	words = append(words, host, "shiplock", "status")
	if dir := u.Path; dir != "" && dir != "/" {
		words = append(words, "--data", dir)
	}
	return strings.Join(words, " ")
}

// sshCommand returns the command that connects to a remote server's socket. No
// part of the address can become an option of ssh.
func sshCommand(u *url.URL) ([]string, error) {
	host := u.Hostname()
	if host == "" || strings.HasPrefix(host, "-") || strings.HasPrefix(u.User.Username(), "-") {
		return nil, ship.Errorf(ship.Invalid, "use ssh://user@host", "server %q names no host", u)
	}
	if _, has := u.User.Password(); has {
		return nil, ship.Errorf(ship.Invalid, "use a key", "server ssh://%s has a password in it", host)
	}
	argv := []string{"ssh", "-o", "BatchMode=yes", "-T"}
	if p := u.Port(); p != "" {
		argv = append(argv, "-p", p)
	}
	if user := u.User.Username(); user != "" {
		argv = append(argv, "-l", user)
	}
	argv = append(argv, "--", host, "shiplock", "connect")
	if dir := u.Path; dir != "" && dir != "/" {
		if strings.ContainsAny(dir, " '\"\\$`;&|<>()*?[]#~\n") {
			return nil, ship.Errorf(ship.Invalid, "use a plain path", "server %q has a path a remote shell would not take literally", u)
		}
		argv = append(argv, "--data", dir)
	}
	return argv, nil
}

// dialCommand makes a connection of a command's standard input and output.
func dialCommand(argv []string) (net.Conn, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", argv[0], err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", argv[0], err)
	}
	c := &commandConn{WriteCloser: in, Reader: out, cmd: cmd}
	cmd.Stderr, cmd.WaitDelay = &c.stderr, time.Second
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("run %s: %w", argv[0], err)
	}
	return c, nil
}

// commandConn is a connection through a command. It has no deadlines: requests
// end by their context, which closes it.
type commandConn struct {
	io.WriteCloser
	io.Reader
	cmd    *exec.Cmd
	stderr lastWords
	once   sync.Once
}

// lastWords keeps the end of what a command said.
type lastWords struct {
	mu   sync.Mutex
	text []byte
}

func (l *lastWords) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	if extra := len(l.text) - 2000; extra > 0 {
		l.text = l.text[extra:]
	}
	return len(p), nil
}

func (l *lastWords) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.TrimSpace(string(l.text))
}

func (c *commandConn) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if err == io.EOF && n == 0 {
		return 0, c.why(err)
	}
	return n, err
}

// Write may notice before Read does that the command has ended.
func (c *commandConn) Write(p []byte) (int, error) {
	n, err := c.WriteCloser.Write(p)
	if err != nil {
		err = c.why(err)
	}
	return n, err
}

// why ends the command and returns what it said last, if anything, instead of
// what became of the connection.
func (c *commandConn) why(err error) error {
	_ = c.Close() // only then all it said is here
	if said := c.stderr.String(); said != "" {
		return fmt.Errorf("%s: %s", c.cmd.Args[0], said)
	}
	return err
}

func (c *commandConn) Close() error {
	c.once.Do(func() {
		_ = c.WriteCloser.Close()
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
	})
	return nil
}

func (*commandConn) LocalAddr() net.Addr              { return commandAddr{} }
func (*commandConn) RemoteAddr() net.Addr             { return commandAddr{} }
func (*commandConn) SetDeadline(time.Time) error      { return nil }
func (*commandConn) SetReadDeadline(time.Time) error  { return nil }
func (*commandConn) SetWriteDeadline(time.Time) error { return nil }

type commandAddr struct{}

func (commandAddr) Network() string { return "command" }
func (commandAddr) String() string  { return "command" }
