package proxy

import "github.com/shiplock/shiplock/internal/ship"

// Plus adds what two workers counted of the same generation.
func (c Counters) Plus(o Counters) Counters {
	c.Requests += o.Requests
	c.Errors += o.Errors
	c.NoAnswer += o.NoAnswer
	c.Late += o.Late
	c.Broken += o.Broken
	c.Timed += o.Timed
	c.Refused += o.Refused
	c.InARow += o.InARow
	c.Cut += o.Cut
	c.Aborted += o.Aborted
	c.Replayed += o.Replayed
	c.Assets += o.Assets
	c.Slow += o.Slow
	c.Slower += o.Slower
	c.Counted += o.Counted
	for i, n := range o.Classes {
		c.Classes[i] += n
	}
	c.Latency = c.Latency.Plus(o.Latency)
	return c
}

// Plus adds two histograms.
func (h Histogram) Plus(o Histogram) Histogram {
	sum := make(Histogram, max(len(h), len(o)))
	copy(sum, h)
	for i, n := range o {
		sum[i] += n
	}
	return sum
}

// Plus adds the reports of two workers that drained the same generation.
func (r DrainReport) Plus(o DrainReport) DrainReport {
	r.InFlight += o.InFlight
	r.Drained += o.Drained
	r.Cut += o.Cut
	r.Lasting += o.Lasting
	r.Took = max(r.Took, o.Took)
	r.Admitted += o.Admitted
	r.Finished += o.Finished
	r.Lost += o.Lost
	r.GivenUp += o.GivenUp
	r.Protocols = plusEndings(r.Protocols, o.Protocols)
	r.Left = plusLeft(r.Left, o.Left)
	return r
}

func plusEndings(a, b map[ship.Protocol]ship.Ending) map[ship.Protocol]ship.Ending {
	sum := map[ship.Protocol]ship.Ending{}
	for _, m := range []map[ship.Protocol]ship.Ending{a, b} {
		for p, e := range m {
			s := sum[p]
			sum[p] = ship.Ending{Drained: s.Drained + e.Drained, Closed: s.Closed + e.Closed, Cut: s.Cut + e.Cut}
		}
	}
	return sum
}

func plusLeft(a, b map[ship.Protocol]int64) map[ship.Protocol]int64 {
	sum := map[ship.Protocol]int64{}
	for _, m := range []map[ship.Protocol]int64{a, b} {
		for p, n := range m {
			sum[p] += n
		}
	}
	return sum
}

// plus adds what another worker knows of the same generation.
func (g GenerationStatus) plus(o GenerationStatus) GenerationStatus {
	g.InFlight += o.InFlight
	g.Probes += o.Probes
	g.Lasting += o.Lasting
	g.Left = plusLeft(g.Left, o.Left)
	g.Draining = g.Draining || o.Draining
	g.Drained = g.Drained && o.Drained
	g.Counters = g.Counters.Plus(o.Counters)
	return g
}

// Plus adds what a worker that retires knows to what its successor s does.
// Everything that is not counted is the successor's.
func (s Status) Plus(o Status) Status {
	all := make(map[string]EnvironmentStatus, len(s.Environments))
	for id, env := range s.Environments {
		all[id] = env
	}
	for id, theirs := range o.Environments {
		env, ok := all[id]
		if !ok { // it left the table, and requests of it are still under way there
			env = EnvironmentStatus{Mode: theirs.Mode}
		}
		all[id] = env.plus(theirs)
	}
	s.Environments = all
	return s
}

func (e EnvironmentStatus) plus(o EnvironmentStatus) EnvironmentStatus {
	e.Waiting += o.Waiting
	e.Held += o.Held
	e.Overflowed += o.Overflowed
	all := make(map[string]GenerationStatus, len(e.Generations))
	for name, g := range e.Generations {
		all[name] = g
	}
	for name, theirs := range o.Generations {
		if ours, ok := all[name]; ok {
			all[name] = ours.plus(theirs)
		} else {
			all[name] = theirs
		}
	}
	e.Generations = all
	return e
}

// Since returns what c counted after the earlier state o.
func (c Counters) Since(o Counters) Counters {
	c.Requests -= o.Requests
	c.Errors -= o.Errors
	c.Counted -= o.Counted
	c.NoAnswer -= o.NoAnswer
	c.Late -= o.Late
	c.Broken -= o.Broken
	c.Refused -= o.Refused
	c.Cut -= o.Cut
	c.Aborted -= o.Aborted
	c.Replayed -= o.Replayed
	c.Timed -= o.Timed
	c.Slow -= o.Slow
	c.Slower -= o.Slower
	for i, n := range o.Classes {
		c.Classes[i] -= n
	}
	c.Latency = c.Latency.Since(o.Latency)
	return c
}
