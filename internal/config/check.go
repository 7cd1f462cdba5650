package config

import (
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/ship"
)

// checkFile reports what no value shows by itself, and decides every
// environment to find what only shows then.
func (d *decoder) checkFile(doc *document) {
	if doc.Run != nil {
		d.checkProcesses(doc)
		d.checkShared(doc.Run.Shared)
	}
	d.checkLint(doc.Lint)
	d.checkBlocks(doc.settings)
	if len(doc.Environments.Names) == 0 && doc.Environments.At.line > 0 && len(d.problems) == 0 {
		d.report(doc.Environments.At, "", "the file has no environment")
	}
	var decided []ship.Environment
	for _, name := range doc.Environments.Names {
		own := doc.Environments.Items[name]
		d.checkEnvironment(doc, name, own)
		env := d.decide(doc, name)
		for _, other := range decided {
			d.checkRoutes(doc, env, other)
		}
		decided = append(decided, env)
	}
	d.checkOrder(doc)
}

func (d *decoder) checkProcesses(doc *document) {
	processes := doc.Run.Processes
	web, ok := processes.Get(ship.Web)
	switch {
	case !ok && processes.At.line > 0:
		d.report(processes.At, didYouMean(ship.Web, processes.Names), "there is no process %q, which gets the requests", ship.Web)
	case ok && web.Instances.At.line > 0 && web.Instances.N == 0:
		d.report(web.Instances.At, "", "%s must have an instance", ship.Web)
	}
}

func (d *decoder) checkShared(list []projectPath) {
	for i, p := range list {
		for _, earlier := range list[:i] {
			if p.Text != "" && (p.Text+"/" == earlier.Text+"/" || strings.HasPrefix(p.Text, earlier.Text+"/") || strings.HasPrefix(earlier.Text, p.Text+"/")) {
				d.report(p.At, "", "the shared folders %q and %q lie in each other", earlier.Text, p.Text)
			}
		}
	}
}

// checkLint reports rules that there are not, and ignoring without a reason.
func (d *decoder) checkLint(b *lintBlock) {
	if b == nil {
		return
	}
	for _, i := range b.Ignore {
		if i.Rule.set() && d.known.Rules != nil && !slices.Contains(d.known.Rules, i.Rule.Text) {
			d.report(i.Rule.At, didYouMean(strings.ToUpper(i.Rule.Text), d.known.Rules), "there is no rule %q", i.Rule.Text)
		}
		if i.Reason.set() && strings.TrimSpace(i.Reason.Text) == "" {
			d.report(i.Reason.At, "say why it does no harm", "the rule is ignored without a reason")
		}
		if _, err := path.Match(i.File.Text, ""); err != nil {
			d.report(i.File.At, "", "%q is no pattern of names", i.File.Text)
		}
	}
}

// checkBlocks reports durations that make no sense at zero.
func (d *decoder) checkBlocks(s settings) {
	var positive []duration
	if h := s.Health; h != nil {
		positive = append(positive, h.Every, h.Timeout, h.GiveUp)
	}
	if p := s.Proxy; p != nil {
		positive = append(positive, p.ResponseTimeout, p.KeepAlive)
		if p.RateLimit != nil {
			positive = append(positive, p.RateLimit.Per)
		}
	}
	if m := s.Migrations; m != nil {
		positive = append(positive, m.Timeout, m.LockTimeout)
		if m.Trash != nil {
			positive = append(positive, m.Trash.Keep)
		}
	}
	if w := s.Watch; w != nil {
		positive = append(positive, w.P95, w.Min, w.Warmup)
		if c := w.Confidence; c.At.line > 0 && !(c.Share >= 0.9 && c.Share < 1) {
			d.report(c.At, "", "the confidence is from 90%% to below 100%%; nothing is ever certain")
		}
	}
	last := 0.0
	for _, stage := range s.Stages {
		positive = append(positive, stage.For)
		if c := stage.Percent; c.At.line > 0 && !(c.Share > last && c.Share < 1) {
			d.report(c.At, "", "the shares of the stages grow, and all of them are below 100%%, which comes last by itself")
		}
		last = stage.Percent.Share
	}
	for _, length := range positive {
		if length.At.line > 0 && length.Length <= 0 {
			d.report(length.At, "", "the duration must be more than nothing")
		}
	}
}

