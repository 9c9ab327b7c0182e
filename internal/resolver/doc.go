// Package resolver knows the DNS as mail needs it: mail exchangers (RFC 5321
// 5.1, RFC 7505), addresses and text records, with static answers before the
// DNS, a bounded cache and typed errors. It is a stub resolver: it asks
// recursive servers and believes them. It serves the Send connectors and
// every filter that looks names up.
package resolver
