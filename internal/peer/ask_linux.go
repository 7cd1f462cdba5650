package peer

import (
	"fmt"

	"golang.org/x/sys/unix"
)

func ask(fd int) (Cred, error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return Cred{}, fmt.Errorf("peer: %w", err)
	}
	return Cred{UID: int(cred.Uid), PID: int(cred.Pid)}, nil
}
