package sqltext

// beginsConstraint tells whether a constraint of the table comes next, rather
// than a column.
func (r *reader) beginsConstraint() bool {
	switch {
	case r.peek("CONSTRAINT"), r.peek("EXCLUDE"), r.is(r.at, "NOT") && r.is(r.at+1, "NULL"):
		return true
	case r.peek("CHECK"):
		return r.is(r.at+1, "(")
	case r.peek("UNIQUE"):
		return r.is(r.at+1, "(") || r.is(r.at+1, "USING") || r.is(r.at+1, "NULLS")
	}
	return r.is(r.at, "PRIMARY") && r.is(r.at+1, "KEY") || r.is(r.at, "FOREIGN") && r.is(r.at+1, "KEY")
}

// constraint reads a constraint of a table up to its end.
func (r *reader) constraint() ConstraintDef {
	var d ConstraintDef
	if r.eat("CONSTRAINT") {
		d.Name = r.part()
	}
	at := r.at
	ok := false
	switch {
	case r.eat("CHECK"):
		d.Kind = "CHECK"
		d.Expr, ok = r.inside()
	case r.eat("UNIQUE"):
		d.Kind = "UNIQUE"
		if r.eat("NULLS", "NOT", "DISTINCT") {
			d.Options = "NULLS NOT DISTINCT"
		}
		r.eat("NULLS", "DISTINCT")
		ok = r.keyed(&d)
	case r.eat("PRIMARY", "KEY"):
		d.Kind = "PRIMARY KEY"
		ok = r.keyed(&d)
	case r.eat("FOREIGN", "KEY"):
		d.Kind = "FOREIGN KEY"
		d.Columns = r.columnList()
		if len(d.Columns) > 0 && r.eat("REFERENCES") {
			d.References = r.name()
			d.RefColumns = r.columnList()
			from := r.at
			ok = d.References != "" && r.foreignOptions()
			d.Options = r.between(from, r.at)
		}
	case r.eat("EXCLUDE"):
		d.Kind = "EXCLUDE"
		if r.eat("USING") {
			r.word()
		}
		_, ok = r.inside()
		if r.eat("WHERE") {
			_, ok = r.inside()
		}
	case r.eat("NOT", "NULL"):
		d.Kind = "NOT NULL"
		name := r.part()
		d.Columns, ok = []string{name}, name != ""
	}
	if !ok {
		r.unread(at)
		return d
	}
	r.constraintOptions(&d)
	r.done()
	return d
}

// keyed reads the columns or the index of a UNIQUE or PRIMARY KEY.
func (r *reader) keyed(d *ConstraintDef) bool {
	if r.eat("USING", "INDEX") {
		d.Index = r.part()
		return d.Index != ""
	}
	d.Columns = r.columnList()
	from := r.at
	ok := len(d.Columns) > 0 && r.conflict() && r.indexOptions()
	d.Options = joined(d.Options, r.between(from, r.at))
	return ok
}

func (r *reader) constraintOptions(d *ConstraintDef) {
	for {
		from := r.at
		switch {
		case r.eat("NOT", "VALID"):
			d.NotValid = true
		case r.eat("NOT", "ENFORCED"):
			d.Unchecked = true
		case r.eat("ENFORCED"), r.eat("NOT", "DEFERRABLE"), r.eat("INITIALLY", "IMMEDIATE"):
		case r.eat("NO", "INHERIT"), r.eat("DEFERRABLE"), r.eat("INITIALLY", "DEFERRED"):
			d.Options = joined(d.Options, r.between(from, r.at))
		default:
			return
		}
	}
}
