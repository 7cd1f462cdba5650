// Package node is the data plane of one machine: a small supervisor that owns
// the listening sockets and keeps the instances of releases running, and the
// API by which it is told what to run. Traffic goes through a proxy worker in
// a process of its own.
//
// It knows processes, slots, fences and limits. It refuses to know why a
// release is deployed, who asked, and anything about databases or migrations.
// It keeps serving, guarding a swap and restarting what exits when nobody
// talks to it at all.
package node

import (
	"log/slog"
	"path/filepath"
)

// Options say how a node is run.
type Options struct {
	// Dir is the node's own folder; it is made with mode 0700. One node at a
	// time runs in it. It becomes searchable (0711) when a release has a user
	// of its own, because that user has to reach the release's folder; what
	// else is in it stays closed.
	Dir string
	// WorkerCommand is the argv of a proxy worker; the folder of its control
	// socket is appended.
	WorkerCommand []string
	// JobCommand is the argv of the program that calls [RunJob]; the job's
	// folder is appended.
	JobCommand []string
	// BaseEnv is what the environment of every command begins with, "K=V".
	BaseEnv []string
	// Binary is told to commands as SHIPLOCK_BINARY.
	Binary string
	// Version is that of this program.
	Version string
	// Command is the argv that runs this node, and CheckCommand the one that
	// calls [Check] for it. An upgrade runs them with another program in the
	// first place. Without them the node cannot be upgraded.
	Command, CheckCommand []string
	// Environ is the whole environment of this process, "K=V", which the
	// program gets that it becomes in an upgrade.
	Environ []string
	// Handover is the descriptor under which another program left this node to
	// us; 0 is none. See [HandoverFlag].
	Handover int
	// Metrics is an address of the loopback interface at which /metrics tells
	// what is measured; "" is none. The API tells it too.
	Metrics string
	// Output is the file that what this process prints is appended to, which is
	// kept within a bound; "" is none, or one that somebody else looks after.
	Output string
	// StopAll has everything the node runs end with it. Otherwise instances
	// and the proxy worker go on, and the next node takes them back.
	StopAll bool
	Log     *slog.Logger
}

// SocketName is the name of the API's socket in [Options].Dir.
const SocketName = "node.sock"

// Socket returns the path of the API's socket of the node in dir.
func Socket(dir string) string { return filepath.Join(dir, SocketName) }
