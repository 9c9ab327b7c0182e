// Package routing knows where mail goes: which domains are accepted, what an
// address space matches, and which Send connector takes a recipient. It serves
// the queue, which routes with it, receive, which asks for accepted domains, and
// the commands that explain a choice.
//
// The package is pure. It does no I/O, reads no clock and logs nothing: the same
// configuration and question give the same Decision, and a Decision carries its
// own explanation.
package routing
