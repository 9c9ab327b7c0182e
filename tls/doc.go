// Package ptls knows certificates and what TLS must be: which certificate the
// gateway presents, how it makes one for itself at first start, how others come
// into the store and leave it, and what it asks of a next hop's. It serves
// receive, which presents certificates, send, which judges them, and the commands
// of an administrator. It is always imported as ptls; tls alone means crypto/tls.
package ptls
