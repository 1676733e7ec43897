package shop

import "time"

// Service is one service of the shop.
type Service struct {
	Name      string
	Instances int
	// Calls are the services that each request needs, asked one after
	// another.
	Calls []string
	// Work is how long a request takes by itself.
	Work time.Duration
	// FailShare of the requests are answered with status 500.
	FailShare float64
	// SlowShare of the requests take SlowBy longer.
	SlowShare float64
	SlowBy    time.Duration
}

// Load is the name of the program that calls the shop.
const Load = "load"

// Port is where every service of the shop listens.
const Port = 8080

// Plan is the shop. Callers come before those they call.
func Plan() []Service {
	return []Service{
		{Name: "web", Instances: 1, Calls: []string{"cart", "catalog", "recommendations"}, Work: time.Millisecond},
		{Name: "cart", Instances: 1, Calls: []string{"catalog", "payments"}, Work: time.Millisecond},
		{Name: "recommendations", Instances: 1, Calls: []string{"catalog"}, SlowShare: 0.05, SlowBy: 120 * time.Millisecond},
		{Name: "payments", Instances: 1, Work: 2 * time.Millisecond, FailShare: 0.03},
		{Name: "catalog", Instances: 2},
	}
}

// Find gives a service of the plan.
func Find(name string) (Service, bool) {
	for _, s := range Plan() {
		if s.Name == name {
			return s, true
		}
	}
	return Service{}, false
}

// Edge is one pair of caller and called.
type Edge struct{ Src, Dst string }

// Edges are all pairs of the plan, the load's own first.
func Edges() []Edge {
	all := []Edge{{Load, "web"}}
	for _, s := range Plan() {
		for _, dst := range s.Calls {
			all = append(all, Edge{s.Name, dst})
		}
	}
	return all
}
