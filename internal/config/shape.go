package config

// The structs of this file are the shape of shiplock.yaml: json names the key,
// jsonschema its limits, which the decoder enforces and the schema shows, and
// jsonschema_description says what it is for. A pointer is a block that may be
// left out.

// A document is a whole shiplock.yaml.
type document struct {
	App          name               `json:"app" jsonschema:"required" jsonschema_description:"Name of the app."`
	Release      *releaseBlock      `json:"release" jsonschema_description:"What a release is packed from."`
	Run          *runBlock          `json:"run" jsonschema:"required" jsonschema_description:"How a release is prepared and which processes it has."`
	Gates        table[gateKind]    `json:"gates" jsonschema_description:"Conditions a run must pass, by name. An environment lists the names of those it wants."`
	Lint         *lintBlock         `json:"lint" jsonschema_description:"How migrations are judged."`
	Environments table[environment] `json:"environments" jsonschema:"required" jsonschema_description:"The places where the app runs, in the order of promotion."`
	Server       server             `json:"server" jsonschema_description:"Where the control plane is: ssh://user@host or the path of a unix socket. Default the socket on this machine."`
	settings
}

// settings can be said for the whole file and again for one environment, key
// by key.
type settings struct {
	Vars       *variables       `json:"vars" jsonschema_description:"Environment variables of every process. A value may hold ${secret:NAME} and ${env:NAME}; $${ is a literal ${."`
	Health     *healthBlock     `json:"health" jsonschema_description:"When an instance is healthy."`
	Warmup     []urlPath        `json:"warmup" jsonschema_description:"Paths requested before traffic comes, until their latency is steady."`
	Smoke      []urlPath        `json:"smoke" jsonschema_description:"Paths that must answer 2xx or 3xx before traffic comes."`
	Database   *databaseBlock   `json:"database" jsonschema_description:"The database of the app."`
	Migrations *migrationsBlock `json:"migrations" jsonschema_description:"How the schema is changed."`
	Secrets    *secretsBlock    `json:"secrets" jsonschema_description:"Where ${secret:NAME} is looked up."`
	Proxy      *proxyBlock      `json:"proxy" jsonschema_description:"How requests are treated on their way to the app."`
	Notify     []notifier       `json:"notify" jsonschema_description:"Who is told how a run ended."`
	Watch      *watchBlock      `json:"watch" jsonschema_description:"What the new release is held to after the swap. Beyond a limit the old one gets the traffic back."`
	Stages     []stageBlock     `json:"stages" jsonschema_description:"Shares of the requests the new release gets before it gets all of them. Default all at once."`
	Sticky     *flag            `json:"sticky" jsonschema_description:"A client stays with the release it met in a stage, by a cookie. Default true."`
	KeepOld    duration         `json:"keep_old" jsonschema_description:"How long the old release stays warm after the swap. Default 15m, or as long as the watch may last when that is longer."`
	Drain      duration         `json:"drain" jsonschema_description:"How long requests under way get to end. Default 30s."`
	LongLived  duration         `json:"long_lived_drain" jsonschema_description:"How long WebSockets and event streams get to end; they are closed one after the other. Default 1m, or drain when that is longer."`
	Hold       duration         `json:"hold" jsonschema_description:"Requests wait at the proxy no longer than this. Default 20s."`
}

