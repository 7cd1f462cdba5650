package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"

	"github.com/shiplock/shiplock/internal/peer"
	"github.com/shiplock/shiplock/internal/ship"
)

// listenSocket makes the API's socket. The folder's lock is held, so one that
// is there is left over.
func listenSocket(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listen: %w", err)
	}
	// Made under another name, so that it has its mode before it can be found.
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path + ".new", Net: "unix"})
	if err != nil {
		return nil, ship.Errorf(ship.Invalid, "a socket's path has at most 107 characters: choose a shorter folder", "listen on %s: %w", path, err)
	}
	l.SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(path+".new", 0o600), os.Rename(path+".new", path)); err != nil {
		return nil, errors.Join(fmt.Errorf("listen: %w", err), l.Close())
	}
	return l, nil
}

type peerKey struct{}

// withPeer remembers who is at the other end of a connection, as the kernel
// knows it.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	cred, err := peer.Of(c)
	if err != nil {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, cred)
}

// onlyUs lets nobody in but the user the node runs as, and root.
func onlyUs(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cred, ok := r.Context().Value(peerKey{}).(peer.Cred)
		if !ok || cred.UID != 0 && cred.UID != os.Getuid() {
			reply(w, nil, ship.Errorf(ship.Unreachable, "run as the user the node runs as, or as root", "the node does not talk to uid %d", cred.UID))
			return
		}
		h.ServeHTTP(w, r)
	})
}
