// Package dkim signs messages (RFC 6376, RFC 8301, RFC 8463) and makes the keys
// for it and the DNS records that publish them. It serves send, which signs what
// it sends, and the command that makes keys.
//
// A message is signed as it streams by: the header, which is bounded, is looked
// at whole; of the body only a hash is kept, however it is made up. Several keys
// share both.
package dkim
