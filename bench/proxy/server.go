package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// A server is a process that listens: the backend, or a peer.
type server struct {
	name    string
	address string
	cmd     *exec.Cmd
	log     bytes.Buffer // read after it ended
}

// start starts a peer in a folder of its own.
func (c *chain) start(parent, name string, p peer) (*server, error) {
	program, err := p.find()
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(parent, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	backend := ""
	if c.backend != nil {
		backend = c.backend.address
	}
	args, err := p.start(dir, address, backend)
	if err != nil {
		return nil, err
	}
	s := &server{name: name, address: address, cmd: exec.Command(program, args...)} // stop ends it, also after an interrupt
	s.cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the terminal's interrupt is for us
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	c.servers = append(c.servers, s)
	return s, nil
}

func (s *server) stop() error {
	late := time.AfterFunc(10*time.Second, func() { _ = s.cmd.Process.Kill() })
	defer late.Stop()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	err := s.cmd.Wait()
	if status, ok := s.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && (status.Signal() == syscall.SIGTERM || s.cmd.ProcessState.ExitCode() == 128+int(syscall.SIGTERM)) {
		return nil // as HAProxy ends when it is asked to
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %s", s.name, err, bytes.TrimSpace(s.log.Bytes()))
	}
	return nil
}

// freeAddress returns one that nobody listens on now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // nothing is waited for
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
