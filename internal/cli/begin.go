package cli

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/shiplock/shiplock/internal/client"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

// begin has a server begin a run. One that was lost before it answered may have
// begun it: it is asked again, with the same key.
func (s *session) begin(ctx context.Context, cl *client.Client, in wire.NewRun) (ship.Run, error) {
	if _, err := cl.Version(ctx); err != nil { // who never answered has begun nothing
		return ship.Run{}, err
	}
	in.Key = rand.Text()
	lost := patience{s: s}
	for {
		run, err := cl.AddRun(ctx, in)
		if ctx.Err() != nil {
			return ship.Run{}, ship.Errorf(ship.Interrupted, "shiplock history "+in.Environment.ID.Name, "interrupted; a run may have begun")
		}
		if ship.KindOf(err) != ship.Unreachable || !lost.wait(ctx, err) {
			return run, err
		}
	}
}

// patience is how long we wait for a server that was there.
type patience struct {
	s     *session
	since time.Time
}

// wait pauses before a server is asked again, and tells whether it should be.
func (p *patience) wait(ctx context.Context, err error) bool {
	switch {
	case err == nil:
		p.since = time.Time{}
	case p.since.IsZero():
		p.since = time.Now()
		p.s.say("! %v; waiting for the server", err)
	case time.Since(p.since) > 2*time.Minute:
		return false
	}
	select {
	case <-ctx.Done():
	case <-time.After(300 * time.Millisecond):
	}
	return true
}
