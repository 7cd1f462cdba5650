package main

import (
	"reflect"
	"testing"
	"time"
)

const said = `Running 5s test @ http://127.0.0.1:1/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.10ms    1.20ms  30.00ms   90.00%
    Req/Sec    30.10k     2.00k   33.00k    70.00%
  Latency Distribution
     50%  950.00us
     75%    2.10ms
     90%    3.00ms
     99%    1.01s
  150500 requests in 5.01s, 25.00MB read
Requests/sec:  30040.10
Transfer/sec:      5.00MB
`

func TestWhatWrkSaysIsRead(t *testing.T) {
	a, err := readWrk(said)
	if err != nil {
		t.Fatal(err)
	}
	want := arrival{rate: 30040.10, p50: 950 * time.Microsecond, p99: 1010 * time.Millisecond, requests: 150500}
	if !reflect.DeepEqual(a, want) {
		t.Errorf("read %+v, want %+v", a, want)
	}
}

func TestARefusalIsNoMeasurement(t *testing.T) {
	for _, problem := range []string{"  Socket errors: connect 0, read 3, write 0, timeout 0\n", "  Non-2xx or 3xx responses: 5\n"} {
		if a, err := readWrk(said + problem); err == nil {
			t.Errorf("%q was taken for %+v", problem, a)
		}
	}
}
