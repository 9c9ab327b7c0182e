// Package logon knows who may log on to Receive connectors and how they prove
// it: the accounts, the hashes of their passwords, their certificates, and the
// server side of the SASL mechanisms (RFC 4422). It serves the composition root,
// which hands it to package receive as the mechanisms of AUTH. It knows nothing
// of SMTP.
//
// A Store holds the accounts of the configuration and of users_file. Whoever
// tries a name that does not exist costs us the same computation, and learns
// the same words, as with one that does.
package logon
