package pickup

import (
	"fmt"
	"os"

	"postern/config"
)

// Lint looks at the modes of the directories, where they exist: whoever can write
// into one can send as anybody.
func Lint(cfg *config.Config) []config.Finding {
	var found []config.Finding
	for _, d := range []struct{ key, path string }{
		{"pickup.pickup_directory_path", cfg.Pickup.PickupDirectoryPath},
		{"pickup.replay_directory_path", cfg.Pickup.ReplayDirectoryPath},
	} {
		if d.path == "" {
			continue
		}
		info, err := os.Stat(d.path)
		switch {
		case err != nil: // it is made at the start
		case !info.IsDir():
			found = append(found, config.Finding{Severity: config.Warning, Path: d.key,
				Message: fmt.Sprintf("%q is no directory, so that nothing is taken from it", d.path), Remedy: "write the path of a directory"})
		case info.Mode().Perm()&0o002 != 0:
			found = append(found, config.Finding{Severity: config.Warning, Path: d.key,
				Message: fmt.Sprintf("everybody on this host can write into %q, and so send as anybody, to anybody", d.path),
				Remedy:  fmt.Sprintf("take the right away: chmod o-w %s", d.path)})
		}
	}
	return found
}
