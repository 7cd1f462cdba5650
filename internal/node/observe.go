package node

import (
	"context"

	"github.com/shiplock/shiplock/internal/failpoint"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

// observe carries out platform.Platform's Observe.
func (e *environment) observe(ctx context.Context) platform.Observation {
	o := platform.Observation{Mode: ship.Serving, Slots: map[ship.Slot]platform.SlotStatus{}}
	s := e.now()
	if s == nil {
		return o
	}
	traffic := e.n.proxies.status(ctx).Environments[e.id.String()]
	o.Known = len(s.Slots) > 0
	o.Epoch, o.Active, o.Mode, o.Waiting = s.Epoch, s.Active, s.Mode.Mode, traffic.Waiting
	if s.Grant != nil && failpoint.Now().Before(s.Grant.Until) {
		o.Holder = &s.Grant.Claim
	}
	for name, slot := range s.Slots {
		o.Slots[name] = slot.status(traffic.Generations[slot.Generation], s.Old != nil && s.Old.Slot == name && !s.Old.Drained)
	}
	if w := s.Watch; w != nil {
		o.Watch = &platform.WatchStatus{
			Run: w.Run, Verdict: e.standing(w), Began: w.Began, Until: w.Until, Back: w.Shifted,
			Healthy: w.Healthy, Quiet: w.Quiet, Held: w.Held, Alert: w.Alert, After: w.After, Percent: 100 * s.share(),
		}
	}
	if !s.Told.At.IsZero() {
		o.Receipt = &s.Told
	}
	return o
}

func (s *slotState) status(g proxy.GenerationStatus, draining bool) platform.SlotStatus {
	st := platform.SlotStatus{
		Release: s.Spec.Release, Run: s.Run, Since: s.Since, InFlight: g.InFlight, Left: g.Left, Draining: draining,
		Counters: platform.Counters{
			Requests: g.Counters.Requests, Errors: g.Counters.Errors,
			P50: g.Counters.Latency.Quantile(0.50), P95: g.Counters.Latency.Quantile(0.95), P99: g.Counters.Latency.Quantile(0.99),
		},
	}
	for _, id := range sortedKeys(s.Instances) {
		i := s.Instances[id]
		in := platform.Instance{
			ID: id, Process: i.Process, PID: i.PID, State: i.State, Exit: i.Exit, Restarts: i.Restarts, Since: i.Since,
		}
		if i.Port != 0 {
			in.Address = address(i.Port)
		}
		st.Instances = append(st.Instances, in)
	}
	return st
}
