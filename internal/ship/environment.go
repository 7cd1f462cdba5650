package ship

import (
	"encoding/json"
	"time"
)

// An Environment is a named place where an app runs, with every setting a run
// needs already decided. It is what a run freezes: references to secrets are
// still references, paths are absolute or relative to the release's folder.
type Environment struct {
	ID       EnvironmentID `json:"id"`
	Platform Plugin        `json:"platform"`
	Branch   string        `json:"branch,omitempty"`
	After    string        `json:"after,omitempty"` // environment it is promoted from
	// Auto has what passed in After promoted by itself.
	Auto   bool          `json:"auto,omitempty"`
	Soak   time.Duration `json:"soak,omitempty"`   // a release has to have served After for so long
	Freeze []Freeze      `json:"freeze,omitempty"` // when nothing is deployed

	Route    Route            `json:"route"`
	Proxy    Proxy            `json:"proxy"`
	Run      RunSettings      `json:"run"`
	Vars     map[string]Value `json:"vars,omitempty"` // environment variables of every process
	Health   Health           `json:"health"`
	Warmup   []string         `json:"warmup,omitempty"` // paths
	Smoke    []string         `json:"smoke,omitempty"`  // paths that must answer 2xx or 3xx
	Database *Database        `json:"database,omitempty"`
	Migrate  *Migrate         `json:"migrate,omitempty"`
	Gates    []Gate           `json:"gates,omitempty"`
	Notify   []Notify         `json:"notify,omitempty"`
	Watch    Limits           `json:"watch"`
	Stages   []Stage          `json:"stages,omitempty"` // before all requests; none is at once
	Sticky   bool             `json:"sticky,omitempty"` // clients stay with the release they met in a stage
	KeepOld  time.Duration    `json:"keep_old"`         // the old slot stays warm for so long after the swap
	Drain    time.Duration    `json:"drain"`            // requests under way get so long to end
	// LongLivedDrain is Drain for WebSocket, event streams and the like, which
	// are ended one after the other; 0 is Drain.
	LongLivedDrain time.Duration `json:"long_lived_drain"`
	Hold           time.Duration `json:"hold"` // requests wait at the proxy no longer than this

	SecretsFile string `json:"secrets_file,omitempty"` // absolute; mode 0600
}

// A Plugin is a kind of plug-in with its own settings, still undecoded.
type Plugin struct {
	Kind   string          `json:"kind"`
	Config json.RawMessage `json:"config,omitempty"`
}

// A Route says which requests are the environment's.
type Route struct {
	Listen []string `json:"listen"`          // host:port; shared by environments that differ in Hosts
	Hosts  []string `json:"hosts,omitempty"` // lower case, no port; none means every host
	TLS    *TLS     `json:"tls,omitempty"`
}

// A Proxy says how requests are treated on their way to the app. Zero values
// are the proxy's own defaults.
type Proxy struct {
	TrustedProxies  []string      `json:"trusted_proxies,omitempty"` // networks (CIDR) whose word on the client's address counts
	ResponseTimeout time.Duration `json:"response_timeout"`          // an answer has to begin within
	KeepAlive       time.Duration `json:"keep_alive"`                // of an idle connection to an instance
	MaxBody         int64         `json:"max_body"`                  // bytes of a request
	HoldMax         int           `json:"hold_max"`                  // so many requests wait during a hold
	Maintenance     string        `json:"maintenance,omitempty"`     // text of the maintenance page, unless it was closed with another
	AssetPath       string        `json:"asset_path,omitempty"`      // what is missing below it is asked of the release before
	RateLimit       *RateLimit    `json:"rate_limit,omitempty"`
}

// A RateLimit bounds the requests of one client: so many per time on average,
// and no more than a burst at once.
type RateLimit struct {
	Requests int           `json:"requests"`
	Per      time.Duration `json:"per"`
	Burst    int           `json:"burst"`
}

// TLS names certificate files in PEM form.
type TLS struct {
	Cert string `json:"cert"`
	Key  string `json:"key"`
}

// RunSettings say how a release is prepared and which processes it has.
type RunSettings struct {
	Python    *Python            `json:"python,omitempty"`
	Prepare   []Argv             `json:"prepare,omitempty"` // once per release, needs no database
	Setup     []Argv             `json:"setup,omitempty"`   // before the processes start, in order
	Processes map[string]Process `json:"processes"`
	Shared    []string           `json:"shared,omitempty"` // folders that outlive releases, relative to the release
	User      string             `json:"user,omitempty"`   // unprivileged user the commands run as; "" is our own
}

