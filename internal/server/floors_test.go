package server

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// floors is the house: a package stands above what it imports, and imports
// nothing of its own floor (docs/design.md).
var floors = map[string]int{
	"config": 0, "internal/message": 0, "internal/metrics": 0, "internal/bucket": 0, "internal/secret": 0, "internal/tcp": 0, "internal/eventid": 0, "internal/dkim": 1,
	"routing": 1, "logs": 1, "tarpit": 1, "backpressure": 1, "internal/resolver": 1,
	"tls": 2, "logs/review": 2, "internal/wire": 2, "logs/event": 2, "internal/dsn": 2, "queue/spool": 2, "receive/logon": 3,
	"receive": 3, "filter": 3, "queue": 3, "send": 3, "notify": 3, "pickup": 3, "internal/exporter": 3,
	"internal/server": 4, "internal/control": 4,
	"cmd/postern": 5,
}

// TestFloors reads the imports of every package. A package below another's
// folder that is not on the list (queue/spool/faultfs, say) stands on its
// parent's floor and may be imported by it.
func TestFloors(t *testing.T) {
	packages := list(t)
	if len(packages) < 10 {
		t.Fatalf("go list found %d packages; the test reads the wrong place", len(packages))
	}
	for _, p := range packages {
		name, floor, ok := place(p.ImportPath)
		if !ok {
			continue
		}
		for _, imp := range p.Imports {
			other, below, ok := place(imp)
			if !ok {
				if strings.HasPrefix(imp, "postern/") {
					t.Errorf("%s imports %s, which stands on no floor", p.ImportPath, imp)
				}
				continue
			}
			if other != name && below >= floor {
				t.Errorf("%s (floor %d) imports %s (floor %d)", name, floor, other, below)
			}
		}
	}
}

// TestEveryPackageHasAFloor fails when a package is added without a place.
func TestEveryPackageHasAFloor(t *testing.T) {
	for _, p := range list(t) {
		if _, _, ok := place(p.ImportPath); !ok && !strings.HasPrefix(p.ImportPath, "postern/bench/") {
			t.Errorf("%s stands on no floor: add it to docs/design.md and to this test", p.ImportPath)
		}
	}
}

// TestTLSIsCalledByItsName: tls alone means crypto/tls.
func TestTLSIsCalledByItsName(t *testing.T) {
	for _, p := range list(t) {
		if p.ImportPath == "postern/tls" && p.Name != "ptls" {
			t.Errorf("package tls is named %s, want ptls", p.Name)
		}
	}
}

// TestEveryPackageIsDocumented wants a package comment on each.
func TestEveryPackageIsDocumented(t *testing.T) {
	for _, p := range list(t) {
		if p.Doc == "" {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

// place finds the floor of a package of ours: its own or its nearest parent's.
func place(path string) (name string, floor int, ok bool) {
	name, ours := strings.CutPrefix(path, "postern/")
	if !ours {
		return "", 0, false
	}
	for {
		if f, ok := floors[name]; ok {
			return name, f, true
		}
		i := strings.LastIndexByte(name, '/')
		if i < 0 {
			return "", 0, false
		}
		name = name[:i]
	}
}

type listed struct {
	ImportPath, Name, Doc string
	Imports               []string
}

func list(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Name,Doc,Imports", "postern/...").Output()
	if err != nil {
		t.Fatal("go list: ", err)
	}
	var packages []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}
