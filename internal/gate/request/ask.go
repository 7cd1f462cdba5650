package request

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/gate"
	"github.com/shiplock/shiplock/internal/ship"
)

// Limits of an answer.
const (
	maxBody   = 4 << 20 // bytes
	maxHeader = 64 << 10
	maxQuoted = 120 // of a value that is not as it should be
)

// newClient returns a client that takes the first answer for the answer and
// goes nowhere but to the candidate.
func newClient() *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{DialContext: (&net.Dialer{}).DialContext, MaxResponseHeaderBytes: maxHeader, IdleConnTimeout: time.Minute},
	}
}

// ask sends a request and says what is wrong with its answer, "" when nothing
// is. An error is ours: it could not be asked.
func (g *Gate) ask(ctx context.Context, client *http.Client, r Request, target, host string) (took time.Duration, problem string, err error) {
	within := time.Duration(r.Within)
	timed, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	req, err := g.request(timed, r, target, host)
	if err != nil {
		return 0, "", err
	}
	begun := time.Now()
	resp, err := client.Do(req)
	var body []byte
	if err == nil {
		defer resp.Body.Close()
		body, err = io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	}
	took = time.Since(begun)
	switch {
	case ctx.Err() != nil:
		return took, "", ctx.Err()
	case errors.Is(timed.Err(), context.DeadlineExceeded):
		return took, fmt.Sprintf("was not answered within %s", within), nil
	case err != nil:
		return took, "was not answered: " + gate.Line(err.Error(), maxPath), nil
	}
	return took, r.wrong(resp, body), nil
}

func (g *Gate) request(ctx context.Context, r Request, target, host string) (*http.Request, error) {
	body, err := g.value(r.Body)
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, strings.TrimSuffix(target, "/")+r.Path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "shiplock-gate")
	// As the proxy that users come through says it, or an application sends
	// everybody to https first.
	req.Header.Set("X-Forwarded-Proto", "https")
	if body == "" {
		req.Body, req.ContentLength = http.NoBody, 0
	} else {
		req.Header.Set("Content-Type", "application/json")
	}
	if host != "" {
		req.Host = host
		req.Header.Set("X-Forwarded-Host", host)
	}
	for name, value := range r.Headers {
		text, err := g.value(value)
		if err != nil {
			return nil, fmt.Errorf("header %s: %w", name, err)
		}
		if http.CanonicalHeaderKey(name) == "Host" {
			req.Host = text
			continue
		}
		req.Header.Set(name, text)
	}
	return req, nil
}

// value resolves what may refer to a secret.
func (g *Gate) value(v ship.Value) (string, error) {
	if !strings.Contains(string(v), "${") {
		return string(v), nil
	}
	if g.resolve == nil {
		return "", ship.Errorf(ship.Internal, "", "nobody resolves references")
	}
	secret, err := g.resolve(v)
	return secret.Reveal(), err
}

// wrong says in what an answer is not as it should be.
func (r Request) wrong(resp *http.Response, body []byte) string {
	switch s := resp.StatusCode; {
	case r.Status != 0 && s != r.Status:
		return fmt.Sprintf("was answered with status %d%s, not %d", s, leads(resp), r.Status)
	case r.Status == 0 && (s < 200 || s > 299):
		return fmt.Sprintf("was answered with status %d%s, not one of 200 to 299", s, leads(resp))
	case r.Text == "" && len(r.JSON) == 0:
		return ""
	case len(body) > maxBody:
		return fmt.Sprintf("was answered with more than %d MiB", maxBody>>20)
	case r.Text != "" && !bytes.Contains(body, []byte(r.Text)):
		return fmt.Sprintf("was answered with %d bytes that do not contain %q", len(body), gate.Shorten(r.Text, maxQuoted))
	case len(r.JSON) == 0:
		return ""
	}
	answer, err := decode(body)
	if err != nil {
		return "was not answered with JSON: " + gate.Line(err.Error(), maxQuoted)
	}
	for _, path := range slices.Sorted(maps.Keys(r.JSON)) {
		want, err := decode(r.JSON[path])
		if err != nil {
			return "cannot be compared: " + err.Error()
		}
		got, ok := at(answer, path)
		if !ok {
			return fmt.Sprintf("was answered with JSON that has nothing at %s", gate.Line(path, maxQuoted))
		}
		if !reflect.DeepEqual(got, want) {
			return fmt.Sprintf("was answered with %s at %s, not %s", quoted(got), gate.Line(path, maxQuoted), quoted(want))
		}
	}
	return ""
}

// leads says where a redirect goes, which is mostly why it was not expected.
func leads(resp *http.Response) string {
	if to := resp.Header.Get("Location"); to != "" {
		return " to " + gate.Line(to, maxQuoted)
	}
	return ""
}

// decode reads one value of JSON, with numbers that are equal when they are.
func decode(text []byte) (v any, err error) {
	err = json.Unmarshal(text, &v)
	return v, err
}

// at returns what is at a path such as items.0.price, or $.items[0].price.
func at(v any, path string) (any, bool) {
	path = strings.TrimPrefix(strings.TrimPrefix(path, "$"), ".")
	path = strings.ReplaceAll(strings.ReplaceAll(path, "[", "."), "]", "")
	for step := range strings.SplitSeq(strings.TrimPrefix(path, "."), ".") {
		if step == "" {
			continue
		}
		switch node := v.(type) {
		case map[string]any:
			next, ok := node[step]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(node) {
				return nil, false
			}
			v = node[i]
		default:
			return nil, false
		}
	}
	return v, true
}

func quoted(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return "a value"
	}
	return gate.Line(string(text), maxQuoted)
}
