package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// A peer is a proxy that ours is measured beside.
type peer struct {
	name     string
	programs []string // where it may be
	pkg      string   // of Debian
	// start returns the arguments, having written the configuration.
	start func(dir, listen, backend string) ([]string, error)
}

// shiplock is the name of ours in reports; nginx that of the one that ratios
// are formed with.
const (
	shiplock = "shiplock"
	nginx    = "nginx"
)

// peers are those that a run can name, each configured as an application
// behind it needs it: kept-alive connections, forwarding headers, no log.
func peers() []peer {
	return []peer{
		{nginx, []string{"nginx", "/usr/sbin/nginx"}, "nginx-light", func(dir, listen, backend string) ([]string, error) {
			return nginxArgs(dir, proxyConfig(backend), listen)
		}},
		{"haproxy", []string{"haproxy", "/usr/sbin/haproxy"}, "haproxy", haproxyArgs},
		{"caddy", []string{"caddy"}, "caddy", caddyArgs},
	}
}

// named returns the peers with the names, nginx first.
func named(names []string) ([]peer, error) {
	all := peers()
	chosen := []peer{all[0]}
	for _, name := range names {
		i := slices.IndexFunc(all, func(p peer) bool { return p.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no peer is called %q; there are nginx, haproxy and caddy", name)
		}
		if i > 0 {
			chosen = append(chosen, all[i])
		}
	}
	return chosen, nil
}

func (p peer) find() (string, error) {
	for _, name := range p.programs {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed (Debian: %s)", p.name, p.pkg)
}

func haproxyArgs(dir, listen, backend string) ([]string, error) {
	file := filepath.Join(dir, "haproxy.cfg")
	err := os.WriteFile(file, fmt.Appendf(nil, `global
  maxconn 4000
  nbthread 2
defaults
  mode http
  timeout connect 2s
  timeout client 120s
  timeout server 60s
  option http-keep-alive
  http-reuse always
frontend in
  bind %s
  option forwardfor
  unique-id-format %%[uuid()]
  unique-id-header X-Request-Id
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %%[req.hdr(Host)]
  default_backend app
backend app
  server app %s
`, listen, backend), 0o600)
	return []string{"-db", "-f", file}, err
}

func caddyArgs(dir, listen, backend string) ([]string, error) {
	file := filepath.Join(dir, "Caddyfile")
	err := os.WriteFile(file, fmt.Appendf(nil, `{
  admin off
  auto_https off
  log {
    level ERROR
  }
}
http://%s {
  reverse_proxy %s {
    header_up X-Request-Id {http.request.uuid}
    transport http {
      keepalive_idle_conns_per_host 256
      compression off
    }
  }
}
`, listen, backend), 0o600)
	return []string{"run", "--config", file, "--adapter", "caddyfile"}, err
}

func nginxArgs(dir, config, listen string) ([]string, error) {
	file := filepath.Join(dir, "nginx.conf")
	err := os.WriteFile(file, fmt.Appendf(nil, config, listen), 0o600)
	return []string{"-p", dir, "-c", file, "-e", "stderr"}, err
}