func (d *decoder) checkEnvironment(doc *document, name string, own environment) {
	d.checkBlocks(own.settings)
	if own.Host.set() && len(own.Hosts) > 0 {
		d.report(own.Host.At, "", "host and hosts are both given")
	}
	if own.After.set() && own.After.Text != "" {
		if _, ok := doc.Environments.Get(own.After.Text); !ok {
			d.report(own.After.At, didYouMean(own.After.Text, doc.Environments.Names), "there is no environment %q", own.After.Text)
		}
	}
	d.checkPromotion(own)
	for _, process := range own.Processes.Names {
		at := own.Processes.spots[process]
		if doc.Run == nil {
			continue
		}
		if _, ok := doc.Run.Processes.Get(process); !ok {
			d.report(at, didYouMean(process, doc.Run.Processes.Names), "there is no process %q", process)
		}
		if n := own.Processes.Items[process].Instances; process == ship.Web && n.At.line > 0 && n.N == 0 {
			d.report(n.At, "", "%s must have an instance in %s", ship.Web, name)
		}
	}
	for i, gate := range own.Gates {
		if slices.ContainsFunc(own.Gates[:i], func(g plain) bool { return g.Text == gate.Text }) {
			d.report(gate.At, "", "the gate %q is listed twice", gate.Text)
		}
	}
}

// checkOrder reports environments that wait for each other.
func (d *decoder) checkOrder(doc *document) {
	for _, start := range doc.Environments.Names {
		first := doc.Environments.Items[start].After
		seen := []string{start}
		for next := first.Text; next != ""; next = doc.Environments.Items[next].After.Text {
			if next == start {
				d.report(first.At, "", "environments come after each other in a circle: %s", strings.Join(append(seen, start), " after "))
				return
			}
			if slices.Contains(seen, next) {
				break
			}
			seen = append(seen, next)
		}
	}
}

// checkRoutes reports two environments of the same platform that claim the
// same requests, or addresses that cannot both be opened.
func (d *decoder) checkRoutes(doc *document, env, other ship.Environment) {
	if env.Platform.Kind != other.Platform.Kind {
		return
	}
	own := doc.Environments.Items[env.ID.Name]
	for i, listen := range env.Route.Listen {
		at := doc.Environments.spots[env.ID.Name]
		if i < len(own.Listen.Items) {
			at = own.Listen.Items[i].At
		}
		for _, theirs := range other.Route.Listen {
			switch {
			case listen == theirs && shareHost(env.Route.Hosts, other.Route.Hosts):
				d.report(at, "give each its own hosts or listen", "%s and %s both take the requests for %s at %s",
					other.ID.Name, env.ID.Name, sharedHosts(env.Route.Hosts, other.Route.Hosts), listen)
			case listen != theirs && sameDoor(listen, theirs):
				d.report(at, "write the address the same way", "%s cannot be opened beside %s of %s", listen, theirs, other.ID.Name)
			}
		}
	}
}

func shareHost(a, b []string) bool {
	if len(a) == 0 && len(b) == 0 {
		return true
	}
	// An environment without hosts takes what no other asks for.
	return slices.ContainsFunc(a, func(h string) bool { return slices.Contains(b, h) })
}

func sharedHosts(a, b []string) string {
	for _, h := range a {
		if slices.Contains(b, h) {
			return h
		}
	}
	return "every host"
}

// sameDoor tells whether two different spellings listen at the same port of
// the same address, one of them possibly at every address.
func sameDoor(a, b string) bool {
	addressA, portA, _ := cutPort(a)
	addressB, portB, _ := cutPort(b)
	if portA != portB {
		return false
	}
	return every(addressA) || every(addressB) || canonical(addressA) == canonical(addressB)
}

func every(address string) bool {
	ip, err := netip.ParseAddr(strings.Trim(address, "[]"))
	return address == "" || err == nil && ip.IsUnspecified()
}

func canonical(address string) string {
	if ip, err := netip.ParseAddr(strings.Trim(address, "[]")); err == nil {
		return ip.String()
	}
	return "127.0.0.1" // localhost
}
