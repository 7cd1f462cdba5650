//go:build !linux

package proxy

import "net"

// checkPeer has nothing to ask here: the folder's mode keeps others out.
func checkPeer(*net.UnixConn) error { return nil }
