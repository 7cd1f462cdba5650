package peer_test

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/shiplock/shiplock/internal/peer"
)

func TestTheKernelSaysWhoConnected(t *testing.T) {
	dir, err := os.MkdirTemp("", "peer") // short: it is the path of a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if cred, err := peer.Of(server); err != nil || cred.UID != os.Getuid() || cred.PID != os.Getpid() {
		t.Errorf("%+v, %v", cred, err)
	}
	one, other := net.Pipe()
	defer one.Close()
	defer other.Close()
	if _, err := peer.Of(one); err == nil {
		t.Error("a pipe has a peer")
	}
}
