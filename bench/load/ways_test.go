package main

import "testing"

func TestWhatTheOthersWriteIsRead(t *testing.T) {
	p, err := readHey("Summary:\n  Requests/sec:\t199.8712\n\nLatency distribution:\n  50% in 0.0154 secs\n  95% in 0.0493 secs\n  99%% in 0.0731 secs\n\nStatus code distribution:\n  [200]\t4000 responses\n")
	if want := (percentiles{15.4, 49.3, 73.1, 199.8712}); err != nil || p != want {
		t.Errorf("%+v, %v", p, err)
	}
	p, err = readWrk("  Latency Distribution\n     50%   15.44ms\n     75%   25.90ms\n     99%  731.00us\n  16000 requests in 20.02s, 2.1MB read\nRequests/sec:    799.12\n")
	if want := (percentiles{P50: 15.44, P99: 0.731, Rate: 799.12}); err != nil || p != want {
		t.Errorf("%+v, %v", p, err)
	}
	for _, text := range []string{"", "[200]\t1 responses\n[500]\t2 responses", "[200]\t1 responses\nError distribution:"} {
		if _, err := readHey(text); err == nil {
			t.Errorf("hey: %q was taken", text)
		}
	}
	for _, text := range []string{"", "Socket errors: connect 1", "Non-2xx or 3xx responses: 7"} {
		if _, err := readWrk(text); err == nil {
			t.Errorf("wrk: %q was taken", text)
		}
	}
}
