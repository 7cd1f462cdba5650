package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/shiplock/shiplock/internal/ship"
)

// handoverVersion is the form of the hand-over this program writes and reads.
const handoverVersion = 1

// HandoverFlag is the flag by which [Options].Handover is told to the program
// that takes a node over.
const HandoverFlag = "--handover="

// A handover is what a supervisor leaves to the program that its process
// becomes: same process id, same children, same sockets. Everything else is in
// the state file.
type handover struct {
	lock      *os.File            // of the folder
	api       *os.File            // the API's socket: who calls meanwhile waits
	listeners map[string]*os.File // by name
	self      *os.File            // the program that hands over, to go back to
	argv      []string            // with which it was started
	reason    string              // why it is that it comes back
}

// handoverForm is a handover as it is written, with descriptors as numbers.
type handoverForm struct {
	Version   int            `json:"version"`
	Lock      int            `json:"lock"`
	API       int            `json:"api"`
	Listeners map[string]int `json:"listeners"`
	Self      int            `json:"self,omitempty"`
	Argv      []string       `json:"argv,omitempty"`
	Reason    string         `json:"reason,omitempty"`
}

// files lists what goes along.
func (h *handover) files() []*os.File {
	all := []*os.File{h.lock, h.api}
	if h.self != nil {
		all = append(all, h.self)
	}
	for _, name := range slices.Sorted(maps.Keys(h.listeners)) {
		all = append(all, h.listeners[name])
	}
	return all
}

// become has the process become the program, which is told of the handover. It
// returns only when that fails, and nothing is changed then.
func (h *handover) become(program string, argv, environ []string) error {
	form := handoverForm{Version: handoverVersion, Listeners: map[string]int{}, Argv: h.argv, Reason: h.reason}
	numbers := map[*os.File]int{}
	for _, f := range h.files() {
		n, err := descriptor(f)
		if err != nil {
			return fmt.Errorf("hand over: %w", err)
		}
		numbers[f] = n
	}
	form.Lock, form.API = numbers[h.lock], numbers[h.api]
	if h.self != nil {
		form.Self = numbers[h.self]
	}
	for name, f := range h.listeners {
		form.Listeners[name] = numbers[f]
	}
	data, err := json.Marshal(form)
	if err != nil {
		return fmt.Errorf("hand over: %w", err)
	}
	note, err := unix.MemfdCreate("shiplock-handover", unix.MFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("hand over: %w", err)
	}
	defer unix.Close(note)
	if _, err := unix.Pwrite(note, data, 0); err != nil {
		return fmt.Errorf("hand over: %w", err)
	}
	all := append(slices.Collect(maps.Values(numbers)), note)
	defer keepToUs(all) // from here on nobody else is started, until it failed
	for _, fd := range all {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
			return fmt.Errorf("hand over: %w", err)
		}
	}
	argv = slices.DeleteFunc(slices.Clone(argv), func(a string) bool { return strings.HasPrefix(a, HandoverFlag) })
	argv = append(argv, HandoverFlag+strconv.Itoa(note))
	return fmt.Errorf("become %s: %w", program, syscall.Exec(program, argv, environ))
}

// keepToUs has descriptors closed in every program that is started.
func keepToUs(fds []int) {
	for _, fd := range fds {
		unix.CloseOnExec(fd)
	}
}

// descriptor returns the number behind f. File.Fd is not used, because it
// makes a socket blocking for every process that has it.
func descriptor(f *os.File) (int, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	n := 0
	err = raw.Control(func(fd uintptr) { n = int(fd) })
	return n, err
}

// takeOver reads what was handed over under a descriptor.
func takeOver(fd int) (*handover, error) {
	unix.CloseOnExec(fd)
	note := os.NewFile(uintptr(fd), "handover")
	defer note.Close()
	data, err := io.ReadAll(io.NewSectionReader(note, 0, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("take over: %w", err)
	}
	var form handoverForm
	if err := json.Unmarshal(data, &form); err != nil {
		return nil, fmt.Errorf("take over: %w", err)
	}
	if form.Version != handoverVersion {
		return nil, ship.Errorf(ship.Internal, "", "the node was handed over in form %d, this program reads %d", form.Version, handoverVersion)
	}
	file := func(fd int, name string) *os.File {
		unix.CloseOnExec(fd)
		return os.NewFile(uintptr(fd), name)
	}
	h := &handover{
		lock: file(form.Lock, lockName), api: file(form.API, SocketName), listeners: map[string]*os.File{},
		argv: form.Argv, reason: form.Reason,
	}
	if form.Self != 0 {
		h.self = file(form.Self, "self")
	}
	for name, fd := range form.Listeners {
		h.listeners[name] = file(fd, name)
	}
	return h, nil
}

// goBack has the process become the program again that handed over. It returns
// only when there is none or that fails.
func (h *handover) goBack(why error, environ []string) error {
	if h.self == nil || len(h.argv) == 0 {
		return errors.New("there is no program to go back to")
	}
	fd, err := descriptor(h.self)
	if err != nil {
		return err
	}
	back := *h
	back.self, back.reason = nil, why.Error()
	// The program may have been replaced on the disk. What runs cannot be.
	program := fmt.Sprintf("/proc/self/fd/%d", fd)
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
		return err
	}
	return back.become(program, h.argv, environ)
}

// ours opens the program that runs.
func ours() (*os.File, error) { return os.Open("/proc/self/exe") }

// listenAPI returns the API's socket, and a copy of it to hand over.
func (n *node) listenAPI(h *handover) (l net.Listener, copied *os.File, err error) {
	if h != nil {
		l, err = net.FileListener(h.api)
		return l, h.api, err
	}
	if l, err = listenSocket(Socket(n.Dir)); err != nil {
		return nil, nil, err
	}
	copied, err = l.(*net.UnixListener).File()
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("listen: %w", err), l.Close())
	}
	return l, copied, nil
}

// The methods below are those of no handover, too.

// lockOr returns the lock that came along, or locks the folder.
func (h *handover) lockOr(path string) (*os.File, error) {
	if h != nil {
		return h.lock, nil
	}
	return lockNode(path)
}

// unlock gives a lock back that did not come along.
func (h *handover) unlock(lock *os.File) error {
	if h != nil {
		return nil
	}
	return lock.Close()
}

// sockets returns the listening sockets that came along.
func (h *handover) sockets() map[string]*os.File {
	if h == nil {
		return map[string]*os.File{}
	}
	return maps.Clone(h.listeners)
}

// cameBack says why the program that was handed to gave us back, or "".
func (h *handover) cameBack() string {
	if h == nil {
		return ""
	}
	return h.reason
}
