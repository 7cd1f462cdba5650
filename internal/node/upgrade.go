package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/shiplock/shiplock/internal/atomicfile"
	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

// checkWithin bounds what a new program may take to say that it can go on.
const checkWithin = 20 * time.Second

// The stages of an upgrade, and its ends.
const (
	UpgradeWorker     = "worker"     // the new proxy worker is tried
	UpgradeSupervisor = "supervisor" // the supervisor replaces itself
	UpgradeDone       = "done"
	UpgradeFailed     = "failed"
)

// An Upgrade is the last change of the program a node runs.
type Upgrade struct {
	Stage  string    `json:"stage"`
	Binary string    `json:"binary"`
	From   string    `json:"from"` // versions
	To     string    `json:"to"`
	Began  time.Time `json:"began"`
	Ended  time.Time `json:"ended,omitzero"`
	Reason string    `json:"reason,omitempty"` // why it failed

	OldWorker int       `json:"old_worker,omitempty"` // process ids
	Worker    int       `json:"worker,omitempty"`
	InFlight  int64     `json:"in_flight"`  // requests at the old worker when it was relieved, long-lived ones included
	LongLived int64     `json:"long_lived"` // of them: WebSockets and event streams
	Until     time.Time `json:"until,omitzero"`
}

// Checked is what a program says that was asked whether it can take the node
// over.
type Checked struct {
	Version      string `json:"version"`
	State        int    `json:"state"`    // version of the state file it writes
	Handover     int    `json:"handover"` // form of the hand-over it reads
	Environments int    `json:"environments"`
}

// Check tells whether this program can go on with the node in dir: it reads
// everything the node that runs has written, and changes nothing.
func Check(dir, version string) (Checked, error) {
	f, err := loadState(filepath.Join(dir, "state.json"))
	if err != nil {
		return Checked{}, err
	}
	s := f.read()
	if _, err := tableOf(s, func(ship.Environment) (proxy.Certificate, error) { return proxy.Certificate{}, nil }); err != nil {
		return Checked{}, err
	}
	return Checked{Version: version, State: stateVersion, Handover: handoverVersion, Environments: len(s.Environments)}, nil
}

// upgrade replaces the program of the worker, and then has the supervisor
// replace its own. When it returns nil the supervisor is about to.
func (n *node) upgrade(ctx context.Context, binary string, say func(string)) error {
	select {
	case n.upgrading <- struct{}{}:
	default:
		return ship.Errorf(ship.Locked, "shiplock node status", "the node is being upgraded already")
	}
	leave := func() { <-n.upgrading }
	u := Upgrade{Binary: binary, From: n.Version, Began: time.Now()}
	file, checked, err := n.tryProgram(ctx, binary)
	if err != nil {
		leave()
		return err
	}
	u.To = checked.Version
	say(fmt.Sprintf("%s is version %s and reads the state of %s", binary, u.To, count(checked.Environments, "environment")))
	if err := n.exchangeWorker(ctx, &u, say); err != nil {
		u.Stage, u.Reason, u.Ended = UpgradeFailed, err.Error(), time.Now()
		n.keepRecord(u)
		leave()
		return err
	}
	now, err := os.Stat(binary)
	if err == nil && (!os.SameFile(file, now) || now.Size() != file.Size() || !now.ModTime().Equal(file.ModTime())) {
		err = errors.New("it was changed while it was looked at")
	}
	if err != nil {
		u.Stage, u.Reason, u.Ended = UpgradeFailed, fmt.Sprintf("the supervisor stays version %s%s: program %s: %v", u.From, n.stays(&u), binary, err), time.Now()
		n.keepRecord(u)
		leave()
		return ship.Errorf(ship.Failed, "shiplock node upgrade", "%s", u.Reason)
	}
	u.Stage = UpgradeSupervisor
	if err := n.record(u); err != nil {
		leave()
		return err
	}
	say(fmt.Sprintf("the supervisor, pid %d, becomes version %s", os.Getpid(), u.To))
	n.successor = binary
	close(n.handing) // nobody leaves n.upgrading any more
	return nil
}

// stays says what of the new program is left when its supervisor is not taken:
// to take the worker back as well would be another change nobody asked for.
func (n *node) stays(u *Upgrade) string {
	if u.Worker == 0 || u.Worker != n.proxies.pid() {
		return ""
	}
	return fmt.Sprintf("; the proxy worker, pid %d, stays version %s and serves", u.Worker, u.To)
}

