package node

import (
	"fmt"
	"time"

	"github.com/shiplock/shiplock/internal/failpoint"
	"github.com/shiplock/shiplock/internal/ship"
)

// acquire grants the claim's run the environment. See platform.Platform.
func (n *node) acquire(id ship.EnvironmentID, c ship.Claim) (ship.Fence, error) {
	if c.Run == "" || c.TTL <= 0 {
		return ship.Fence{}, ship.Errorf(ship.Invalid, "", "a claim needs a run and a time to live")
	}
	e, err := n.environment(id)
	if err != nil {
		return ship.Fence{}, err
	}
	e.granting.Lock()
	defer e.granting.Unlock()
	var f ship.Fence
	err = n.state.change(id, func(e *envState) error {
		now := failpoint.Now()
		if g := e.Grant; g != nil && g.Claim.Run != c.Run && now.Before(g.Until) {
			return ship.Errorf(ship.Locked, "wait for it, or take its run back: shiplock runs",
				"%s is held by %s since %s for %s (run %s)",
				id, g.Claim.Holder, g.Since.UTC().Format(time.RFC3339), g.Claim.Reason, g.Claim.Run)
		}
		since := now
		if g := e.Grant; g != nil && g.Claim.Run == c.Run && e.Epoch >= c.Atleast {
			since = g.Since
		} else {
			e.Epoch = max(e.Epoch+1, c.Atleast)
		}
		e.Grantee, e.Grant = c.Run, &grant{Claim: c, Since: since, Until: now.Add(c.TTL)}
		f = ship.Fence{Run: c.Run, Epoch: e.Epoch}
		return nil
	})
	return f, err
}

func (n *node) renew(id ship.EnvironmentID, f ship.Fence, ttl time.Duration) error {
	return n.state.change(id, func(e *envState) error {
		if err := e.admit(f); err != nil {
			return err
		}
		if e.Grant == nil {
			return ship.Errorf(ship.Fenced, "", "%s: the grant of run %s was released", id, f.Run)
		}
		e.Grant.Until = failpoint.Now().Add(ttl)
		return nil
	})
}

func (n *node) release(id ship.EnvironmentID, f ship.Fence) error {
	return n.state.change(id, func(e *envState) error {
		if err := e.admit(f); err != nil {
			return err
		}
		e.Grant = nil
		return nil
	})
}

// admit refuses a fence that is not the one granted last. It must be asked in
// the change it protects, so that no other grant comes in between.
func (e *envState) admit(f ship.Fence) error {
	if f.Epoch == e.Epoch && f.Run == e.Grantee && f.Run != "" {
		return nil
	}
	who := "nobody was granted it yet"
	if e.Grantee != "" {
		who = fmt.Sprintf("run %s has epoch %d", e.Grantee, e.Epoch)
	}
	return ship.Errorf(ship.Fenced, "shiplock runs", "%s: run %s with epoch %d may not change it, %s", e.ID, f.Run, f.Epoch, who)
}

// check is admit for what is not a change of the state itself.
func (n *node) check(id ship.EnvironmentID, f ship.Fence) error {
	e := n.state.env(id)
	if e == nil {
		e = &envState{ID: id}
	}
	return e.admit(f)
}
