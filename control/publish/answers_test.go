package publish

import (
	"fmt"
	"testing"

	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/control/compile"
	"github.com/leno-mesh/leno/mesh"
)

func TestSetsThatNobodyNeedsAreForgotten(t *testing.T) {
	ix, _, err := catalog.NewIndex(catalog.Settings{}, mesh.Version{}).With(door, []catalog.Change{workload("web", 1)})
	if err != nil {
		t.Fatal(err)
	}
	as := newAnswers(func() *catalog.Index { return ix })
	s := &session{wake: make(chan struct{}, 1)}
	for i := range 2000 {
		if _, err := as.share(fmt.Sprint(i), nil); err != nil {
			t.Fatal(err)
		}
	}
	q := question{caller: compile.Caller{Namespace: "shop"}, target: web}
	a := as.get(q, s)
	if len(as.sets) != 1 || as.sets["web.shop:80"] != a.sets[0] {
		t.Errorf("%d sets are kept, want the one in use", len(as.sets))
	}

	wake := as.touch(catalog.Touched{Services: map[mesh.ServiceName]struct{}{{Namespace: "shop", Name: "web"}: {}}})
	if _, ok := wake[s]; !ok || !a.stale.Load() {
		t.Error("a touched answer is not stale")
	}
	b := as.get(q, s)
	as.release(a, s) // an old answer must not take the new one's place
	if as.all[q] != b || b == a || b.sets[0] != a.sets[0] {
		t.Error("the next answer is not a new one with the same set")
	}
	as.release(b, s)
	if len(as.all) != 0 {
		t.Error("an answer without users is kept")
	}
}
