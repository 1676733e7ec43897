package registry

import "testing"

// TestStartingIsUpdated: what is starting may change on an open stream, and
// nothing else; it is not kept over a restart.
func TestStartingIsUpdated(t *testing.T) {
	run(t, func(w *world) {
		rec := w.join(1)
		reg := registration(1)
		reg.Services[0].Starting = true
		s, err := w.Connect(t.Context(), rec.ID, rec.Identity, reg)
		if err != nil {
			t.Fatal(err)
		}
		shown := func() bool {
			w.cat.mu.Lock()
			defer w.cat.mu.Unlock()
			return w.cat.starting[rec.ID]
		}
		if !shown() {
			t.Error("the catalog does not know that it is starting")
		}
		if all, err := w.Workloads(); err != nil || all[0].Registration.Services[0].Starting {
			t.Errorf("what is starting is kept: %v, %v", all, err)
		}
		if err := s.Update(t.Context(), registration(1)); err != nil || shown() {
			t.Errorf("%v; still starting: %v", err, shown())
		}
		wantRefusal(t, s.Update(t.Context(), registration(2)), "only what is starting")
		wantRefusal(t, s.Update(t.Context(), nil), "only what is starting")

		again := w.connect(rec, 1)
		if err := s.Update(t.Context(), reg); err != nil || shown() {
			t.Errorf("an update of a stream that was replaced: %v, %v", err, shown())
		}
		w.close(again)
	})
}
