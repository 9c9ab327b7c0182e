// Package rig is what the programs in bench have in common: the processes
// around a gateway that is measured, addresses for them, and the counters of
// smtp-sink. It serves them alone.
package rig
