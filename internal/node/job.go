package node

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/shiplock/shiplock/internal/atomicfile"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

// Limits of what a command's result shows of its output, from the end.
const (
	maxStdout = 1 << 20
	maxStderr = 64 << 10
)

// defaultTimeout bounds a command that names no bound.
const defaultTimeout = time.Hour

var jobName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$`)

// A job is a command that runs once, however often it is asked for. All there
// is to know of it is in its folder.
type job struct{ dir string }

// jobOf returns the job of the given name in a folder of jobs. The folder's
// name begins readable and ends with a hash, so that no two names share one.
func jobOf(dir, name string) job {
	sum := sha256.Sum256([]byte(name))
	return job{filepath.Join(dir, name[:min(len(name), 40)]+"-"+hex.EncodeToString(sum[:6]))}
}

// run starts the job unless that was done before, waits for its end and
// reports it. When ctx ends the job goes on.
func (n *node) runJob(ctx context.Context, j job, spec jobSpec, stdin []byte) (platform.Result, error) {
	if err := n.startJob(j, spec, stdin); err != nil {
		return platform.Result{}, err
	}
	return j.wait(ctx)
}

// wait returns how the job ended. When ctx ends the job goes on.
func (j job) wait(ctx context.Context) (platform.Result, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		r, over, err := j.result()
		if err != nil || over {
			return r, err
		}
		select {
		case <-ctx.Done():
			return platform.Result{}, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// startJob puts the job's folder in place and starts a shim for it. Only a
// job whose command was never begun gets one.
func (n *node) startJob(j job, spec jobSpec, stdin []byte) error {
	n.jobs.Lock()
	defer n.jobs.Unlock()
	if exists(filepath.Join(j.dir, jobStarted)) || j.kept() {
		return nil
	}
	if !exists(j.dir) {
		if err := j.write(spec, stdin); err != nil {
			return err
		}
	}
	log, err := os.OpenFile(filepath.Join(j.dir, jobStderr), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("start job: %w", err)
	}
	defer log.Close()
	shim := exec.Command(n.JobCommand[0], append(append([]string{}, n.JobCommand[1:]...), j.dir)...)
	shim.Dir, shim.Env, shim.Stderr = "/", n.BaseEnv, log
	shim.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	keeper, err := n.spawn(shim)
	if err != nil {
		return err
	}
	return j.awaitStart(keeper.exited)
}

// awaitStart returns when the shim has taken the job, so that nobody takes
// the moment before for a job that nobody looks after.
func (j job) awaitStart(gone <-chan struct{}) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if exists(filepath.Join(j.dir, jobStarted)) || exists(filepath.Join(j.dir, jobResult)) {
			return nil
		}
		select {
		case <-gone:
			if exists(filepath.Join(j.dir, jobStarted)) {
				return nil
			}
			return ship.Errorf(ship.Internal, "", "the keeper of a command ended before it began: %s", tail(filepath.Join(j.dir, jobStderr), 1000))
		case <-tick.C:
		}
	}
}

// write makes the job's folder, whole or not at all.
func (j job) write(spec jobSpec, stdin []byte) error {
	if err := os.MkdirAll(filepath.Dir(j.dir), 0o700); err != nil {
		return fmt.Errorf("make job: %w", err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(j.dir), ".new-")
	if err != nil {
		return fmt.Errorf("make job: %w", err)
	}
	defer os.RemoveAll(tmp)
	spec.Token, spec.At = rand.Text(), time.Now()
	if spec.Timeout <= 0 {
		spec.Timeout = defaultTimeout
	}
	task, err := json.Marshal(spec)
	if err != nil {
		return fmt.Errorf("make job: %w", err)
	}
	env, err := json.Marshal(spec.Task.Env)
	if err != nil {
		return fmt.Errorf("make job: %w", err)
	}
	for name, data := range map[string][]byte{jobTask: task, jobEnv: env, jobStdin: stdin, jobStdout: nil, jobStderr: nil} {
		if err := atomicfile.Write(filepath.Join(tmp, name), data, 0o600); err != nil {
			return fmt.Errorf("make job: %w", err)
		}
	}
	if err := os.Rename(tmp, j.dir); err != nil {
		return fmt.Errorf("make job: %w", err)
	}
	return atomicfile.SyncDir(filepath.Dir(j.dir))
}

// kept tells whether a shim looks after the job.
func (j job) kept() bool {
	f, err := lockFile(filepath.Join(j.dir, jobLock))
	if err != nil {
		return errors.Is(err, syscall.EWOULDBLOCK)
	}
	_ = f.Close()
	return false
}

// result reports how the job ended; over is false while it goes on. A job
// that was begun, that nobody looks after, that left no result and no process
// is Unknown.
func (j job) result() (r platform.Result, over bool, err error) {
	var end jobEnd
	switch err := readJSON(filepath.Join(j.dir, jobResult), &end); {
	case err == nil:
		r = platform.Result{Code: end.Code, Took: end.Took}
	case !errors.Is(err, fs.ErrNotExist):
		return r, false, fmt.Errorf("read result: %w", err)
	case j.kept():
		return r, false, nil
	case exists(filepath.Join(j.dir, jobResult)):
		return r, false, nil // it ended between the two looks
	default:
		var spec jobSpec
		if err := readJSON(filepath.Join(j.dir, jobTask), &spec); err != nil {
			return r, false, fmt.Errorf("read job: %w", err)
		}
		if len(marked(jobMark)[spec.Token]) > 0 {
			return r, false, nil // its keeper is gone, the command goes on
		}
		r = platform.Result{Code: -1, Unknown: true}
	}
	r.Stdout = tail(filepath.Join(j.dir, jobStdout), maxStdout)
	r.Stderr = tail(filepath.Join(j.dir, jobStderr), maxStderr)
	if end.Reason != "" {
		r.Stderr = append(r.Stderr, []byte("\nshiplock: "+end.Reason+"\n")...)
	}
	return r, true, nil
}

// tail returns the end of a file, at most limit bytes of it.
func tail(path string, limit int64) []byte {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	if size, err := f.Seek(0, io.SeekEnd); err != nil || size <= limit {
		_, _ = f.Seek(0, io.SeekStart)
	} else {
		_, _ = f.Seek(-limit, io.SeekEnd)
	}
	data, _ := io.ReadAll(io.LimitReader(f, limit))
	return data
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// query runs a command that ends with ctx, as a plain child.
func query(ctx context.Context, t task, stdin io.Reader, timeout time.Duration) (platform.Result, error) {
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd, err := t.cmd()
	if err != nil {
		return platform.Result{}, err
	}
	out, errs := &lastBytes{limit: maxStdout}, &lastBytes{limit: maxStderr}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, out, errs
	cmd.WaitDelay = time.Second // for descendants that hold the pipes
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return platform.Result{}, fmt.Errorf("start %s: %w", t.Argv[0], err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-done
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return platform.Result{}, context.Cause(ctx)
		}
		_, _ = fmt.Fprintf(errs, "\nshiplock: ended because it took longer than %s\n", timeout)
	}
	return platform.Result{Code: cmd.ProcessState.ExitCode(), Stdout: out.data, Stderr: errs.data, Took: time.Since(began)}, nil
}

// lastBytes keeps the end of what is written to it.
type lastBytes struct {
	limit int
	data  []byte
}

func (l *lastBytes) Write(p []byte) (int, error) {
	l.data = append(l.data, p...)
	if extra := len(l.data) - l.limit; extra > 0 {
		l.data = append(l.data[:0], l.data[extra:]...)
	}
	return len(p), nil
}
