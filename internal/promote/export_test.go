package promote

import "context"

// Look has the desk do what is due, once.
func (d *Desk) Look(ctx context.Context) error {
	_, err := d.look(ctx, map[string]bool{})
	return err
}
