package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/shiplock/shiplock/internal/audit"
	"github.com/shiplock/shiplock/internal/client"
	"github.com/shiplock/shiplock/internal/mask"
	"github.com/shiplock/shiplock/internal/ship"
)

func (s *session) auditCommand() *cobra.Command {
	var limit int
	c := &cobra.Command{
		Use: "audit [environment]", Short: "List who asked for which change, and what became of it", Args: cobra.MaximumNArgs(1),
		Long:              "List the last entries of the audit log. An entry is written before anything is done, and another\nwhen it is known what became of it. Each has the hash of the one before it: see shiplock audit verify.",
		ValidArgsFunction: s.completeEnvironments,
		RunE: func(c *cobra.Command, args []string) error {
			return s.with(c.Context(), s.configuredServer(), func(ctx context.Context, cl *client.Client) error {
				all := []audit.Entry{}
				app := s.appName()
				err := cl.Audit(ctx, 0, func(e audit.Entry) error {
					if (app == "" || e.App == app) && (len(args) == 0 || e.Env == args[0]) {
						all = append(all, e)
					}
					return nil
				})
				if err != nil {
					return err
				}
				all = all[max(0, len(all)-limit):]
				return s.print(all, func(w io.Writer) { printAudit(w, all) })
			})
		},
	}
	c.Flags().IntVar(&limit, "limit", 20, "show at most so `many`")
	c.AddCommand(s.auditVerify(), s.auditExport())
	return c
}

func printAudit(w io.Writer, all []audit.Entry) {
	if len(all) == 0 {
		fmt.Fprintln(w, "Nobody has asked for a change yet.")
		return
	}
	t := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	fmt.Fprintln(t, "ENTRY\tWHEN\tACTION\tWHERE\tWHO\tOUTCOME\tDETAIL")
	for _, e := range all {
		who := e.Actor
		if e.Says != "" && !strings.HasPrefix(who, e.Says+" (") {
			who += ", for " + e.Says
		}
		fmt.Fprintf(t, "%d\t%s ago\t%s\t%s\t%s\t%s\t%s\n", e.Seq, ago(e.At), line(e.Action), line(e.Where()), line(who), line(e.Outcome), line(e.Detail))
	}
	_ = t.Flush()
}

// line keeps text of others in its cell: it forges neither lines nor columns.
func line(text string) string {
	return strings.NewReplacer("\n", "␊", "\t", " ").Replace(mask.Terminal(text))
}

// verified is what a check of the audit log found.
type verified struct {
	Entries int64  `json:"entries"`
	Head    string `json:"head"` // hash of the last
	Problem string `json:"problem,omitempty"`
}

func (s *session) auditVerify() *cobra.Command {
	var head string
	c := &cobra.Command{
		Use: "verify [file]", Short: "Check that no entry was changed, taken out or moved", Args: cobra.MaximumNArgs(1),
		Long: "Check the server's audit log, or an export of it (- is standard input). That its end was cut off can\nonly be seen by who remembers a hash: note the one that is printed, and give it with --head next time.",
		RunE: func(c *cobra.Command, args []string) error {
			check := &checker{head: head}
			err := s.readAudit(c.Context(), args, check.add)
			if err != nil {
				return err
			}
			found := check.done()
			if err := s.print(found, func(w io.Writer) { printVerified(w, found) }); err != nil {
				return err
			}
			if found.Problem != "" {
				return exitCode(codes[ship.Failed])
			}
			return nil
		},
	}
	c.Flags().StringVar(&head, "head", "", "an entry with this `hash` has to be there")
	return c
}

func printVerified(w io.Writer, v verified) {
	if v.Problem != "" {
		fmt.Fprintf(w, "The audit log cannot be trusted: %s.\n", mask.Terminal(v.Problem))
		return
	}
	fmt.Fprintf(w, "%s as written. The last has the hash %s.\n", entries(v.Entries), v.Head)
}

func entries(n int64) string {
	if n == 1 {
		return "1 entry is"
	}
	return fmt.Sprintf("%d entries are", n)
}

// checker goes through a log and keeps the first thing that is wrong with it.
type checker struct {
	head    string
	met     bool
	chain   audit.Chain
	problem string
}

func (c *checker) add(e audit.Entry) error {
	if c.problem != "" {
		return nil
	}
	if err := c.chain.Add(e); err != nil {
		c.problem = err.Error()
	}
	c.met = c.met || c.head != "" && e.Hash == c.head
	return nil
}

func (c *checker) done() verified {
	if c.problem == "" && c.head != "" && !c.met {
		c.problem = fmt.Sprintf("none of its %d entries has the hash %s: its end was cut off, or it was written anew", c.chain.Seq, c.head)
	}
	return verified{Entries: c.chain.Seq, Head: c.chain.Hash, Problem: c.problem}
}

// readAudit hands the entries of an export, or of the server, to f.
func (s *session) readAudit(ctx context.Context, args []string, f func(audit.Entry) error) error {
	if len(args) == 0 {
		return s.with(ctx, s.configuredServer(), func(ctx context.Context, cl *client.Client) error { return cl.Audit(ctx, 0, f) })
	}
	if args[0] == "-" {
		return client.ReadAudit(s.in, f)
	}
	file, err := os.Open(args[0])
	if err != nil {
		return ship.Errorf(ship.Invalid, "shiplock audit export > "+args[0], "%w", err)
	}
	defer file.Close()
	return client.ReadAudit(file, f)
}

func (s *session) auditExport() *cobra.Command {
	var after int64
	c := &cobra.Command{
		Use: "export", Short: "Write the audit log, one JSON object a line, oldest first", Args: cobra.NoArgs,
		Example: "  shiplock audit export > audit.jsonl\n  shiplock audit verify audit.jsonl",
		RunE: func(c *cobra.Command, _ []string) error {
			enc := json.NewEncoder(s.out)
			return s.with(c.Context(), s.configuredServer(), func(ctx context.Context, cl *client.Client) error {
				return cl.Audit(ctx, after, func(e audit.Entry) error { return enc.Encode(e) })
			})
		},
	}
	c.Flags().Int64Var(&after, "after", 0, "leave out the entries up to this `number`")
	return c
}
