package ship_test

import (
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

func TestAReceiptReadsAsASentence(t *testing.T) {
	for want, r := range map[string]ship.Receipt{
		"nothing was under way at the swap":                {},
		"nothing was under way at the swap; none was lost": {Admitted: 12, Finished: 12, Took: time.Second},
		"1 request was under way at the swap: 1 ended by itself, within 20ms; none was lost": {
			Took: 20 * time.Millisecond, Admitted: 1, Protocols: map[ship.Protocol]ship.Ending{ship.HTTP: {Drained: 1}},
		},
		"3 requests were under way at the swap: 2 ended by themselves, 1 was cut at the deadline": { // of an older node
			InFlight: 3, Drained: 2, Cut: 1,
		},
		"2 requests, 1 WebSocket and 3 event streams were under way at the swap: 2 ended by themselves, 3 were closed between two messages, 1 was cut at the deadline, within 1m0s; 1 of 80 requests meanwhile was lost": {
			Took: time.Minute, Admitted: 80, Lost: 1,
			Protocols: map[ship.Protocol]ship.Ending{ship.HTTP: {Drained: 2}, ship.WebSocket: {Cut: 1}, ship.SSE: {Closed: 3}},
		},
	} {
		if got := r.String(); got != want {
			t.Errorf("%+v reads\n%s, want\n%s", r, got, want)
		}
	}
}
