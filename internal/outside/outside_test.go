package outside_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/outside"
)

func TestA44AddressesThatNobodyShallAskAreNotDialled(t *testing.T) {
	d := outside.Dialer(time.Second)
	for _, address := range []string{
		"169.254.169.254:80", "[::ffff:169.254.169.254]:80", "[fd00:ec2::254]:80", "0.0.0.0:80", "[::]:80", "[fe80::1%1]:80", "224.0.0.1:80",
	} {
		conn, err := d.DialContext(t.Context(), "tcp", address)
		if !errors.Is(err, outside.ErrAddress) {
			t.Errorf("%s: %v", address, err)
		}
		if err == nil {
			_ = conn.Close()
		}
	}
}

func TestAServerOfTheCompanyIsDialled(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := outside.Dialer(time.Second).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}
