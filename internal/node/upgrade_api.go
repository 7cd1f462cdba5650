package node

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// info says who we are.
func (n *node) info() Info {
	i := Info{
		PID: os.Getpid(), Dir: n.Dir, Started: n.started, Worker: n.proxies.pid(), Version: n.Version, Binary: n.Binary,
		Upgrade: n.lastUpgrade(),
	}
	for _, w := range n.proxies.leavers() {
		i.Leaving = append(i.Leaving, w.PID())
	}
	return i
}

// untilHanding returns a context that ends when the supervisor hands over, for
// answers that have no end of their own.
func (n *node) untilHanding(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-n.handing:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(); <-done }
}

// upgradeBody is the body of the call that upgrades.
type upgradeBody struct {
	Binary string `json:"binary"`
}

// upgradeLine is a line of its answer. The last one has done or an error.
type upgradeLine struct {
	Text  string     `json:"text,omitempty"`
	Done  bool       `json:"done,omitempty"`
	Error *errorBody `json:"error,omitempty"`
}

// upgradeRoute upgrades, and says line by line how far it is. It goes on when
// the caller leaves.
func (n *node) upgradeRoute(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	var b upgradeBody
	if err := decode(r, &b); err != nil {
		reply(w, nil, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(&flusher{w: w, control: http.NewResponseController(w)})
	write := func(l upgradeLine) { _ = enc.Encode(l) } // the caller may have gone
	err := n.upgrade(context.WithoutCancel(r.Context()), b.Binary, func(text string) { write(upgradeLine{Text: text}) })
	if err != nil {
		body := newErrorBody(err)
		write(upgradeLine{Error: &body})
		return
	}
	write(upgradeLine{Done: true})
}

// upgradeWithin bounds what the new supervisor is waited for.
const upgradeWithin = time.Minute

// Upgrade has the node go on as another program: first its proxy worker, then
// the supervisor, in place. say is told how far it is. It returns when the new
// supervisor answers.
func (c *Client) Upgrade(ctx context.Context, binary string, say func(string)) (Info, error) {
	before, err := c.Info(ctx)
	if err != nil {
		return Info{}, err
	}
	if err := c.beginUpgrade(ctx, binary, say); err != nil {
		return Info{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, upgradeWithin)
	defer cancel()
	for {
		now, err := c.Info(ctx)
		u := now.Upgrade
		switch {
		case ctx.Err() != nil:
			return now, ship.Errorf(ship.Failed, "shiplock node status", "the new supervisor does not answer after %s; applications and proxy worker go on: %w", upgradeWithin, ctx.Err())
		case err != nil || u == nil || now.Started.Equal(before.Started):
		case u.Stage == UpgradeDone:
			return now, nil
		case u.Stage == UpgradeFailed:
			return now, ship.Errorf(ship.Failed, "shiplock node status", "%s", u.Reason)
		}
		pause(ctx, 20*time.Millisecond)
	}
}

// beginUpgrade returns when the supervisor is about to replace itself.
func (c *Client) beginUpgrade(ctx context.Context, binary string, say func(string)) error {
	body, err := json.Marshal(upgradeBody{binary})
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://node/v1/node/upgrade", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask node: %w", err)
	}
	resp, err := c.send(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		var l upgradeLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return fmt.Errorf("read the node's answer: %w", err)
		}
		switch {
		case l.Error != nil:
			return l.Error.err()
		case l.Done:
			return nil
		}
		say(l.Text)
	}
	if err := errors.Join(lines.Err(), ctx.Err()); err != nil {
		return c.unreachable(err)
	}
	return ship.Errorf(ship.Failed, "shiplock node status", "the node ended in the middle of the upgrade; applications and proxy worker go on")
}
