package file

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/leno-mesh/leno/control/catalog"
)

// DoorName is the name under which resources from files stand in the catalog.
const DoorName = "file"

const (
	quiet   = 100 * time.Millisecond // nothing more has happened for so long
	settled = time.Second            // or the first event is so long ago
)

// Catalog is what the door needs of the catalog.
type Catalog interface {
	Replace(ctx context.Context, door string, all []catalog.Change) error
	Sync(ctx context.Context, door string) error
}

// Config is what the door needs.
type Config struct {
	Dir     string
	Catalog Catalog
	Log     *slog.Logger // slog.Default when nil
	// Keep is a file of the data directory in which the applied resources are
	// kept, or "". With it a server that starts while the directory is wrong
	// goes on with what it had; without it, it waits.
	Keep string
	// Rescan is how often the directory is read without being told, for file
	// systems that tell nothing and for a directory that was not there yet.
	// 10 s when zero.
	Rescan time.Duration
}

// Status is how the directory and the running configuration stand.
type Status struct {
	Dir string
	// Applied is when the running configuration was taken over; zero when
	// none was yet. Resources is how many there are in it.
	Applied   time.Time
	Resources int
	// Err is what is wrong with the directory as it is now, or nil. While it
	// is set the running configuration is an older one.
	Err error
}

// Door brings a directory into the catalog.
type Door struct {
	cfg   Config
	tried [sha256.Size]byte // the last state that was decided on; owned by Run

	mu     sync.Mutex // guards status
	status Status
}

// New makes a door. Run opens it.
func New(cfg Config) *Door {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Rescan == 0 {
		cfg.Rescan = 10 * time.Second
	}
	return &Door{cfg: cfg, status: Status{Dir: cfg.Dir}}
}

// Status says how things stand. It may be called at any time.
func (d *Door) Status() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.status
}

// Run reads the directory and watches it until ctx ends, and then gives nil.
// What is wrong in the directory, or that there is none, is no end: it is
// logged and shown by Status, and the door waits for something better. The
// door has synced with the first state that could be applied, so a mesh never
// starts without the policies that it should have.
func (d *Door) Run(ctx context.Context) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %s: %w", d.cfg.Dir, err)
	}
	defer w.Close()
	rescan := time.NewTicker(d.cfg.Rescan)
	defer rescan.Stop()
	for first := true; ; first = false {
		// Watch before reading, so that nothing falls between. Without a watch
		// (no such directory yet) the rescan finds what there is.
		_ = w.Add(d.cfg.Dir)
		d.load(ctx)
		if first {
			d.goOn(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-rescan.C:
		case <-w.Events:
			if !settle(ctx, w.Events) {
				return nil
			}
		case <-w.Errors: // an overflow: something changed
		}
	}
}

// settle waits until a burst of events is over: an editor writes, renames and
// removes to save one file. It gives false when ctx ended first.
func settle(ctx context.Context, events <-chan fsnotify.Event) bool {
	end := time.NewTimer(settled)
	defer end.Stop()
	for {
		pause := time.NewTimer(quiet)
		select {
		case <-ctx.Done():
			pause.Stop()
			return false
		case <-events:
			pause.Stop()
		case <-pause.C:
			return true
		case <-end.C:
			pause.Stop()
			return true
		}
	}
}

// load brings the directory's state into the catalog, if it is a new one.
func (d *Door) load(ctx context.Context) {
	files, err := readDir(d.cfg.Dir)
	if err != nil {
		d.tried = [sha256.Size]byte{}
		d.refuse(err)
		return
	}
	now := fingerprint(files)
	if now == d.tried {
		return
	}
	resources, err := parse(files)
	if err != nil {
		d.tried = now
		d.refuse(err)
		return
	}
	err = d.bring(ctx, resources)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return
	default:
		d.refuse(err) // and try again: the reason may lie with another door
		return
	}
	d.tried = now
	d.accept(len(resources))
	if err := d.keep(files); err != nil {
		d.cfg.Log.Warn("applied configuration not kept for a restart", "file", d.cfg.Keep, "error", err)
	}
}

func (d *Door) accept(resources int) {
	d.mu.Lock()
	d.status = Status{Dir: d.cfg.Dir, Applied: time.Now(), Resources: resources}
	d.mu.Unlock()
	d.cfg.Log.Info("configuration applied", "dir", d.cfg.Dir, "resources", resources)
}

// refuse logs once for each thing that is wrong, not once for each look at it.
func (d *Door) refuse(err error) {
	d.mu.Lock()
	old := d.status.Err
	d.status.Err = err
	d.mu.Unlock()
	if old == nil || old.Error() != err.Error() {
		d.cfg.Log.Error("configuration refused, the running one stays", "dir", d.cfg.Dir, "error", summary(err))
	}
}

// goOn takes over what was kept when the first look at the directory failed.
func (d *Door) goOn(ctx context.Context) {
	if d.cfg.Keep == "" || !d.Status().Applied.IsZero() {
		return
	}
	resources, err := d.restore(ctx)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		d.cfg.Log.Error("kept configuration not applied", "file", d.cfg.Keep, "error", summary(err))
	default:
		d.mu.Lock()
		d.status.Applied, d.status.Resources = time.Now(), resources
		d.mu.Unlock()
		d.cfg.Log.Warn("configuration of the last run applied", "file", d.cfg.Keep, "resources", resources)
	}
}
