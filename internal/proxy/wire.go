package proxy

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// One connection to the control socket carries one call: a message there and
// a message back. A message is one byte, with which descriptors may travel,
// the length of the rest, and the rest in JSON.

const (
	maxMessage = 16 << 20
	// maxFiles is below what the kernel lets travel with one message (253).
	maxFiles = 240
)

// The calls of a worker.
const (
	callStatus    = "status"
	callTable     = "table"
	callDrain     = "drain"
	callEnd       = "end-streams"
	callListeners = "listeners"
	callAdd       = "add"
	callRemove    = "remove"
	callRetire    = "retire"
	callWait      = "wait"
	callTraffic   = "traffic"
)

type request struct {
	Call        string             `json:"call"`
	Table       *Table             `json:"table,omitempty"`
	Environment ship.EnvironmentID `json:"environment,omitzero"`
	Generation  string             `json:"generation,omitempty"`
	Within      time.Duration      `json:"within,omitempty"`
	Grace       *Grace             `json:"grace,omitempty"` // of a drain or a retirement; nil is one of Within
	Names       []string           `json:"names,omitempty"` // of the descriptors that travel with it
	Traffic     *Query             `json:"traffic,omitempty"`
}

type response struct {
	Error   *wireError   `json:"error,omitempty"`
	Status  *Status      `json:"status,omitempty"`
	Report  *DrainReport `json:"report,omitempty"`
	Traffic *Traffic     `json:"traffic,omitempty"`
	Names   []string     `json:"names,omitempty"`
}

// A wireError is a ship.Error on its way between processes.
type wireError struct {
	Kind ship.Kind `json:"kind"`
	Hint string    `json:"hint,omitempty"`
	Text string    `json:"text"`
}

func toWire(err error) *wireError {
	if err == nil {
		return nil
	}
	return &wireError{ship.KindOf(err), ship.HintOf(err), err.Error()}
}

func (e *wireError) err() error {
	if e == nil {
		return nil
	}
	return &ship.Error{Kind: e.Kind, Hint: e.Hint, Err: errors.New(e.Text)}
}

// send writes a message and the descriptors of files with it.
func send(c *net.UnixConn, v any, files []*os.File) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding message: %w", err)
	}
	if len(body) > maxMessage {
		return ship.Errorf(ship.Invalid, "", "message of %d bytes is over the limit of %d", len(body), maxMessage)
	}
	if len(files) > maxFiles {
		return ship.Errorf(ship.Invalid, "", "%d descriptors are over the limit of %d", len(files), maxFiles)
	}
	var rights []byte
	if len(files) > 0 {
		fds, err := descriptors(files)
		if err != nil {
			return err
		}
		rights = syscall.UnixRights(fds...)
	}
	if _, _, err := c.WriteMsgUnix([]byte{1}, rights, nil); err != nil {
		return fmt.Errorf("sending message: %w", err)
	}
	runtime.KeepAlive(files)
	head := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body)))
	if _, err := c.Write(append(head, body...)); err != nil {
		return fmt.Errorf("sending message: %w", err)
	}
	return nil
}

// descriptors returns the numbers behind files. File.Fd is not used, because
// it makes the socket blocking for every process that has it.
func descriptors(files []*os.File) ([]int, error) {
	fds := make([]int, 0, len(files))
	for _, f := range files {
		raw, err := f.SyscallConn()
		if err != nil {
			return nil, fmt.Errorf("descriptor of %s: %w", f.Name(), err)
		}
		if err := raw.Control(func(fd uintptr) { fds = append(fds, int(fd)) }); err != nil {
			return nil, fmt.Errorf("descriptor of %s: %w", f.Name(), err)
		}
	}
	return fds, nil
}

// receive reads a message into v and returns the descriptors that came with
// it. The caller closes them, also when there is an error.
func receive(c *net.UnixConn, v any) ([]*os.File, error) {
	first, oob := make([]byte, 1), make([]byte, syscall.CmsgSpace(maxFiles*4))
	n, oobn, flags, _, err := c.ReadMsgUnix(first, oob)
	if err != nil {
		return nil, fmt.Errorf("receiving message: %w", err)
	}
	if n == 0 {
		return nil, io.EOF
	}
	files, err := received(oob[:oobn])
	if err != nil {
		return files, err
	}
	if flags&syscall.MSG_CTRUNC != 0 {
		return files, errors.New("receiving message: too many descriptors came with it")
	}
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return files, fmt.Errorf("receiving message: %w", err)
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > maxMessage {
		return files, fmt.Errorf("receiving message: %d bytes are over the limit of %d", size, maxMessage)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(c, body); err != nil {
		return files, fmt.Errorf("receiving message: %w", err)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return files, fmt.Errorf("decoding message: %w", err)
	}
	return files, nil
}

func received(oob []byte) ([]*os.File, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("receiving descriptors: %w", err)
	}
	var files []*os.File
	for _, m := range messages {
		fds, err := syscall.ParseUnixRights(&m)
		if err != nil {
			return files, fmt.Errorf("receiving descriptors: %w", err)
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
