// Package server is the composition root: it builds the parts of a gateway
// from one configuration, hands them to each other, starts and stops them in
// the right order, and puts a changed configuration in force while it runs. It
// knows every part and no protocol. The command, the tests and the demo use it
// alike.
package server
