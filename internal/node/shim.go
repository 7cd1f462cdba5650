package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shiplock/shiplock/internal/atomicfile"
)

// The files of a job's folder. Its lock is held by the shim as long as it
// lives, so whether somebody looks after the command is never a guess.
const (
	jobTask    = "task.json"
	jobEnv     = "env.json" // secrets: removed as soon as the command runs
	jobStdin   = "stdin"
	jobStdout  = "stdout"
	jobStderr  = "stderr"
	jobLock    = "lock"
	jobStarted = "started" // written before the command is started, never twice
	jobResult  = "result.json"
)

// jobMark is the variable by which what is left of a job is found.
const jobMark = "SHIPLOCK_JOB"

// jobGrace is how long a command that took too long gets to end by itself.
const jobGrace = 10 * time.Second

// jobSpec is what the shim is told besides the environment.
type jobSpec struct {
	Task    task          `json:"task"`
	Name    string        `json:"name"`
	Token   string        `json:"token"`
	Timeout time.Duration `json:"timeout"`
	At      time.Time     `json:"at"`
}

// jobEnd is how the command ended.
type jobEnd struct {
	Code   int           `json:"code"`
	Reason string        `json:"reason,omitempty"` // when it was not the command's own exit
	Took   time.Duration `json:"took"`
}

// RunJob is the life of the process that looks after one command of a node:
// it starts the command whose description is in dir, waits, ends it when its
// time is over, and writes down how it ended. It outlives the node. It returns
// the exit code of its process, which nobody needs.
func RunJob(ctx context.Context, dir string) int {
	lock, err := lockFile(filepath.Join(dir, jobLock))
	if err != nil {
		return 1 // another one looks after it
	}
	defer lock.Close()
	end, err := carryOut(ctx, dir)
	switch {
	case errors.Is(err, fs.ErrExist):
		return 0 // it was started before; how it ended is for others to find out
	case err != nil:
		end = jobEnd{Code: -1, Reason: err.Error()}
	}
	data, err := json.Marshal(end)
	if err != nil {
		return 1
	}
	if err := atomicfile.Write(filepath.Join(dir, jobResult), data, 0o600); err != nil {
		return 1
	}
	return 0
}

// lockFile locks the file at path, which it makes, for the life of the
// returned file.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

func carryOut(ctx context.Context, dir string) (jobEnd, error) {
	var spec jobSpec
	if err := readJSON(filepath.Join(dir, jobTask), &spec); err != nil {
		return jobEnd{}, err
	}
	started, err := os.OpenFile(filepath.Join(dir, jobStarted), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return jobEnd{}, err
	}
	defer started.Close()
	if err := atomicfile.SyncDir(dir); err != nil {
		return jobEnd{}, err
	}
	if err := readJSON(filepath.Join(dir, jobEnv), &spec.Task.Env); err != nil {
		return jobEnd{}, err
	}
	if err := os.Remove(filepath.Join(dir, jobEnv)); err != nil {
		return jobEnd{}, fmt.Errorf("remove environment: %w", err)
	}
	spec.Task.Env[jobMark] = spec.Token
	cmd, err := spec.Task.cmd()
	if err != nil {
		return jobEnd{}, err
	}
	return runCommand(ctx, dir, cmd, spec.Timeout)
}

func runCommand(ctx context.Context, dir string, cmd *exec.Cmd, timeout time.Duration) (jobEnd, error) {
	var files []*os.File
	defer func() {
		for _, file := range files {
			_ = file.Close() // the command has its own
		}
	}()
	for _, f := range []struct {
		name string
		flag int
		use  func(*os.File)
	}{
		{jobStdin, os.O_RDONLY, func(f *os.File) { cmd.Stdin = f }},
		{jobStdout, os.O_WRONLY | os.O_APPEND, func(f *os.File) { cmd.Stdout = f }},
		{jobStderr, os.O_WRONLY | os.O_APPEND, func(f *os.File) { cmd.Stderr = f }},
	} {
		file, err := os.OpenFile(filepath.Join(dir, f.name), f.flag, 0)
		if err != nil {
			return jobEnd{}, err
		}
		files = append(files, file)
		f.use(file)
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return jobEnd{}, fmt.Errorf("start %s: %w", cmd.Args[0], err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	reason := await(ctx, cmd.Process.Pid, done, timeout)
	end := jobEnd{Code: cmd.ProcessState.ExitCode(), Reason: reason, Took: time.Since(began)}
	if end.Code < 0 && reason == "" {
		end.Reason = ended(cmd.ProcessState, false)
	}
	return end, nil
}

// await waits for a command's end, and brings it about when its time is over.
// It returns why, or "" when the command ended by itself.
func await(ctx context.Context, pid int, done <-chan struct{}, timeout time.Duration) string {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	select {
	case <-done:
		return ""
	case <-ctx.Done():
	}
	reason := fmt.Sprintf("ended because it took longer than %s", timeout)
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		reason = "ended because its keeper was told to stop"
	}
	_ = syscall.Kill(-pid, syscall.SIGTERM)
	grace := time.NewTimer(jobGrace)
	defer grace.Stop()
	select {
	case <-done:
	case <-grace.C:
		_ = syscall.Kill(-pid, syscall.SIGKILL)
		<-done
	}
	_ = syscall.Kill(-pid, syscall.SIGKILL) // what the command left behind
	return reason
}

func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}
