package node

import (
	"context"
	"maps"
	"net"
	"os"
	"slices"

	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

// keepOnly closes our copies of sockets that the table does not need, which
// only a new worker can forget, and returns the others.
func (p *proxies) keepOnly(used []proxy.Listener) map[string]*os.File {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, f := range p.open {
		if !slices.ContainsFunc(used, func(l proxy.Listener) bool { return l.Name == name }) {
			_ = f.Close()
			delete(p.open, name)
		}
	}
	return maps.Clone(p.open)
}

// listen opens the sockets that are not open yet and returns them.
func (p *proxies) listen(ctx context.Context, want []proxy.Listener) (map[string]*os.File, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fresh := map[string]*os.File{}
	for _, l := range want {
		if p.open[l.Name] != nil {
			continue
		}
		f, err := listen(ctx, l.Name)
		if err != nil {
			return nil, ship.Errorf(ship.Failed, "stop what has the port, or change listen in shiplock.yaml", "listen on %s: %w", l.Name, err)
		}
		p.open[l.Name], fresh[l.Name] = f, f
	}
	return fresh, nil
}

func listen(ctx context.Context, name string) (*os.File, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", name)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	return proxy.ListenerFile(l)
}
