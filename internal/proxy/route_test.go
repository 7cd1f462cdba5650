package proxy_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

func TestHostsAreRoutedAndUnknownOnesTold(t *testing.T) {
	f := start(t, map[ship.Slot]proxy.Backend{ship.Blue: backend("b1", app(t, says("shop")))})
	blog := proxy.Environment{
		ID: ship.EnvironmentID{App: "blog", Name: "dev"}, Listen: []string{"main"}, Hosts: []string{"Blog.Test"},
		Active: ship.Green, Slots: map[ship.Slot]proxy.Backend{ship.Green: backend("g1", app(t, says("blog")))},
	}
	f.table.Environments = append(f.table.Environments, blog)
	f.apply(func(e *proxy.Environment) { e.Hosts = []string{"shop.test"} })

	for host, want := range map[string]string{"shop.test": "shop", "SHOP.test:8081": "shop", "shop.test.": "shop", "blog.test": "blog"} {
		if got := f.get("/", "Host", host); got.body != want {
			t.Errorf("%s was answered %q, want %q", host, got.body, want)
		}
	}
	got := f.get("/", "Host", "evil.test")
	if got.status != 404 || !strings.Contains(got.body, `No application answers for the host "evil.test"`) {
		t.Errorf("unknown host: %d %q", got.status, got.body)
	}
	f.apply(func(e *proxy.Environment) { e.Hosts = nil })
	if got := f.get("/", "Host", "evil.test"); got.body != "shop" {
		t.Errorf("without hosts the environment answered %q, want every host to be its own", got.body)
	}
}

func TestATableThatCannotBeRoutedChangesNothing(t *testing.T) {
	f := start(t, map[ship.Slot]proxy.Backend{ship.Blue: backend("b1", app(t, says("shop")))})
	good := f.table
	for name, change := range map[string]func(*proxy.Table){
		"two for one host": func(t *proxy.Table) {
			e := t.Environments[0]
			e.ID.App = "other"
			t.Environments = append(t.Environments, e)
		},
		"an active slot is absent": func(t *proxy.Table) { t.Environments[0].Active = ship.Green },
		"a listener is absent":     func(t *proxy.Table) { t.Environments[0].Listen = []string{"other"} },
		"a mode is unknown":        func(t *proxy.Table) { t.Environments[0].Mode = "sleeping" },
		"a certificate is broken":  func(t *proxy.Table) { t.Listeners = []proxy.Listener{{Name: "main", TLS: []proxy.Certificate{{}}}} },
	} {
		bad := good
		bad.Environments = slices.Clone(good.Environments)
		bad.Revision += 10
		change(&bad)
		if err := f.proxy.SetTable(bad); ship.KindOf(err) != ship.Invalid {
			t.Errorf("%s: got %v, want kind invalid", name, err)
		}
	}
	older := good
	older.Revision--
	if err := f.proxy.SetTable(older); ship.KindOf(err) != ship.Fenced {
		t.Errorf("an older table: got %v, want kind fenced", err)
	}
	if got := f.get("/"); got.body != "shop" {
		t.Errorf("answered %q", got.body)
	}
}

func TestTheApplicationSeesTrustworthyHeaders(t *testing.T) {
	seen := make(chan *http.Request, 1)
	f := start(t, map[ship.Slot]proxy.Backend{ship.Blue: {
		Generation: "b1", Release: "42",
		Addresses: []string{app(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r })},
	}})
	answer := f.get("/a%2Fb//c?x=1;y=2&&z=%zz", "Host", "shop.test", "Forwarded", "for=6.6.6.6", "X-Forwarded-For", "6.6.6.6",
		"X-Forwarded-Prefix", "/admin", "X-Real-Ip", "6.6.6.6", "X_Forwarded_For", "6.6.6.6", "X-Original-Url", "/admin",
		"Connection", "X-Forwarded-Proto", "X-Request-Id", "abc-1", "Idempotency-Key", "k")
	got := <-seen
	if got.RequestURI != "/a%2Fb//c?x=1;y=2&&z=%zz" {
		t.Errorf("the path arrived as %q", got.RequestURI)
	}
	want := map[string]string{
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "shop.test",
		"X-Request-Id": "abc-1", "Idempotency-Key": "k", "Accept-Encoding": "gzip",
	}
	for name, value := range want {
		if got.Header.Get(name) != value {
			t.Errorf("%s is %q, want %q", name, got.Header.Get(name), value)
		}
	}
	for name, values := range got.Header {
		if strings.Contains(strings.Join(values, ""), "6.6.6.6") || strings.Contains(strings.Join(values, ""), "/admin") {
			t.Errorf("the client's %s: %q went through", name, values)
		}
	}
	if got.Host != "shop.test" {
		t.Errorf("Host is %q", got.Host)
	}
	if answer.header.Get("X-Request-Id") != "abc-1" || answer.header.Get("X-Shiplock-Release") != "42" {
		t.Errorf("the client got %v", answer.header)
	}
	if id := f.get("/", "X-Request-Id", "bad id\t<>").header.Get("X-Request-Id"); len(id) != 32 {
		t.Errorf("a strange request id became %q, want a new one", id)
	}
	<-seen
}

