package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/shiplock/shiplock/internal/app"
	"github.com/shiplock/shiplock/internal/config"
	"github.com/shiplock/shiplock/internal/node"
	"github.com/shiplock/shiplock/internal/proxy"
)

// nodeCommand has what the server and systemd start, and what people need who
// look after a machine.
func (s *session) nodeCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "node", Short: "The data plane of this machine", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	stop := &cobra.Command{
		Use: "stop", Short: "End the node and every application it runs", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := s.nodeClient().Shutdown(c.Context()); err != nil {
				return err
			}
			return node.AwaitEnd(c.Context(), app.Options{Dir: s.data}.NodeDir())
		},
	}
	worker := &cobra.Command{
		Use: "worker folder", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return proxy.RunWorker(c.Context(), proxy.WorkerOptions{Dir: args[0], Log: s.logger()})
		},
	}
	job := &cobra.Command{
		Use: "job folder", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if code := node.RunJob(c.Context(), args[0]); code != 0 {
				return exitCode(code)
			}
			return nil
		},
	}
	check := &cobra.Command{
		Use: "check", Hidden: true, Args: cobra.NoArgs, // what an upgrade asks another program
		RunE: func(*cobra.Command, []string) error {
			checked, err := node.Check(app.Options{Dir: s.data}.NodeDir(), version())
			if err != nil {
				return err
			}
			return json.NewEncoder(s.out).Encode(checked)
		},
	}
	measured := &cobra.Command{
		Use: "metrics", Short: "Print what the node measures, in the form of Prometheus", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			text, err := s.nodeClient().Metrics(c.Context())
			if err == nil {
				_, err = s.out.Write(text)
			}
			return err
		},
	}
	c.AddCommand(measured, s.nodeRunCommand(), s.nodeStatusCommand(), s.nodeUpgradeCommand(), stop, worker, job, check)
	return c
}

func (s *session) nodeRunCommand() *cobra.Command {
	var handover int
	var metrics string
	c := &cobra.Command{
		Use: "run", Short: "Run the node in the foreground (the server does this by itself)", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o, err := s.options()
			if err != nil {
				return err
			}
			command := []string{o.Binary, "node", "run", "--data", s.data}
			if s.quiet {
				command = append(command, "--quiet")
			}
			if metrics != "" {
				command = append(command, "--metrics", metrics)
			}
			return node.Run(c.Context(), node.Options{
				Dir: o.NodeDir(), WorkerCommand: []string{o.Binary, "node", "worker"}, JobCommand: []string{o.Binary, "node", "job"},
				BaseEnv: config.BaseEnviron(), Binary: o.Binary, Log: o.Log, Version: o.Version,
				Command: command, CheckCommand: []string{o.Binary, "node", "check", "--data", s.data},
				Environ: config.Inherited(), Handover: handover, Metrics: metrics, Output: o.NodeLog(),
			})
		},
	}
	c.Flags().StringVar(&metrics, "metrics", "", "loopback `address` at which /metrics can be read")
	c.Flags().IntVar(&handover, "handover", 0, "`descriptor` of what another program left")
	_ = c.Flags().MarkHidden("handover") // it exists
	return c
}

func (s *session) nodeStatusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show which programs the node runs, and how its last upgrade ended", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			info, err := s.nodeClient().Info(c.Context())
			if err != nil {
				return err
			}
			return s.print(info, func(w io.Writer) { printNode(w, info) })
		},
	}
}

func (s *session) nodeClient() *node.Client {
	return node.NewClient(node.Socket(app.Options{Dir: s.data}.NodeDir()))
}

func printNode(w io.Writer, i node.Info) {
	fmt.Fprintf(w, "supervisor  pid %d, version %s, since %s\n", i.PID, i.Version, i.Started.Local().Format(time.DateTime))
	if i.Worker != 0 {
		fmt.Fprintf(w, "worker      pid %d%s\n", i.Worker, workerVersion(i))
	}
	for _, pid := range i.Leaving {
		fmt.Fprintf(w, "leaving     pid %d, a proxy worker whose last requests end\n", pid)
	}
	u := i.Upgrade
	if u == nil {
		return
	}
	fmt.Fprintf(w, "upgrade     %s: from %s to %s at %s\n", u.Stage, u.From, u.To, u.Began.Local().Format(time.DateTime))
	if u.Reason != "" {
		fmt.Fprintf(w, "            %s\n", u.Reason)
	}
}

// workerVersion says which version the worker is, where the last upgrade tells.
func workerVersion(i node.Info) string {
	if i.Upgrade == nil || i.Upgrade.Worker != i.Worker {
		return ""
	}
	return ", version " + i.Upgrade.To
}

func (s *session) nodeUpgradeCommand() *cobra.Command {
	var binary, unit string
	c := &cobra.Command{
		Use: "upgrade", Short: "Have the node go on as this program, without a request lost", Args: cobra.NoArgs,
		Long: "The new program is asked first whether it can go on with the node. Then it serves as a new proxy worker\n" +
			"beside the old one, whose requests and streams end in their own time, and at last the supervisor\n" +
			"becomes the new program in place: same process id, same applications, same sockets. Applications are\n" +
			"not restarted. If the new program does not come up, the old one goes on.",
		RunE: func(c *cobra.Command, _ []string) error {
			o, err := s.options()
			if err != nil {
				return err
			}
			if binary == "" {
				binary = o.Binary
			}
			if binary, err = filepath.Abs(binary); err != nil {
				return fmt.Errorf("upgrade: %w", err)
			}
			before, err := s.nodeClient().Info(c.Context())
			if err != nil {
				return err
			}
			now, err := s.nodeClient().Upgrade(c.Context(), binary, func(text string) { s.say(" ✓ %s", text) })
			if err != nil {
				return err
			}
			return s.printUpgrade(cmp.Or(unitProgram(unit, s.data), before.Binary), now)
		},
	}
	c.Flags().StringVar(&binary, "binary", "", "`file` of the new program; default is the one that is run now")
	c.Flags().StringVar(&unit, "unit", filepath.Join(unitDir, nodeUnitName), "`file` of the node's systemd unit, to look up which program it starts")
	return c
}

// printUpgrade says how an upgrade went. next is the program that the next
// start of the node runs.
func (s *session) printUpgrade(next string, now node.Info) error {
	u := now.Upgrade
	err := s.print(u, func(w io.Writer) {
		fmt.Fprintf(w, "The node was upgraded from %s to %s in %s: supervisor %d kept its process id", u.From, u.To, u.Ended.Sub(u.Began).Round(time.Millisecond), now.PID)
		if u.OldWorker != 0 {
			fmt.Fprintf(w, ", proxy worker %d took over from %d", u.Worker, u.OldWorker)
		}
		fmt.Fprintln(w, ".")
		if u.InFlight > 0 {
			fmt.Fprintf(w, "%d requests, %d of them streams, were under way at the old worker; they have until %s.\n",
				u.InFlight, u.LongLived, u.Until.Local().Format(time.TimeOnly))
		}
	})
	if next != "" && !sameFile(next, u.Binary) {
		s.say("! The next start of the node runs %s, which is another program.\nNext: sudo install -m 755 %s %s", next, u.Binary, next)
	}
	return err
}