// Python asks for a virtual environment per release, first on PATH.
type Python struct {
	Requirements string `json:"requirements,omitempty"` // file within the release
	Interpreter  string `json:"interpreter,omitempty"`  // default python3
	SitePackages bool   `json:"site_packages,omitempty"`
	Offline      bool   `json:"offline,omitempty"` // install nothing from an index
}

// Web is the name of the process that gets requests.
const Web = "web"

// A Process is one of a release's long-running commands. All but [Web] are
// workers: they are switched at the swap and never run in two versions at once
// unless Overlap allows it.
type Process struct {
	Command   Argv          `json:"command"`
	Instances int           `json:"instances"`
	Overlap   bool          `json:"overlap,omitempty"`
	Grace     time.Duration `json:"grace"` // between SIGTERM and SIGKILL
}

// Health says when an instance is healthy.
type Health struct {
	Path         string        `json:"path"`
	Host         string        `json:"host,omitempty"` // Host header; default the route's first host
	HealthyAfter int           `json:"healthy_after"`  // good answers in a row
	Every        time.Duration `json:"every"`
	Timeout      time.Duration `json:"timeout"` // of one probe
	GiveUp       time.Duration `json:"give_up"` // of the whole wait
}

// A Database is the target database of an environment.
type Database struct {
	Kind       string `json:"kind"`                  // "postgres", "sqlite"
	URL        Value  `json:"url"`                   // what the application uses
	MigrateURL Value  `json:"migrate_url,omitempty"` // direct, migration role; default URL
	Backup     Backup `json:"backup"`
}

// Direct returns the URL migrations go through.
func (d *Database) Direct() Value {
	if d.MigrateURL != "" {
		return d.MigrateURL
	}
	return d.URL
}

// A Backup says how the database is saved before a migration.
type Backup struct {
	Kind    string `json:"kind"`             // "dump", "command", "none"
	Reason  string `json:"reason,omitempty"` // why none
	To      string `json:"to,omitempty"`     // file:// URL of a folder
	Command Argv   `json:"command,omitempty"`
	Key     Value  `json:"key,omitempty"` // passphrase or key of the encryption; default the installation's own key
}

// Migrate says how the schema is changed.
type Migrate struct {
	Tool          Plugin        `json:"tool"`
	Route         string        `json:"route,omitempty"` // for incompatible changes: "", "hold", "maintenance"
	Timeout       time.Duration `json:"timeout"`         // of one migration
	LockTimeout   time.Duration `json:"lock_timeout"`    // a statement waits no longer for a lock
	LockRetry     time.Duration `json:"lock_retry"`      // what did not get its lock is tried again for so long
	ContractAfter time.Duration `json:"contract_after"`
	Trash         Trash         `json:"trash"`
	Ignore        []Ignore      `json:"ignore,omitempty"`
}

// An Ignore leaves the findings of a rule of lint out, for a reason.
type Ignore struct {
	Rule   string `json:"rule"`           // "PG116"
	File   string `json:"file,omitempty"` // pattern of the migrations' files; "" is all
	Reason string `json:"reason"`
}

// Trash says how what migrations drop is kept.
type Trash struct {
	Keep    time.Duration `json:"keep"`
	MaxSize int64         `json:"max_size"`      // bytes of one table or column; more is refused
	Off     string        `json:"off,omitempty"` // why nothing is kept; "" keeps
}

// A Gate is a condition a run must pass before it goes on.
type Gate struct {
	Name    string        `json:"name"`
	Plugin  Plugin        `json:"plugin"`
	Timeout time.Duration `json:"timeout"`
	// Running gates are asked when the candidate runs and is well, before users
	// get to it; the others before anything is changed.
	Running bool `json:"running,omitempty"`
	Alone   bool `json:"alone,omitempty"` // no other gate is asked meanwhile
}

// Notify is a notifier and what it wants to hear of; On empty means all.
type Notify struct {
	Plugin Plugin   `json:"plugin"`
	On     []string `json:"on,omitempty"` // "success", "failure", "rollback"
}
