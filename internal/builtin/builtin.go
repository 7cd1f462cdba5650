// Package builtin lists every plug-in this binary has, a line each. It knows
// nothing else of them.
package builtin

import (
	"github.com/shiplock/shiplock/internal/config"
	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/database/postgres"
	"github.com/shiplock/shiplock/internal/database/sqlite"
	"github.com/shiplock/shiplock/internal/gate"
	gatecommand "github.com/shiplock/shiplock/internal/gate/command"
	gateload "github.com/shiplock/shiplock/internal/gate/load"
	gatemetrics "github.com/shiplock/shiplock/internal/gate/metrics"
	gaterehearsal "github.com/shiplock/shiplock/internal/gate/rehearsal"
	gaterequest "github.com/shiplock/shiplock/internal/gate/request"
	gatescan "github.com/shiplock/shiplock/internal/gate/scan"
	gatewindow "github.com/shiplock/shiplock/internal/gate/window"
	"github.com/shiplock/shiplock/internal/lint/rules"
	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/migrate/alembic"
	"github.com/shiplock/shiplock/internal/migrate/django"
	"github.com/shiplock/shiplock/internal/migrate/sqlfiles"
	"github.com/shiplock/shiplock/internal/notify"
	notifylog "github.com/shiplock/shiplock/internal/notify/log"
	"github.com/shiplock/shiplock/internal/notify/webhook"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/platform/process"
)

// Platforms returns every kind of platform.
func Platforms() *platform.Registry {
	r := new(platform.Registry)
	platform.Register(r, "process", process.New)
	return r
}

// Databases returns every kind of database.
func Databases() *database.Registry {
	r := new(database.Registry)
	database.Register(r, "postgres", postgres.New)
	database.Register(r, "sqlite", sqlite.New)
	return r
}

// Tools returns every migration tool.
func Tools() *migrate.Registry {
	r := new(migrate.Registry)
	migrate.Register(r, "sqlfiles", sqlfiles.New)
	migrate.Register(r, "django", django.New)
	migrate.Register(r, "alembic", alembic.New)
	return r
}

// Gates returns every kind of gate.
func Gates() *gate.Registry {
	r := new(gate.Registry)
	gate.Register(r, "command", gatecommand.New)
	gate.Register(r, "rehearsal", gaterehearsal.New)
	gate.Register(r, "http", gaterequest.New)
	gate.Register(r, "load", gateload.New)
	gate.Register(r, "metrics", gatemetrics.New)
	gate.Register(r, "scan", gatescan.New)
	gate.Register(r, "window", gatewindow.New)
	return r
}

// Notifiers returns every kind of notifier.
func Notifiers() *notify.Registry {
	r := new(notify.Registry)
	notify.Register(r, "log", notifylog.New)
	notify.Register(r, "webhook", webhook.New)
	return r
}

// Known lists the kinds a configuration may name.
func Known() config.Known {
	return config.Known{
		Platforms: Platforms().Kinds(),
		Tools:     Tools().Kinds(),
		Gates:     Gates().Kinds(),
		Notifiers: Notifiers().Kinds(),
		Databases: Databases().Kinds(),
		Rules:     ruleIDs(),
		Kinds:     gateKinds(),
	}
}

func gateKinds() map[string]config.GateKind {
	all := map[string]config.GateKind{}
	for kind, k := range gate.Kinds(Gates()) {
		all[kind] = config.GateKind(k)
	}
	return all
}

func ruleIDs() []string {
	var ids []string
	for _, r := range rules.All() {
		ids = append(ids, r.ID)
	}
	return ids
}
