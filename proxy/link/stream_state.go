package link

// Waiting says whether Next would have to wait for the peer.
func (s *Stream) Waiting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.in.size == s.peeked && !s.ended && s.err == nil
}
