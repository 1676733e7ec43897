package mux

// worker is a goroutine that serves one stream after another. Keeping it keeps
// its stack, which has grown to what serving takes.
type worker struct{ work chan *Stream }

// start is a stream and who serves it; nil: a new worker.
type start struct {
	s *Stream
	w *worker
}

// claimWorker counts a stream as served and gives an idle worker, the one that
// worked last. Conn.mu is held.
func (l *Conn) claimWorker() *worker {
	l.running++
	l.mem.serve(1)
	l.cfg.Share.add(1)
	l.runningPeak = max(l.runningPeak, l.running)
	n := len(l.workers)
	if n == 0 {
		return nil
	}
	w := l.workers[n-1]
	l.workers[n-1] = nil
	l.workers = l.workers[:n-1]
	return w
}

func (l *Conn) startWorker(st start) {
	if st.w != nil {
		st.w.work <- st.s // has room: the worker is idle
		return
	}
	w := &worker{work: make(chan *Stream, 1)}
	l.working.Add(1)
	go func() {
		defer l.working.Done()
		for s := st.s; s != nil; s = <-w.work {
			l.serveOne(s)
			if !l.rest(w) {
				return
			}
		}
	}()
}

// unstart lets go of a stream that has ended before its worker was started: nobody
// serves it, and others have its place at once. Of what opens streams and takes
// them back in one breath nothing is left but what the flood counts say.
func (r *reader) unstart(s *Stream, id uint32) {
	n := s.startsAt - 1
	if n < 0 {
		return
	}
	w := r.starts[n].w
	r.starts[n], s.startsAt = start{}, 0
	l := r.l
	l.release(s, id)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unclaim(w)
}

// unclaim undoes claimWorker. Conn.mu is held.
func (l *Conn) unclaim(w *worker) {
	l.running--
	l.mem.serve(-1)
	l.cfg.Share.add(-1)
	if w != nil {
		l.workers = append(l.workers, w)
	}
}

func (l *Conn) serveOne(s *Stream) {
	gen, id := s.gen, s.id
	l.serve(s)
	s.mu.Lock()
	own := s.gen == gen
	s.mu.Unlock()
	if own {
		l.release(s, id)
	}
}

// rest makes w idle; not when the link ends.
func (l *Conn) rest(w *worker) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing {
		l.unclaim(nil)
		return false
	}
	l.unclaim(w)
	return true
}

// trimWorkers ends the idle workers beyond keep. Conn.mu is held.
func (l *Conn) trimWorkers(keep int) {
	for i := keep; i < len(l.workers); i++ {
		l.workers[i].work <- nil // has room: the worker is idle
		l.workers[i] = nil
	}
	l.workers = l.workers[:min(keep, len(l.workers))]
}

func (l *Conn) endWorkers() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trimWorkers(0)
}