func TestWithoutARunningReleaseTheClientIsTold(t *testing.T) {
	f := start(t, nil)
	got := f.get("/")
	if got.status != 503 || got.header.Get("Retry-After") != "10" || !strings.Contains(got.body, "No release of this application has been started yet.") {
		t.Errorf("got %d %v %q", got.status, got.header, got.body)
	}
}

func TestTLSSpeaksHTTP2AndNothingOld(t *testing.T) {
	proto := make(chan string, 1)
	f := start(t, map[ship.Slot]proxy.Backend{ship.Blue: backend("b1", app(t, func(w http.ResponseWriter, r *http.Request) {
		proto <- r.Header.Get("X-Forwarded-Proto")
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	}))})
	cert, roots := certificate(t)
	f.table.Listeners = []proxy.Listener{{Name: "main", TLS: []proxy.Certificate{cert}}}
	f.apply(func(*proxy.Environment) {})

	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "example.com"}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	res, err := client.Post("https://"+f.address+"/", "text/plain", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	if res.ProtoMajor != 2 || res.TLS.Version != tls.VersionTLS13 || string(body) != "hello" || <-proto != "https" {
		t.Errorf("got %s over TLS %x: %q", res.Proto, res.TLS.Version, body)
	}
	if _, err := tls.Dial("tcp", f.address, &tls.Config{RootCAs: roots, ServerName: "example.com", MaxVersion: tls.VersionTLS12}); err == nil {
		t.Error("TLS 1.2 was accepted")
	}
}

// certificate borrows the one of httptest, which is valid for example.com.
func certificate(t *testing.T) (proxy.Certificate, *x509.CertPool) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	pair := s.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return proxy.Certificate{
		Hosts:   []string{"example.com"},
		CertPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}),
		KeyPEM:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
	}, roots
}

func TestMaintenanceShowsAPageAndAnswersHealthChecks(t *testing.T) {
	f := start(t, map[ship.Slot]proxy.Backend{ship.Blue: backend("b1", app(t, says("app")))})
	f.apply(func(e *proxy.Environment) {
		e.Mode, e.Text, e.RetryAfter, e.HealthPath = ship.Maintenance, "Back at <b>nine</b>.", 90*time.Second, "/healthz"
	})
	page := f.get("/", "Accept", "text/html,*/*")
	if page.status != 503 || page.header.Get("Retry-After") != "90" || !strings.Contains(page.header.Get("Content-Type"), "text/html") {
		t.Errorf("got %d %v", page.status, page.header)
	}
	if !strings.Contains(page.body, "Back at &lt;b&gt;nine&lt;/b&gt;.") || !strings.Contains(page.body, "color-scheme:light dark") {
		t.Errorf("page %q", page.body)
	}
	var told struct{ Status int }
	if got := f.get("/", "Accept", "application/json"); json.Unmarshal([]byte(got.body), &told) != nil || told.Status != 503 {
		t.Errorf("JSON %q", got.body)
	}
	if got := f.get("/healthz"); got.status != 200 || got.body != "app" {
		t.Errorf("the health path was answered %d %q", got.status, got.body)
	}
	if n := f.generation("b1").Counters.Requests; n != 0 {
		t.Errorf("%d requests were counted, want health checks to be none", n)
	}
	f.apply(func(e *proxy.Environment) { e.Mode, e.HealthPath = ship.Maintenance, "/" })
	if got := f.get("/"); got.status != 503 {
		t.Errorf("with the health path / people were let in: %d", got.status)
	}
}

func TestAnswersAreCountedExactly(t *testing.T) {
	f := start(t, map[ship.Slot]proxy.Backend{ship.Blue: backend("b1", app(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			<-time.After(30 * time.Millisecond)
		case "/fails":
			w.WriteHeader(500)
		case "/missing":
			w.WriteHeader(404)
		case "/breaks":
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	}))})
	f.apply(func(e *proxy.Environment) { e.SlowerThan = 20 * time.Millisecond })
	for _, path := range []string{"/", "/slow", "/fails", "/missing"} {
		f.get(path)
	}
	if err := check(http.Get(f.url("/breaks"))); err == nil || strings.Contains(err.Error(), "50") {
		t.Errorf("the client cannot see that the answer broke off: %v", err)
	}
	eventually(t, "all requests ended", func() bool { return f.generation("b1").InFlight == 0 })
	c := f.generation("b1").Counters
	if c.Requests != 5 || c.Errors != 2 || c.Classes != [6]int64{0, 0, 2, 0, 1, 2} || c.Slow != 1 || c.Timed != 3 || c.Counted != 2 || c.Broken != 1 {
		t.Errorf("got %+v", c)
	}
	if c.Latency.Count() != 4 || c.Latency.Quantile(1) < 30*time.Millisecond {
		t.Errorf("latency of %d requests, at most %s", c.Latency.Count(), c.Latency.Quantile(1))
	}
}
