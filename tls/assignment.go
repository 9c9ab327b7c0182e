package ptls

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/BurntSushi/toml"

	"postern/internal/secret"
)

// AssignmentsFile is the file of a certificate directory that says which
// certificate a Receive connector presents, in TOML:
//
//	[receive_connector]
//	"From Internet" = "9F86D081884C7D65..."
const AssignmentsFile = "assignments.toml"

// maxAssignments bounds that file, in octets.
const maxAssignments = 1 << 20

// Assignments are thumbprints by the name of the Receive connector, as it was
// written.
type Assignments map[string]string

// For returns the thumbprint that is assigned to a connector, whose name counts
// in any case; empty for none.
func (a Assignments) For(connector string) string {
	if t, ok := a[connector]; ok {
		return t
	}
	for name, t := range a {
		if strings.EqualFold(name, connector) {
			return t
		}
	}
	return ""
}

// ReadAssignments reads the assignments of a certificate directory; there are
// none where the file is missing.
func ReadAssignments(directory string) (Assignments, error) {
	path := filepath.Join(directory, AssignmentsFile)
	text, err := secret.Read(path, maxAssignments)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	all, err := parseAssignments(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return all, nil
}

func parseAssignments(text []byte) (Assignments, error) {
	var file struct {
		ReceiveConnector any `toml:"receive_connector"`
	}
	if err := toml.Unmarshal(text, &file); err != nil {
		return nil, err
	}
	table, ok := file.ReceiveConnector.(map[string]any)
	if !ok && file.ReceiveConnector != nil {
		return nil, errors.New("receive_connector is no table; move the file away, and assign anew: postern cert enable")
	}
	all := make(Assignments)
	for name, value := range table {
		thumbprint, _ := value.(string)
		t, ok := parseThumbprint(thumbprint)
		if !ok {
			return nil, fmt.Errorf("%q is assigned to %q and is no SHA-256 thumbprint; assign another: postern cert enable", thumbprint, name)
		}
		all[name] = t
	}
	return all, nil
}
