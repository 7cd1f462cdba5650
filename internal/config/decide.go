package config

import (
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// Defaults of what neither the file nor the environment says.
const (
	defaultPlatform      = "process"
	defaultListen        = "127.0.0.1:8080"
	defaultKeepOld       = 15 * time.Minute
	defaultDrain         = 30 * time.Second
	defaultLongLived     = time.Minute
	defaultHoldMax       = 1000
	defaultHold          = 20 * time.Second
	defaultGrace         = 10 * time.Second
	defaultGate          = 30 * time.Minute
	defaultMigration     = 15 * time.Minute
	defaultLock          = 5 * time.Second
	defaultLockRetry     = 10 * time.Minute
	defaultContractAfter = 28 * 24 * time.Hour
	defaultTrashKeep     = 28 * 24 * time.Hour
	defaultTrashSize     = 1 << 30
	defaultWatch         = 5 * time.Minute
	defaultErrorRate     = 0.01
	defaultConfidence    = 0.999
	defaultMin           = time.Minute
	defaultWatchWarmup   = 30 * time.Second
	defaultResponse      = time.Minute
	defaultKeepAlive     = time.Second
	defaultMaxBody       = 1 << 30
)

// decide returns one environment with everything decided, and reports what
// only shows when the file's and the environment's settings are put together.
func (d *decoder) decide(doc *document, name string) ship.Environment {
	own := doc.Environments.Items[name]
	s := merge(doc.settings, own.settings)
	env := ship.Environment{
		ID:       ship.EnvironmentID{App: doc.App.Text, Name: name},
		Platform: own.Platform.Plugin,
		Branch:   own.Branch.Text,
		After:    own.After.Text,
		Auto:     own.Auto.On,
		Soak:     own.Soak.or(0),
		Freeze:   freezes(own.Freeze),
		Route:    d.route(own),
		Run:      d.runSettings(doc, own),
		Vars:     vars(doc.Vars, own.Vars),
		Proxy:    proxy(s.Proxy),
		Warmup:   texts(s.Warmup),
		Smoke:    texts(s.Smoke),
		Gates:    d.gates(doc, own),
		Notify:   notifies(s.Notify),
		Watch:    watch(s.Watch),
		Stages:   stages(s.Stages),
		Drain:    s.Drain.or(defaultDrain),
		Hold:     s.Hold.or(defaultHold),
	}
	env.LongLivedDrain = s.LongLived.or(max(defaultLongLived, env.Drain))
	if env.Platform.Kind == "" {
		env.Platform.Kind = defaultPlatform
	}
	env.Sticky = len(env.Stages) > 0 && (s.Sticky == nil || s.Sticky.On)
	env.Health = health(s.Health)
	env.KeepOld = s.KeepOld.or(max(defaultKeepOld, env.Watch.Longest()))
	if env.KeepOld < env.Watch.For {
		d.report(s.KeepOld.At, "", "keep_old is %s, shorter than watch.for, %s: nothing would be left to go back to", env.KeepOld, env.Watch.For)
	}
	env.Database = d.database(s.Database, name)
	if env.Migrate = d.migrate(s.Migrations, env.Database); env.Migrate != nil {
		env.Migrate.Ignore = ignores(doc.Lint)
	}
	if s.Secrets != nil {
		env.SecretsFile = s.Secrets.File.in(d.dir)
	}
	return env
}

func (d *decoder) route(own environment) ship.Route {
	r := ship.Route{Listen: texts(own.Listen.Items), Hosts: texts(own.Hosts)}
	if len(r.Listen) == 0 {
		r.Listen = []string{defaultListen}
	}
	if own.Host.set() {
		r.Hosts = append([]string{own.Host.Text}, r.Hosts...)
	}
	if own.TLS != nil {
		r.TLS = &ship.TLS{Cert: own.TLS.Cert.in(d.dir), Key: own.TLS.Key.in(d.dir)}
	}
	return r
}

func (d *decoder) runSettings(doc *document, own environment) ship.RunSettings {
	var run runBlock
	if doc.Run != nil {
		run = *doc.Run
	}
	out := ship.RunSettings{
		Prepare:   argvs(run.Prepare),
		Setup:     argvs(run.Setup),
		Processes: map[string]ship.Process{},
		Shared:    texts(run.Shared),
		User:      own.User.or(run.User.Text),
	}
	if p := run.Python; p != nil {
		out.Python = &ship.Python{
			Requirements: p.Requirements.Text,
			Interpreter:  p.Interpreter.or("python3"),
			SitePackages: p.SitePackages.On,
			Offline:      p.Offline.On,
		}
	}
	for name, p := range run.Processes.Items {
		out.Processes[name] = ship.Process{
			Command:   p.Command.Argv,
			Instances: own.Processes.Items[name].Instances.or(p.Instances.or(1)),
			Overlap:   p.Overlap.On,
			Grace:     p.Grace.or(defaultGrace),
		}
	}
	return out
}

func vars(base, own *variables) map[string]ship.Value {
	merged := map[string]ship.Value{}
	for _, v := range []*variables{base, own} {
		if v != nil {
			for name, item := range v.Items {
				merged[name] = item.Text
			}
		}
	}
	if len(merged) == 0 {
		return nil
	}
	return merged
}

func (d *decoder) gates(doc *document, own environment) []ship.Gate {
	var list []ship.Gate
	for _, ref := range own.Gates {
		gate, ok := doc.Gates.Get(ref.Text)
		if !ok {
			if ref.Text != "" {
				d.report(ref.At, didYouMean(ref.Text, doc.Gates.Names), "there is no gate %q", ref.Text)
			}
			continue
		}
		list = append(list, ship.Gate{
			Name: ref.Text, Plugin: gate.Plugin, Timeout: gate.Timeout.or(defaultGate), Running: gate.Running, Alone: gate.Alone,
		})
	}
	return list
}

func notifies(list []notifier) []ship.Notify {
	var out []ship.Notify
	for _, n := range list {
		out = append(out, ship.Notify{Plugin: n.Plugin, On: texts(n.On)})
	}
	return out
}

func health(b *healthBlock) ship.Health {
	if b == nil {
		b = &healthBlock{}
	}
	return ship.Health{
		Path:         b.Path.or("/"),
		Host:         b.Host.Text,
		HealthyAfter: b.HealthyAfter.or(3),
		Every:        b.Every.or(time.Second),
		Timeout:      b.Timeout.or(5 * time.Second),
		GiveUp:       b.GiveUp.or(40 * time.Second),
	}
}

func stages(list []stageBlock) []ship.Stage {
	var out []ship.Stage
	for _, b := range list {
		out = append(out, ship.Stage{Percent: b.Percent.Share * 100, For: b.For.or(time.Minute)})
	}
	return out
}

func watch(b *watchBlock) ship.Limits {
	if b == nil {
		b = &watchBlock{}
	}
	return ship.Limits{
		For:            b.For.or(defaultWatch),
		ErrorRate:      b.ErrorRate.or(defaultErrorRate),
		P95:            b.P95.or(0),
		Confidence:     b.Confidence.or(defaultConfidence),
		Min:            b.Min.or(defaultMin),
		Warmup:         b.Warmup.or(defaultWatchWarmup),
		OnInconclusive: ship.OnInconclusive(b.OnInconclusive.or(string(ship.Extend))),
	}
}

func proxy(b *proxyBlock) ship.Proxy {
	if b == nil {
		b = &proxyBlock{}
	}
	p := ship.Proxy{
		TrustedProxies:  texts(b.TrustedProxies),
		ResponseTimeout: b.ResponseTimeout.or(defaultResponse),
		KeepAlive:       b.KeepAlive.or(defaultKeepAlive),
		MaxBody:         b.MaxBody.or(defaultMaxBody),
		HoldMax:         b.HoldMax.or(defaultHoldMax),
		Maintenance:     b.Maintenance.Text,
		AssetPath:       b.AssetPath.Text,
	}
	if r := b.RateLimit; r != nil {
		p.RateLimit = &ship.RateLimit{Requests: r.Requests.N, Per: r.Per.or(time.Second), Burst: r.Burst.or(r.Requests.N)}
	}
	return p
}

func (d *decoder) database(b *databaseBlock, environment string) *ship.Database {
	if b == nil {
		return nil
	}
	if b.URL.Text == "" {
		d.report(b.At, "", "the database of environment %s has no url", environment)
		return nil
	}
	db := &ship.Database{Kind: b.Kind.Text, URL: b.URL.Text, MigrateURL: b.MigrateURL.Text, Backup: d.backup(b.Backup)}
	at := b.Kind.At
	if db.Kind == "" {
		if db.Kind = kindOfURL(db.URL); db.Kind == "" {
			d.report(b.URL.At, "add kind: postgres or kind: sqlite", "the kind of database cannot be told from this url")
			return db
		}
		at = b.URL.At
	}
	d.checkKind("kind of database", db.Kind, d.known.Databases, at)
	return db
}

// kindOfURL tells the kind of database from what is literal in its URL, or "".
func kindOfURL(v ship.Value) string {
	scheme, _, ok := strings.Cut(string(v), ":")
	if !ok || strings.ContainsAny(scheme, "${}/") {
		return ""
	}
	switch scheme = strings.ToLower(scheme); scheme {
	case "postgresql":
		return "postgres"
	case "sqlite3", "file":
		return "sqlite"
	}
	return scheme
}

func (d *decoder) backup(b *backupBlock) ship.Backup {
	if b == nil {
		b = &backupBlock{}
	}
	out := ship.Backup{Kind: b.Kind.or("dump"), Reason: b.Reason.Text, To: b.To.Text, Command: b.Command.Argv, Key: b.Key.Text}
	switch {
	case out.Kind == "none" && out.Reason == "":
		d.report(b.Kind.At, "add reason:", "a database without a backup needs a reason")
	case out.Kind == "command" && !b.Command.set():
		d.report(b.Kind.At, "add command:", "the backup has no command")
	case out.Kind != "command" && b.Command.set():
		d.report(b.Command.At, "add kind: command", "the command would not be used")
	}
	if out.To != "" && (!strings.HasPrefix(out.To, "file://") || out.To == "file://" || leaves(out.To)) {
		d.report(b.To.At, "", "%q is not a folder such as file:///var/backups", out.To)
	}
	return out
}

func ignores(b *lintBlock) []ship.Ignore {
	if b == nil {
		return nil
	}
	var all []ship.Ignore
	for _, i := range b.Ignore {
		all = append(all, ship.Ignore{Rule: i.Rule.Text, File: i.File.Text, Reason: i.Reason.Text})
	}
	return all
}

func trash(b *trashBlock) ship.Trash {
	if b == nil {
		b = &trashBlock{}
	}
	return ship.Trash{Keep: b.Keep.or(defaultTrashKeep), MaxSize: b.MaxSize.or(defaultTrashSize), Off: b.Off.Text}
}

func (d *decoder) migrate(b *migrationsBlock, db *ship.Database) *ship.Migrate {
	if b == nil {
		return nil
	}
	if !b.Tool.set() {
		d.report(b.At, "", "the migrations have no tool")
		return nil
	}
	d.checkKind("migration tool", b.Tool.Text, d.known.Tools, b.Tool.At)
	if db == nil {
		d.report(b.At, "add database:", "migrations without a database")
	}
	return &ship.Migrate{
		Tool:          ship.Plugin{Kind: b.Tool.Text, Config: b.Settings.JSON},
		Route:         b.Route.Text,
		Timeout:       b.Timeout.or(defaultMigration),
		LockTimeout:   b.LockTimeout.or(defaultLock),
		LockRetry:     b.LockRetry.or(defaultLockRetry),
		ContractAfter: b.ContractAfter.or(defaultContractAfter),
		Trash:         trash(b.Trash),
	}
}
