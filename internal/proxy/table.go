package proxy

import (
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// A Table is everything a worker needs to route requests. A table is never
// changed: it is replaced whole, so that a request sees one table or the next
// and never a mixture.
type Table struct {
	// Revision counts the supervisor's changes. A table older than the one in
	// force is refused, so that a delayed message cannot undo a later swap.
	Revision     int64         `json:"revision"`
	Listeners    []Listener    `json:"listeners"`
	Environments []Environment `json:"environments"`
}

// A Listener is an address requests arrive at. With certificates it speaks
// TLS (1.3 at least) and HTTP/2, without it speaks plain HTTP/1.1.
type Listener struct {
	Name string        `json:"name"` // "127.0.0.1:8081"
	TLS  []Certificate `json:"tls,omitempty"`
}

// A Certificate serves the hosts it names; the listener's first one serves
// every other host. The key is never logged.
type Certificate struct {
	Hosts   []string `json:"hosts,omitempty"`
	CertPEM []byte   `json:"cert_pem"`
	KeyPEM  []byte   `json:"key_pem"`
}

// An Environment is one routed environment: which requests are its own, where
// they go, and how they are treated meanwhile.
type Environment struct {
	ID     ship.EnvironmentID    `json:"id"`
	Listen []string              `json:"listen"`          // names of listeners
	Hosts  []string              `json:"hosts,omitempty"` // without port; none is every host
	Active ship.Slot             `json:"active,omitempty"`
	Slots  map[ship.Slot]Backend `json:"slots,omitempty"`
	Mode   ship.Mode             `json:"mode,omitempty"` // "" is Serving
	// Kept is a slot that was active before and still runs. It is asked for
	// assets (Proxy.AssetPath) that the active one does not know.
	Kept ship.Slot `json:"kept,omitempty"`
	// Split, unless nil, shares the requests between Active and another slot.
	Split *Split `json:"split,omitempty"`

	HoldFor time.Duration `json:"hold_for,omitempty"` // one request waits no longer; 0 is 30 s
	HoldMax int           `json:"hold_max,omitempty"` // so many requests wait; 0 is 1000

	Text       string        `json:"text,omitempty"`        // of the maintenance page
	RetryAfter time.Duration `json:"retry_after,omitempty"` // told with every 503; 0 is 10 s
	// HealthPath is answered by the active backend in every mode. "/" is not,
	// because people's requests for it cannot be told from a probe's.
	HealthPath string `json:"health_path,omitempty"`
	// Proxy is how requests are treated; what is zero there has a default.
	Proxy ship.Proxy `json:"proxy,omitzero"`
	// SlowerThan is the limit above which an answer counts as slow. 0 counts none.
	SlowerThan time.Duration `json:"slower_than,omitempty"`
	// ComparedWith is a second one, by which two releases are compared.
	ComparedWith time.Duration `json:"compared_with,omitempty"`
}

// A Backend is what runs in a slot. A new Generation (run and slot) begins
// with new counters, connections and drain state; the same one keeps them,
// also when its addresses change.
type Backend struct {
	Generation string   `json:"generation"`
	Addresses  []string `json:"addresses"` // host:port, plain HTTP/1.1
	// Release, unless empty, is told to clients in the header X-Shiplock-Release.
	Release string `json:"release,omitempty"`
}
