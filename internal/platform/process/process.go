// Package process runs releases as plain processes of this machine. It is a
// thin client of the node, which supervises them; it knows the node's socket
// and nothing of processes themselves.
package process

import (
	"path/filepath"

	"github.com/shiplock/shiplock/internal/node"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/plugin"
)

// Config are the settings of the platform.
type Config struct {
	Socket string `json:"socket,omitempty"` // of the node; default node.sock in the data folder
}

// A Platform hands everything to a node. See [platform.Platform].
type Platform struct{ *node.Client }

var (
	_ platform.Platform = (*Platform)(nil)
	_ platform.Witness  = (*Platform)(nil)
	_ platform.Guardian = (*Platform)(nil)
	_ platform.Ender    = (*Platform)(nil)
)

// New returns a platform that talks to the node at the configured socket. It
// does not connect yet.
func New(c Config, d plugin.Deps) (*Platform, error) {
	if c.Socket == "" {
		c.Socket = filepath.Join(d.DataDir, node.SocketName)
	}
	return &Platform{node.NewClient(c.Socket)}, nil
}

// Capabilities implements [platform.Platform]: a node can do everything.
func (*Platform) Capabilities() platform.Capabilities {
	return platform.Capabilities{Hold: true, Maintenance: true, KeepOld: true, Watch: true, Split: true}
}
