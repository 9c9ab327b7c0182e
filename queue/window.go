package queue

// initialWindow is how many deliveries a queue begins with, as in Postfix.
const initialWindow = 5

// window is how many deliveries of a queue may run at a time: what its next hop
// seems to stand, within max_per_domain_outbound_connections. The package
// comment says how it goes.
type window struct {
	size   int  // zero: initialWindow
	credit int  // successes since it grew last
	steady bool // it has met with congestion
	// failed is the part of a cohort, a window's worth of deliveries, that met
	// with congestion since the last success.
	failed float32
}

func (w *window) now() int {
	if w.size == 0 {
		return initialWindow
	}
	return w.size
}

// succeed takes note of a delivery that was not congested. Busy are the
// deliveries under way with it; a window that is not used does not grow.
func (w *window) succeed(busy, most int) {
	w.failed = 0
	size := w.now()
	if size >= most || size >= busy+initialWindow {
		return
	}
	if w.credit++; !w.steady || w.credit >= size {
		w.size, w.credit = size+1, 0
	}
}

// congest takes note of a delivery that met with congestion, and reports whether
// a whole cohort has by now.
func (w *window) congest() (all bool) {
	size := w.now()
	w.failed += 1 / float32(max(size, initialWindow))
	w.size, w.credit, w.steady = max(size-1, 1), 0, true
	return w.failed > 0.999
}
