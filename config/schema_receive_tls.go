package config

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// domainRights is a table of domains with lists of rights. The domains are kept
// in lower case.
func domainRights() typed[map[string][]string] {
	rights := list(choice(Rights()...), 1, once[string])
	domains := tlsDomains()
	const write = `a table of domains with lists of rights: { "mail.fabrikam.example" = ["bypass_anti_spam"] }`
	return typed[map[string][]string]{
		name: "table of lists of rights", permits: "domain names, also `\"*.fabrikam.example\"`, with lists of the rights of `grant`",
		parse: func(value any) (map[string][]string, []fault) {
			table, ok := value.(map[string]any)
			if !ok {
				return nil, wrongType(value, write)
			}
			out, faults := make(map[string][]string, len(table)), []fault(nil)
			for _, name := range slices.Sorted(maps.Keys(table)) {
				sub := "." + joinPath("", name)
				fail := func(message, remedy string) {
					faults = append(faults, fault{sub: sub, message: message, remedy: remedy})
				}
				if strings.EqualFold(name, "NO-TLS") { // reference 1.4
					fail(quote(name)+": clients without TLS have no certificate that would name a domain", "write rights for every client into grant, of a connector whose remote_ip_ranges name the hosts that are meant")
					continue
				}
				key := strings.ToLower(strings.TrimSuffix(name, "."))
				if _, bad := domains.parse(key); len(bad) > 0 || key == "" {
					message := quote(name) + " is not a domain name"
					remedy := `write the name in quotes: "mail.fabrikam.example" = ["bypass_anti_spam"]`
					if len(bad) > 0 {
						message, remedy = bad[0].message, bad[0].remedy
					}
					fail(message, remedy)
					continue
				}
				if _, nested := table[name].(map[string]any); nested {
					fail(quote(name)+" is a table here", `write the whole name in quotes: "mail.fabrikam.example" = ["bypass_anti_spam"]`)
					continue
				}
				if _, twice := out[key]; twice {
					fail(quote(name)+" stands here twice", "write all its rights in one list")
					continue
				}
				all, bad := rights.parse(table[name])
				for _, f := range bad {
					f.sub = sub + f.sub
					faults = append(faults, f)
				}
				out[key] = all
			}
			return out, faults
		},
		json: func(all map[string][]string) any {
			out := make(map[string]any, len(all))
			for name, list := range all {
				out[name] = rights.json(list)
			}
			return out
		},
		toml: func(all map[string][]string) string {
			var out []string
			for _, name := range slices.Sorted(maps.Keys(all)) {
				out = append(out, strconv.Quote(name)+" = "+rights.toml(all[name]))
			}
			if len(out) == 0 {
				return "{}"
			}
			return "{ " + strings.Join(out, ", ") + " }"
		},
	}
}
