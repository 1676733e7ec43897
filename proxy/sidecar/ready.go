package sidecar

// Ready says what the proxy waits for, and why it takes so long; "" when for
// nothing. It is ready with a certificate and its own snapshot, and stays so:
// a control plane that goes away later takes no workload out of service.
func (s *Sidecar) Ready() string {
	select {
	case <-s.source.Ready():
	default:
		return because("a certificate from the control plane", s.keeper.Status().LastError)
	}
	select {
	case <-s.proxy.Ready():
		return ""
	default:
		return because("the first snapshot from the control plane", s.sub.Status().LastError)
	}
}

func because(what string, err error) string {
	if err == nil {
		return what
	}
	return what + "; the last attempt: " + err.Error()
}