// An environment is one place where the app runs.
type environment struct {
	At        spot                     `json:"-"`
	Platform  platformKind             `json:"platform" jsonschema_description:"Kind of place: its name, or the name with its settings under it. Default process."`
	Branch    branch                   `json:"branch" jsonschema_description:"Branch whose pushes are deployed; with after, the branch a promoted commit must be on."`
	After     plain                    `json:"after" jsonschema_description:"Environment a release is promoted from."`
	Auto      flag                     `json:"auto" jsonschema_description:"What has passed in the environment it comes after is promoted by itself. Default false."`
	Soak      duration                 `json:"soak" jsonschema_description:"A release has to have served the environment before for so long, without being taken back. Default 0s."`
	Freeze    []freezeBlock            `json:"freeze" jsonschema_description:"Times in which nothing is deployed here; a rollback is allowed."`
	Listen    oneOrMore[listenAddress] `json:"listen" jsonschema_description:"Addresses requests come in at, host:port. Default 127.0.0.1:8080."`
	Host      host                     `json:"host" jsonschema_description:"Host name whose requests are this environment's. Default every host."`
	Hosts     []host                   `json:"hosts" jsonschema_description:"Several of host."`
	TLS       *tlsBlock                `json:"tls" jsonschema_description:"Certificate for listen."`
	User      userName                 `json:"user" jsonschema_description:"Unprivileged user the commands run as, instead of run.user."`
	Gates     []plain                  `json:"gates" jsonschema_description:"Names of the gates a run must pass here, in order."`
	Processes table[processOverride]   `json:"processes" jsonschema_description:"Numbers of instances that differ from run.processes."`
	settings
}

type freezeBlock struct {
	At     spot      `json:"-"`
	From   freezeEnd `json:"from" jsonschema:"required" jsonschema_description:"When it begins: 2026-12-20 18:00, 2026-12-20T18:00:00+01:00, or every week, fri 16:00."`
	To     freezeEnd `json:"to" jsonschema:"required" jsonschema_description:"When it ends, written like from."`
	Zone   plain     `json:"zone" jsonschema_description:"Time zone of from and to, such as Europe/Berlin or UTC. Needed where they have no offset of their own."`
	Reason plain     `json:"reason" jsonschema:"required" jsonschema_description:"Why. Whoever is refused sees it."`
}

type releaseBlock struct {
	At      spot      `json:"-"`
	From    choice    `json:"from" jsonschema:"enum=zip" jsonschema_description:"What a release is made of: zip packs the project's tree. Default zip."`
	Exclude []pattern `json:"exclude" jsonschema_description:"Files and folders that are not packed; * and ? match within a name."`
}

// orZero returns the block, or an empty one when the file has none.
func (b *releaseBlock) orZero() releaseBlock {
	if b == nil {
		return releaseBlock{}
	}
	return *b
}

type runBlock struct {
	At        spot           `json:"-"`
	Python    *pythonBlock   `json:"python" jsonschema_description:"A virtual environment per release, first on PATH."`
	Prepare   []command      `json:"prepare" jsonschema_description:"Commands once per release, without a database: builds."`
	Setup     []command      `json:"setup" jsonschema_description:"Commands before the processes start, in order."`
	Processes table[process] `json:"processes" jsonschema:"required" jsonschema_description:"The long-running commands. web gets the requests; the others are workers."`
	Shared    []projectPath  `json:"shared" jsonschema_description:"Folders that outlive releases, within the project."`
	User      userName       `json:"user" jsonschema_description:"Unprivileged user the commands run as. Default the user shiplock runs as."`
}

type pythonBlock struct {
	At           spot        `json:"-"`
	Requirements projectPath `json:"requirements" jsonschema_description:"File of requirements to install, within the project."`
	Interpreter  plain       `json:"interpreter" jsonschema_description:"Interpreter the virtual environment is made with. Default python3."`
	SitePackages flag        `json:"site_packages" jsonschema_description:"Whether the machine's packages can be seen too."`
	Offline      flag        `json:"offline" jsonschema_description:"Install nothing from an index."`
}

type processBlock struct {
	At        spot     `json:"-"`
	Command   command  `json:"command" jsonschema:"required" jsonschema_description:"Text that is split into words, or a list of words. $NAME is replaced; there is no shell."`
	Instances count    `json:"instances" jsonschema:"minimum=0,maximum=64" jsonschema_description:"How many run at a time. Default 1."`
	Overlap   flag     `json:"overlap" jsonschema_description:"A worker of the new release may run beside one of the old."`
	Grace     duration `json:"grace" jsonschema_description:"Time between asking to end (SIGTERM) and ending (SIGKILL). Default 10s."`
}

