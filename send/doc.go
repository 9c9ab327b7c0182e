// Package send is the Send connectors: it finds the hosts of a next hop, keeps
// connections to them, and speaks the client side of SMTP (RFC 5321). It
// serves the queue, which decides what is delivered when; send decides to which
// host and over which connection, keeps the one table of dead hosts, and
// answers with an outcome for every recipient.
package send
