package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/shiplock/shiplock/internal/atomicfile"
	"github.com/shiplock/shiplock/internal/ship"
)

// KillMode=process: when the node is stopped or restarted, systemd must end
// the supervisor alone. The applications and the proxy worker go on serving
// and are taken back by the next supervisor.
const nodeUnit = `[Unit]
Description=shiplock node: the applications of this machine and their proxy
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart={{.Binary}} node run --data {{.Data}}
Restart=always
RestartSec=100ms
KillMode=process
OOMScoreAdjust=-900
LimitNOFILE=1048576

[Install]
WantedBy=multi-user.target
`

const serverUnit = `[Unit]
Description=shiplock server
After=shiplock-node.service
Wants=shiplock-node.service

[Service]
ExecStart={{.Binary}} up --data {{.Data}} --node-elsewhere
Restart=always
RestartSec=1s
KillMode=process

[Install]
WantedBy=multi-user.target
`

// Where the units are, and what the node's is called.
const (
	unitDir      = "/etc/systemd/system"
	nodeUnitName = "shiplock-node.service"
)

func (s *session) installCommand() *cobra.Command {
	var dir string
	var dry, enable bool
	c := &cobra.Command{
		Use: "install", Short: "Write the systemd units of server and node", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			units, err := s.units()
			if err != nil {
				return err
			}
			if dry {
				for _, name := range []string{nodeUnitName, "shiplock.service"} {
					fmt.Fprintf(s.out, "# %s\n%s\n", filepath.Join(dir, name), units[name])
				}
				return nil
			}
			for name, text := range units {
				if err := atomicfile.Write(filepath.Join(dir, name), text, 0o644); err != nil {
					return ship.Errorf(ship.Invalid, "sudo shiplock install", "%w", err)
				}
				s.say("wrote %s", filepath.Join(dir, name))
			}
			if !enable {
				s.say("Next: systemctl daemon-reload && systemctl enable --now shiplock-node shiplock")
				return nil
			}
			return s.systemctl(c, []string{"daemon-reload"}, []string{"enable", "--now", "shiplock-node", "shiplock"})
		},
	}
	f := c.Flags()
	f.StringVar(&dir, "dir", unitDir, "`folder` of the units")
	f.BoolVar(&dry, "dry-run", false, "print the units, write nothing")
	f.BoolVar(&enable, "now", false, "enable and start them")
	return c
}

func (s *session) units() (map[string][]byte, error) {
	o, err := s.options()
	if err != nil {
		return nil, err
	}
	data, err := filepath.Abs(s.data)
	if err != nil {
		return nil, fmt.Errorf("install: %w", err)
	}
	if strings.ContainsAny(data+o.Binary, " %\"'\\\n") {
		return nil, ship.Errorf(ship.Invalid, "move them", "a unit file cannot name %q and %q safely", o.Binary, data)
	}
	units := map[string][]byte{}
	for name, text := range map[string]string{nodeUnitName: nodeUnit, "shiplock.service": serverUnit} {
		t, err := template.New(name).Parse(text)
		if err != nil {
			return nil, fmt.Errorf("install: %w", err)
		}
		var b bytes.Buffer
		if err := t.Execute(&b, map[string]string{"Binary": o.Binary, "Data": data}); err != nil {
			return nil, fmt.Errorf("install: %w", err)
		}
		units[name] = b.Bytes()
	}
	return units, nil
}

func (s *session) systemctl(c *cobra.Command, calls ...[]string) error {
	for _, args := range calls {
		cmd := exec.CommandContext(c.Context(), "systemctl", args...)
		cmd.Stdout, cmd.Stderr = io.Discard, os.Stderr
		if err := cmd.Run(); err != nil {
			return ship.Errorf(ship.Failed, "systemctl status shiplock", "systemctl %s: %w", strings.Join(args, " "), err)
		}
	}
	return nil
}

// unitProgram returns the program that a unit of the node starts for the
// folder data, or "" when there is no such unit.
func unitProgram(path, data string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	data, err = filepath.Abs(data)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		command, found := strings.CutPrefix(line, "ExecStart=")
		words := strings.Fields(command)
		if at := slices.Index(words, "--data"); found && at > 0 && at+1 < len(words) && words[at+1] == data {
			return words[0]
		}
	}
	return ""
}

// sameFile tells whether two paths lead to the same file.
func sameFile(a, b string) bool {
	left, err := os.Stat(a)
	if err != nil {
		return false
	}
	right, err := os.Stat(b)
	return err == nil && os.SameFile(left, right)
}