type processOverride struct {
	At        spot  `json:"-"`
	Instances count `json:"instances" jsonschema:"required,minimum=0,maximum=64" jsonschema_description:"How many run at a time here."`
}

type healthBlock struct {
	At           spot     `json:"-"`
	Path         urlPath  `json:"path" jsonschema_description:"Path that answers 2xx or 3xx when the instance is healthy. Default /."`
	Host         host     `json:"host" jsonschema_description:"Host header of the probe. Default the environment's first host."`
	HealthyAfter count    `json:"healthy_after" jsonschema:"minimum=1,maximum=100" jsonschema_description:"Good answers in a row. Default 3."`
	Every        duration `json:"every" jsonschema_description:"Time between probes. Default 1s."`
	Timeout      duration `json:"timeout" jsonschema_description:"Time a probe may take. Default 5s."`
	GiveUp       duration `json:"give_up" jsonschema_description:"Time the whole wait may take. Default 40s."`
}

type databaseBlock struct {
	At         spot         `json:"-"`
	Kind       plain        `json:"kind" jsonschema_description:"Kind of database. Default what the scheme of url says; needed when url is a reference."`
	URL        value        `json:"url" jsonschema_description:"URL the app uses."`
	MigrateURL value        `json:"migrate_url" jsonschema_description:"Direct URL with the role that may change the schema. Default url."`
	Backup     *backupBlock `json:"backup" jsonschema_description:"How the database is saved before a migration."`
}

type backupBlock struct {
	At      spot    `json:"-"`
	Kind    choice  `json:"kind" jsonschema:"enum=dump,enum=command,enum=none" jsonschema_description:"dump copies the database, command lets yours do it, none gives a reason. Default dump."`
	To      plain   `json:"to" jsonschema_description:"file:// URL of the folder copies are kept in. Default a folder of the installation."`
	Reason  plain   `json:"reason" jsonschema_description:"Why there is none."`
	Command command `json:"command" jsonschema_description:"Command that makes the copy."`
	Key     value   `json:"key" jsonschema_description:"Reference to the key copies are encrypted with. Default the installation's own."`
}

type migrationsBlock struct {
	At            spot         `json:"-"`
	Tool          plain        `json:"tool" jsonschema_description:"The migration tool."`
	Route         choice       `json:"route" jsonschema:"enum=hold,enum=maintenance" jsonschema_description:"How a change both releases cannot live with is made: hold requests for a moment, or show a maintenance page. Default it is refused."`
	Timeout       duration     `json:"timeout" jsonschema_description:"Time one migration may take. Default 15m."`
	LockTimeout   duration     `json:"lock_timeout" jsonschema_description:"A statement waits no longer for a lock. Default 5s."`
	LockRetry     duration     `json:"lock_retry" jsonschema_description:"For how long a statement that did not get its lock is tried again, with pauses in which nobody queues behind it; 0s is never. Default 10m."`
	ContractAfter duration     `json:"contract_after" jsonschema_description:"Time before what no code needs any more is dropped. Default 28d."`
	Trash         *trashBlock  `json:"trash" jsonschema_description:"How what migrations drop is kept, so that it can be brought back."`
	Settings      toolSettings `json:"settings" jsonschema_description:"Settings of the tool."`
}

type lintBlock struct {
	At     spot          `json:"-"`
	Ignore []ignoreBlock `json:"ignore" jsonschema_description:"Rules whose findings are left out, each with the reason. What is left out is shown."`
}

type ignoreBlock struct {
	At     spot  `json:"-"`
	Rule   plain `json:"rule" jsonschema:"required" jsonschema_description:"Id of the rule, such as PG116."`
	File   plain `json:"file" jsonschema_description:"Files of migrations it is for; * and ? match within a name. Default all."`
	Reason plain `json:"reason" jsonschema:"required" jsonschema_description:"Why it does no harm. People who approve see it."`
}