// tryProgram asks a program whether it can take the node over.
func (n *node) tryProgram(ctx context.Context, binary string) (fs.FileInfo, Checked, error) {
	refuse := func(err error) (fs.FileInfo, Checked, error) {
		return nil, Checked{}, ship.Errorf(ship.Failed, "give another program with --binary", "%s was not taken, nothing was changed: %w", binary, err)
	}
	if !filepath.IsAbs(binary) {
		return refuse(errors.New("its path is not absolute"))
	}
	if len(n.CheckCommand) == 0 || len(n.Command) == 0 {
		return refuse(errors.New("this node was started in a way that cannot be upgraded"))
	}
	if err := executable(binary); err != nil {
		return refuse(err)
	}
	info, err := os.Stat(binary)
	if err != nil {
		return refuse(err)
	}
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, n.CheckCommand[1:]...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Env, cmd.Dir = &bounded{&out}, &bounded{&errOut}, n.BaseEnv, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		said, _, _ := strings.Cut(strings.TrimSpace(errOut.String()), "\n")
		if said == "" {
			said = "it printed nothing"
		}
		if ctx.Err() != nil {
			err = fmt.Errorf("it did not answer within %s", checkWithin)
		}
		return refuse(fmt.Errorf("its self-check failed: %w: %s", err, said))
	}
	var c Checked
	if err := json.Unmarshal(out.Bytes(), &c); err != nil || c.Version == "" {
		return refuse(errors.New("its self-check printed something else than was expected; is it shiplock?"))
	}
	if c.Handover != handoverVersion {
		return refuse(fmt.Errorf("it takes a node over in form %d, this one hands over in form %d", c.Handover, handoverVersion))
	}
	return info, c, nil
}

// exchangeWorker has a worker of the new program serve, and the old one leave.
func (n *node) exchangeWorker(ctx context.Context, u *Upgrade, say func(string)) error {
	command := append([]string{u.Binary}, n.WorkerCommand[1:]...)
	x, err := n.proxies.exchange(ctx, command, func(pid int) error {
		u.Stage, u.Worker = UpgradeWorker, pid
		return n.record(*u)
	})
	if err != nil {
		return ship.Errorf(ship.Failed, "cat "+filepath.Join(n.Dir, "proxy", "worker.log"), "the new proxy worker did not come to serve, the old one goes on: %w", err)
	}
	u.OldWorker, u.Worker, u.InFlight, u.LongLived, u.Until = x.old, x.new, x.inFlight, x.lasting, x.until
	switch {
	case x.new == 0:
		say("no proxy worker is needed yet")
	case x.old == 0:
		say(fmt.Sprintf("proxy worker %d serves", x.new))
	default:
		say(fmt.Sprintf("proxy worker %d serves; %s end at worker %d, until %s at the latest",
			x.new, streams(x.inFlight, x.lasting), x.old, x.until.Format("15:04:05")))
	}
	return nil
}

func streams(inFlight, lasting int64) string {
	return fmt.Sprintf("%s and %s", count(inFlight-lasting, "request"), count(lasting, "stream"))
}

func count[N int | int64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// bounded keeps the beginning of what a program prints.
type bounded struct{ *bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if room := 64<<10 - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(len(p), room)])
	}
	return len(p), nil
}

func (n *node) upgradePath() string { return filepath.Join(n.Dir, "upgrade.json") }

// record writes down how far an upgrade is.
func (n *node) record(u Upgrade) error {
	data, err := json.Marshal(u)
	if err != nil {
		return fmt.Errorf("record upgrade: %w", err)
	}
	if err := atomicfile.Write(n.upgradePath(), data, 0o600); err != nil {
		return fmt.Errorf("record upgrade: %w", err)
	}
	return nil
}

// keepRecord is record where nothing can be done about it.
func (n *node) keepRecord(u Upgrade) {
	if err := n.record(u); err != nil {
		n.Log.Error("the end of an upgrade was not recorded", "error", err)
	}
}

// lastUpgrade returns the last upgrade, or nil.
func (n *node) lastUpgrade() *Upgrade {
	var u Upgrade
	if err := readJSON(n.upgradePath(), &u); err != nil {
		return nil
	}
	return &u
}

// concludeUpgrade records how the upgrade ended that this start of the node is
// a part of, or that was cut off by it. handed tells that we were handed over
// to, and reason why the one that was handed to gave us back.
func (n *node) concludeUpgrade(handed bool, reason string) {
	u := n.lastUpgrade()
	if u == nil || u.Stage == UpgradeDone || u.Stage == UpgradeFailed {
		return
	}
	u.Ended = time.Now()
	switch {
	case reason != "":
		u.Stage, u.Reason = UpgradeFailed, fmt.Sprintf("the supervisor of version %s did not come up, that of version %s goes on%s: %s", u.To, n.Version, n.stays(u), reason)
	case u.Stage == UpgradeWorker:
		u.Stage, u.Reason = UpgradeFailed, "the supervisor ended while the new proxy worker was tried"
	case n.Version == u.To:
		u.Stage = UpgradeDone
		if !handed {
			u.Reason = "the supervisor ended meanwhile and was started anew"
		}
	default:
		u.Stage, u.Reason = UpgradeFailed, fmt.Sprintf("the supervisor ended meanwhile, and the one that was started anew is version %s%s", n.Version, n.stays(u))
	}
	n.keepRecord(*u)
	log := n.Log.With("from", u.From, "to", u.To, "pid", os.Getpid())
	if u.Stage == UpgradeDone {
		log.Info("the node was upgraded")
		return
	}
	log.Error("the node was not upgraded", "reason", u.Reason)
}

// trial is the process id of the worker that was on trial when the node before
// ended, or 0.
func (n *node) trial() int {
	if u := n.lastUpgrade(); u != nil && u.Stage == UpgradeWorker {
		return u.Worker
	}
	return 0
}
