package proxy_test

import (
	"reflect"
	"testing"

	"github.com/shiplock/shiplock/internal/proxy"
)

// ones sets every number of a struct to one.
func ones(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			ones(v.Field(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			ones(v.Index(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			ones(v.Index(i))
		}
	case reflect.Int64, reflect.Int:
		v.SetInt(1)
	}
}

// twos tells which number of a struct is not two.
func twos(t *testing.T, name string, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			twos(t, name+"."+v.Type().Field(i).Name, v.Field(i))
		}
	case reflect.Array, reflect.Slice:
		for i := range v.Len() {
			twos(t, name, v.Index(i))
		}
	case reflect.Int64, reflect.Int:
		if v.Int() != 2 {
			t.Errorf("%s is %d, want 2", name, v.Int())
		}
	}
}

func TestEverythingThatIsCountedIsAddedUp(t *testing.T) {
	var c proxy.Counters
	ones(reflect.ValueOf(&c).Elem())
	twos(t, "Counters", reflect.ValueOf(c.Plus(c)))
}

func TestAGenerationOfTwoWorkersIsCountedOnce(t *testing.T) {
	one := func(requests, inFlight int64) proxy.Status {
		return proxy.Status{PID: int(requests), Environments: map[string]proxy.EnvironmentStatus{"shop/production": {
			Waiting: 1, Generations: map[string]proxy.GenerationStatus{"g": {InFlight: inFlight, Counters: proxy.Counters{Requests: requests}}},
		}}}
	}
	successor, old := one(5, 1), one(7, 2)
	old.Environments["shop/gone"] = proxy.EnvironmentStatus{Generations: map[string]proxy.GenerationStatus{"x": {InFlight: 1}}}
	sum := successor.Plus(old)
	g := sum.Environments["shop/production"].Generations["g"]
	if g.Counters.Requests != 12 || g.InFlight != 3 || sum.Environments["shop/production"].Waiting != 2 || sum.PID != 5 {
		t.Errorf("added up: %+v", sum)
	}
	if sum.Environments["shop/gone"].Generations["x"].InFlight != 1 {
		t.Error("what only the old worker knows is missing")
	}
	if successor.Environments["shop/production"].Generations["g"].Counters.Requests != 5 {
		t.Error("adding changed what was added to")
	}
}
