package ship

import "time"

// A Report is what a gate found, in a form that all kinds of gates share: the
// command line, the pages and a program show every one of them without knowing
// its kind.
type Report struct {
	Figures []Figure `json:"figures,omitempty"` // the most telling first
	Items   []Item   `json:"items,omitempty"`   // the worst first
	More    int      `json:"more,omitempty"`    // items that are not listed
	Series  []Series `json:"series,omitempty"`
	Files   []string `json:"files,omitempty"` // kept with the run, by their paths on the server
}

// A Figure is a number with its limit, if it has one.
type Figure struct {
	Name   string   `json:"name"`
	Value  float64  `json:"value"`
	Unit   string   `json:"unit,omitempty"` // "%", "ms", "/s"; "" counts things
	Limit  *float64 `json:"limit,omitempty"`
	AtMost bool     `json:"at_most,omitempty"` // the limit is the most there may be, not the least
}

// Broken tells whether the figure is beyond its limit.
func (f Figure) Broken() bool {
	return f.Limit != nil && (f.AtMost && f.Value > *f.Limit || !f.AtMost && f.Value < *f.Limit)
}

// An Item is one thing a gate found: a test that failed, what a scan has to say
// about a line, a way in which requests failed.
type Item struct {
	Title string `json:"title"`           // the test, the rule, the class
	Level string `json:"level,omitempty"` // "error", "warning", "note"
	Where string `json:"where,omitempty"` // file:line, or a path
	Text  string `json:"text,omitempty"`  // one line
	New   bool   `json:"new,omitempty"`   // the release that serves has it not
	Count int64  `json:"count,omitempty"` // how often, where that is more than once
}

// A Series is how a figure went over time.
type Series struct {
	Name   string        `json:"name"`
	Unit   string        `json:"unit,omitempty"`
	Every  time.Duration `json:"every"` // between two values
	Values []float64     `json:"values"`
}
