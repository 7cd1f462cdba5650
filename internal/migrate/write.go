package migrate

import (
	"io/fs"
	"time"
)

// A Writer is a [Tool] that can write migrations in the form its project uses.
type Writer interface {
	// Write returns the files of new migrations, in the order they are applied
	// in and behind those that are there. It changes nothing. At is now, for
	// tools that number by the clock.
	Write(tree fs.FS, drafts []Draft, at time.Time) ([]File, error)
}

// A Draft is a migration that is to be written.
type Draft struct {
	Name   string   // what it does: "orders_total_not_null"
	Header []string // comments, without "--"
	Up     []string // statements, without a semicolon
	Down   []string
	WhyNot string // why there is no way down; "" with none is nothing to take back
	Alone  bool   // outside of a transaction
}

// A File is a file of a release.
type File struct {
	Path string `json:"path"` // within the release
	Text string `json:"text"`
}
