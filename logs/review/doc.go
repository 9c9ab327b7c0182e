// Package review knows how to read the gateway's logs back: which files belong
// together, how to scan them from the newest line to the oldest without ever
// holding one whole, how the lines of a session are put together again, and
// which of them a Query chooses. It serves the commands `postern logs`, and
// stands behind one interface, Source, so that an index or a page may come later.
//
// It reads what this gateway wrote, CSV and JSON lines, live, rotated and
// compressed with gzip, and what an Exchange server wrote. A log is evidence from
// a bad day: lines may be torn, files may vanish while they are read, and the
// clock may have been set back. What can't be read is counted and passed over,
// and never ends a review.
package review
