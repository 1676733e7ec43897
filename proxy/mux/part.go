package mux

// Part gives a Budget that is a part of b, for links of one kind: they may have at
// most limit bytes and served streams of what all have; 0 streams mean no bound of
// their own. What is used of a part is used of the whole, and where the whole is
// short the part is too.
func (b *Budget) Part(limit int64, served int) *Budget {
	p := NewBudget(limit)
	p.whole, p.MaxServed = b, served
	return p
}

// serve counts n streams as served, or no longer.
func (b *Budget) serve(n int64) {
	for ; b != nil; b = b.whole {
		b.served.Add(n)
	}
}