type trashBlock struct {
	Keep    duration `json:"keep" jsonschema_description:"Time after which it is deleted. Default 28d."`
	MaxSize size     `json:"max_size" jsonschema_description:"A table or a column that is larger is not dropped. Default 1GB."`
	Off     plain    `json:"off" jsonschema_description:"Why nothing is kept."`
}

type tlsBlock struct {
	At   spot     `json:"-"`
	Cert hostFile `json:"cert" jsonschema:"required" jsonschema_description:"File with the certificate and its chain, PEM."`
	Key  hostFile `json:"key" jsonschema:"required" jsonschema_description:"File with the private key, PEM."`
}

type proxyBlock struct {
	At              spot            `json:"-"`
	TrustedProxies  []network       `json:"trusted_proxies" jsonschema_description:"Networks of the proxies before this one, whose word on the client's address, host and scheme counts: 10.0.0.0/8, or an address. Default nobody's."`
	ResponseTimeout duration        `json:"response_timeout" jsonschema_description:"Time the app may take to begin an answer. Default 1m."`
	KeepAlive       duration        `json:"keep_alive" jsonschema_description:"How long an idle connection to an instance is kept; keep it below the app's own time. Default 1s."`
	MaxBody         size            `json:"max_body" jsonschema_description:"Largest body of a request, such as 10MB. Default 1GB."`
	HoldMax         count           `json:"hold_max" jsonschema:"minimum=1,maximum=100000" jsonschema_description:"So many requests wait at the proxy during a hold; more are sent away. Default 1000."`
	Maintenance     plain           `json:"maintenance" jsonschema_description:"Sentence on the maintenance page. Default a general one."`
	AssetPath       assetPath       `json:"asset_path" jsonschema_description:"Path of the app's static files, such as /static/. One the new release does not have is taken from the old one while that is kept."`
	RateLimit       *rateLimitBlock `json:"rate_limit" jsonschema_description:"How many requests one client may send. Default any number."`
}

type rateLimitBlock struct {
	At       spot     `json:"-"`
	Requests count    `json:"requests" jsonschema:"required,minimum=1,maximum=1000000" jsonschema_description:"So many requests in that time, on average."`
	Per      duration `json:"per" jsonschema_description:"That time. Default 1s."`
	Burst    count    `json:"burst" jsonschema:"minimum=1,maximum=1000000" jsonschema_description:"So many at once after a pause. Default as many as requests."`
}

type watchBlock struct {
	At             spot     `json:"-"`
	For            duration `json:"for" jsonschema_description:"How long the old release guards the new one. Default 5m."`
	ErrorRate      percent  `json:"error_rate" jsonschema_description:"Share of failed requests that is too much. Default 1%."`
	P95            duration `json:"p95" jsonschema_description:"95th percentile of latency that is too much. Default not looked at."`
	Confidence     percent  `json:"confidence" jsonschema_description:"How certain it is that a limit is broken before traffic goes back, over the whole watch: from 90% to below 100%. Default 99.9%."`
	Min            duration `json:"min" jsonschema_description:"No earlier is health taken for proven. Default 1m."`
	Warmup         duration `json:"warmup" jsonschema_description:"Latency is not judged before, or before 200 requests. Default 30s."`
	OnInconclusive choice   `json:"on_inconclusive" jsonschema:"enum=extend,enum=promote,enum=hold,enum=rollback" jsonschema_description:"When neither health nor a broken limit is proven in time: extend watches once more for as long and then promotes, promote lets the release stay and calls it not proven, hold waits for a person, rollback goes back. Default extend."`
}

type stageBlock struct {
	At      spot     `json:"-"`
	Percent percent  `json:"percent" jsonschema:"required" jsonschema_description:"Share of the requests, such as 10%."`
	For     duration `json:"for" jsonschema_description:"How long; a release that is proven healthy goes on earlier. Default 1m."`
}

type secretsBlock struct {
	At   spot     `json:"-"`
	File hostFile `json:"file" jsonschema:"required" jsonschema_description:"File of NAME=VALUE lines that only its owner can read. Relative to this file's folder."`
}
