//go:build !linux

package peer

import "os"

// ask has nobody to ask here: the mode of the socket's folder keeps others out,
// so it is us.
func ask(int) (Cred, error) { return Cred{UID: os.Getuid()}, nil }
