package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// answer is what the backend says to everything: 11 bytes.
const answer = "hello world"

// A server is an nginx of ours.
type server struct {
	name string
	cmd  *exec.Cmd
	log  bytes.Buffer // read after it ended
}

// common is what both configurations begin with. Everything nginx writes stays
// in its own folder.
const common = `daemon off;
pid nginx.pid;
error_log stderr warn;
worker_processes %d;
events { worker_connections 4096; }
http {
  access_log off;
  tcp_nodelay on;
  keepalive_timeout 120s;
  keepalive_requests 1000000000;
  client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
`

func backendConfig() string {
	return fmt.Sprintf(common, 1) + `  server {
    listen %s;
    location / { default_type text/plain; return 200 "` + answer + `"; }
  }
}
`
}

// proxyConfig keeps connections to the backend and tells it of the client, as
// one would for an application.
func proxyConfig(backend string) string {
	return fmt.Sprintf(common, 2) + `  upstream app { server ` + backend + `; keepalive 256; keepalive_requests 1000000000; }
  server {
    listen %s;
    location / {
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Host $host;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Request-Id $request_id;
      add_header X-Request-Id $request_id;
    }
  }
}
`
}

// startNginx runs an nginx with a configuration whose %s is the address.
func (c *chain) startNginx(parent, name, config string) (string, error) {
	address, err := freeAddress()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(parent, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, config, address), 0o600); err != nil {
		return "", err
	}
	program, err := findNginx()
	if err != nil {
		return "", err
	}
	s := &server{name: name, cmd: exec.Command(program, "-p", dir, "-c", file, "-e", "stderr")} // stop ends it, also after an interrupt
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the terminal's interrupt is for us
	if err := s.cmd.Start(); err != nil {
		return "", err
	}
	c.servers = append(c.servers, s)
	return address, nil
}

// findNginx also looks where people's search path does not.
func findNginx() (string, error) {
	for _, name := range []string{"nginx", "/usr/sbin/nginx"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("nginx is not installed (Debian: nginx-light)")
}

func (s *server) stop() error {
	late := time.AfterFunc(10*time.Second, func() { _ = s.cmd.Process.Kill() })
	defer late.Stop()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	if err := s.cmd.Wait(); err != nil {
		return fmt.Errorf("nginx as %s: %w: %s", s.name, err, bytes.TrimSpace(s.log.Bytes()))
	}
	return nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // nothing is waited for
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
