package measure_test

import (
	"testing"

	"github.com/shiplock/shiplock/bench/measure"
)

func TestTheMiddleOfASampleIsBetweenItsValues(t *testing.T) {
	s := measure.Sample{4, 1, 3, 2, 100}
	if s.Median() != 3 || s.Middle("%.0f") != "2 – 4" || s.Spread("%.0f") != "1 – 100" {
		t.Errorf("median %v, middle half %s, spread %s", s.Median(), s.Middle("%.0f"), s.Spread("%.0f"))
	}
}
