package main

import "os"

// heapFloor is memory, in octets, that the garbage collector may count on
// without anybody using it.
const heapFloor = 64 << 20

// reserveHeap returns memory that is never touched, to be kept alive for as
// long as the gateway runs. Go collects garbage when the heap has doubled, and
// a relay's heap is so small that this happens all the time: 132 times while
// 5000 messages of 4 KB pass, with the floor 4 times (docs/performance.md).
// Untouched memory is never resident.
//
// An administrator who sets GOGC or GOMEMLIMIT has an opinion of their own.
func reserveHeap() []byte {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return nil
	}
	return make([]byte, heapFloor)
}
