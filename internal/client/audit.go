package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/shiplock/shiplock/internal/audit"
)

// Audit hands every entry of the audit log after a number to f, oldest first.
func (c *Client) Audit(ctx context.Context, after int64, f func(audit.Entry) error) error {
	resp, err := c.do(ctx, http.MethodGet, fmt.Sprintf("/v1/audit?after=%d", after), nil, -1)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return ReadAudit(resp.Body, f)
}

// ReadAudit hands every entry of an export to f.
func ReadAudit(r io.Reader, f func(audit.Entry) error) error {
	dec := json.NewDecoder(r)
	for n := 1; ; n++ {
		var e audit.Entry
		if err := dec.Decode(&e); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("read entry %d of the audit log: %w", n, err)
		}
		if err := f(e); err != nil {
			return err
		}
	}
}
