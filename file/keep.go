package file

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/schema"
)

// kept is a file as it was when it was applied.
type kept struct {
	Path string
	Data []byte
}

// keep writes the applied files down, so that a restart does not lose them
// when somebody has broken one in the meantime. The file is replaced whole.
func (d *Door) keep(files []content) error {
	if d.cfg.Keep == "" {
		return nil
	}
	all := make([]kept, len(files))
	for i, f := range files {
		all[i] = kept{f.path, f.data}
	}
	b, err := json.Marshal(all)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(d.cfg.Keep), ".keep-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // fails when it was renamed, as it should be
	_, err = tmp.Write(b)
	if err == nil {
		err = tmp.Sync()
	}
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), d.cfg.Keep)
}

// restore brings what was kept into the catalog, and gives how many resources
// that was. It fails with fs.ErrNotExist when nothing was ever kept.
func (d *Door) restore(ctx context.Context) (int, error) {
	b, err := os.ReadFile(d.cfg.Keep)
	if err != nil {
		return 0, err
	}
	var all []kept
	if err := json.Unmarshal(b, &all); err != nil {
		return 0, fmt.Errorf("%s: %w", d.cfg.Keep, err)
	}
	files := make([]content, len(all))
	for i, k := range all {
		files[i] = content{k.Path, k.Data}
	}
	resources, err := parse(files)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", d.cfg.Keep, err)
	}
	return len(resources), d.bring(ctx, resources)
}

// bring makes the catalog hold exactly these resources of this door.
func (d *Door) bring(ctx context.Context, resources []schema.Resource) error {
	all := make([]catalog.Change, len(resources))
	for i, r := range resources {
		all[i] = r.Change()
	}
	if err := d.cfg.Catalog.Replace(ctx, DoorName, all); err != nil {
		return err
	}
	return d.cfg.Catalog.Sync(ctx, DoorName)
}
