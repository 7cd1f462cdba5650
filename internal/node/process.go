package node

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A process is an instance's process: a child of ours, or one that was taken
// back from a node that was killed.
type process struct {
	proc
	fd     int           // pidfd, which stays this process's whatever becomes of its pid
	child  *os.Process   // nil for one that is not our child
	exited chan struct{} // closed when the process is gone and everything below is final
	how    string        // how it ended
	left   bool          // we stopped looking, it lives on
}

// spawn starts the command as a child.
func (n *node) spawn(cmd *exec.Cmd) (*process, error) {
	kills := outOfMemory()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Args[0], err)
	}
	p := &process{child: cmd.Process, exited: make(chan struct{})}
	fd, err := unix.PidfdOpen(cmd.Process.Pid, 0)
	if err == nil {
		p.proc, err = readProc(cmd.Process.Pid) // even a dead child is there until we look after it
	}
	if err != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		return nil, fmt.Errorf("start %s: %w", cmd.Args[0], err)
	}
	p.fd = fd
	n.life.Go(func() { n.look(p, kills) })
	return p, nil
}

// takeBack returns the process if it still is the one that was recorded.
func (n *node) takeBack(want proc) (*process, bool) {
	fd, err := unix.PidfdOpen(want.pid, 0)
	if err != nil {
		return nil, false
	}
	// Only now that the pidfd pins it can the process be compared.
	now, err := readProc(want.pid)
	ours := err == nil && now.parent == os.Getpid()
	if err != nil || now.start != want.start || now.dead && !ours {
		_ = unix.Close(fd)
		return nil, false
	}
	p := &process{proc: now, fd: fd, exited: make(chan struct{})}
	if ours { // this process was another program when it was started
		if p.child, err = os.FindProcess(now.pid); err != nil {
			_ = unix.Close(fd)
			return nil, false
		}
	}
	n.life.Go(func() { n.look(p, -1) })
	return p, true
}

// orphans returns the children that were there before us and that no instance
// is: keepers of commands and proxy workers. Somebody has to look at their end.
func (n *node) orphans() []proc {
	known := map[int]bool{}
	for _, e := range n.state.read().Environments {
		for _, s := range e.Slots {
			for _, i := range s.Instances {
				known[i.PID] = known[i.PID] || s.Started && i.Boot == n.boot
			}
		}
	}
	var all []proc
	for _, p := range children() {
		if _, instance := markOf(p.pid, instanceMark); !known[p.pid] && !instance {
			all = append(all, p)
		}
	}
	return all
}

// lookAfter waits for the end of children that nobody else waits for.
func (n *node) lookAfter(all []proc) {
	for _, p := range all {
		n.takeBack(p)
	}
}

// look waits for the process to end or for the node to leave.
func (n *node) look(p *process, kills int64) {
	defer close(p.exited)
	defer unix.Close(p.fd)
	if !awaitExit(p.fd, n.leaving) {
		p.left = true
		return
	}
	// What the process started must not hold its port. A child's pid is not
	// used again before Wait, so the group is still its own.
	_ = syscall.Kill(-p.pid, syscall.SIGKILL)
	if p.child == nil {
		p.how = "exit code unknown: the node was started again while it ran"
		return
	}
	state, err := p.child.Wait()
	if err != nil {
		p.how = fmt.Sprintf("exit code unknown: %v", err)
		return
	}
	p.how = ended(state, kills >= 0 && outOfMemory() > kills)
}

// end ends the process: it is asked to, and after grace made to. What is left
// of its group is ended with it. It returns when the process is gone.
func (p *process) end(grace time.Duration) {
	_ = unix.PidfdSendSignal(p.fd, syscall.SIGTERM, nil, 0)
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-p.exited:
		return
	case <-t.C:
	}
	_ = syscall.Kill(-p.pid, syscall.SIGKILL)
	<-p.exited
}

// awaitExit blocks until the process behind the pidfd is gone, or the other
// end of the pipe leaving is closed, and tells whether it is gone.
func awaitExit(pidfd int, leaving *os.File) bool {
	for {
		fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}, {Fd: int32(leaving.Fd()), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
			return false
		}
		if fds[0].Revents != 0 {
			return true
		}
		if fds[1].Revents != 0 {
			return false
		}
	}
}
