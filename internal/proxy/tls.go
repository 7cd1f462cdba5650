package proxy

import (
	"crypto/tls"

	"github.com/shiplock/shiplock/internal/ship"
)

// setTLS sets next up for the certificates of l, if it has any.
func (next *listener) setTLS(l Listener) error {
	if len(l.TLS) == 0 {
		return nil
	}
	byHost := map[string]*tls.Certificate{}
	var first *tls.Certificate
	for _, c := range l.TLS {
		pair, err := tls.X509KeyPair(c.CertPEM, c.KeyPEM)
		if err != nil {
			return ship.Errorf(ship.Invalid, "check the files under tls in shiplock.yaml",
				"certificate of listener %s for %q: %w", l.Name, c.Hosts, err)
		}
		if first == nil {
			first = &pair
		}
		for _, h := range c.Hosts {
			byHost[hostname(h)] = &pair
		}
	}
	next.tls = &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if c := byHost[hostname(hello.ServerName)]; c != nil {
				return c, nil
			}
			return first, nil
		},
	}
	return nil
}
