// Package ptls knows certificates and what TLS must be: which certificate the
// gateway presents, how it makes one for itself at first start, and what it
// asks of a next hop's. It serves receive, which presents certificates, and
// send, which judges them. It is always imported as ptls; tls alone means
// crypto/tls.
package ptls
