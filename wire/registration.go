package wire

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/wire/gen"
)

// DecodeRegistration checks sizes and forms. What a workload may register is
// decided elsewhere, by its token. No message gives nil.
func DecodeRegistration(m *gen.Registration) (*mesh.Registration, error) {
	if m == nil {
		return nil, nil
	}
	var c checker
	r := &mesh.Registration{
		Name:      c.name("name", m.GetName()),
		Addr:      c.addr("address", m.GetAddr()),
		ProxyPort: c.port("proxy", m.GetProxyPort()),
		AdminPort: c.port("admin", m.GetAdminPort()),
		Zone:      c.name("zone", m.GetZone()),
	}
	if c.count("labels", len(m.GetLabels()), maxLabels) && len(m.GetLabels()) > 0 {
		r.Labels = make(map[string]string, len(m.GetLabels()))
		for k, v := range m.GetLabels() {
			r.Labels[c.name("label", k)] = c.name("label", v)
		}
	}
	if c.count("services", len(m.GetServices()), maxServices) {
		for _, s := range m.GetServices() {
			r.Services = append(r.Services, mesh.RegisteredPort{
				Service:  c.name("service", s.GetService()),
				Port:     c.port("service", s.GetPort()),
				Target:   c.addrPort("target", s.GetTarget()),
				Protocol: protocol(s.GetProtocol()),
				Starting: s.GetStarting(),
			})
		}
	}
	if c.err != nil {
		return nil, fmt.Errorf("registration: %w", c.err)
	}
	return r, nil
}

func decodeEndpoint(body []byte) (mesh.Endpoint, error) {
	var m gen.Endpoint
	if err := proto.Unmarshal(body, &m); err != nil {
		return mesh.Endpoint{}, fmt.Errorf("endpoint: %w", err)
	}
	var c checker
	e := mesh.Endpoint{
		Addr:     c.addrPort("address", m.GetAddr()),
		Proxy:    c.addrPort("proxy", m.GetProxy()),
		Identity: mesh.Identity(c.text("identity", m.GetIdentity(), maxText)),
		Workload: mesh.WorkloadID(c.name("workload", m.GetWorkload())),
		Name:     c.name("name", m.GetName()),
		Zone:     c.name("zone", m.GetZone()),
		State:    endpointState(m.GetState()),
		Near:     c.text("near", m.GetNear(), maxText),
		Only:     m.GetOnly(),
	}
	if c.err != nil {
		return mesh.Endpoint{}, fmt.Errorf("endpoint: %w", c.err)
	}
	return e, nil
}

// endpointState reads a state. One that a later release invented is a reason
// to prefer others.
func endpointState(s uint32) mesh.EndpointState {
	if s > uint32(mesh.Starting) {
		return mesh.Doubtful
	}
	return mesh.EndpointState(s)
}
