package catalog

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
)

// LocationKind is a kind of place that has archives. There is no default URL for
// any: it comes from the machine's configuration or a build argument.
type LocationKind struct {
	// Name is what the definitions and the lock call it.
	Name string
	// What is it for people.
	What string
	// Argument is the build argument, and the environment variable, that has
	// its URL; Variable the environment variable that other tools know it by.
	Argument, Variable string
	// Configured asks the machine's other configuration; may be nil.
	Configured func(context.Context) string
}

// LocationKinds are all of them, sorted by name.
var LocationKinds = []LocationKind{
	// Laid out as https://github.com/nodejs/node#release-archives has it: folders
	// named for versions, and index.json.
	{Name: "nodejs", What: "a site with Node's releases", Argument: "BIRDHOUSE_NODE_MIRROR", Variable: "NODEJS_ORG_MIRROR"},
	{Name: "npm", What: "an npm registry", Argument: "BIRDHOUSE_NPM_REGISTRY", Variable: "NPM_CONFIG_REGISTRY", Configured: npmRegistry},
}

// LocationKindNamed returns a kind of location by its name.
func LocationKindNamed(name string) (LocationKind, bool) {
	i := slices.IndexFunc(LocationKinds, func(k LocationKind) bool { return k.Name == name })
	if i < 0 {
		return LocationKind{}, false
	}
	return LocationKinds[i], true
}

// Locations have the URL, without a slash at its end, of the kinds of locations
// that are known, by the kind's name.
type Locations map[string]string

// ParseLocation reads the URL of a location.
func ParseLocation(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(s, " \t\n") {
		return "", fmt.Errorf("%q is not an http or https URL such as https://packages.example.com/npm", s)
	}
	return strings.TrimRight(s, "/"), nil
}

// File returns the first file of an archive whose location is known, and its URL.
func (l Locations) File(a Archive) (ArchiveFile, string, error) {
	var kinds []string
	for _, f := range a.Files {
		if base := l[f.Location]; base != "" {
			return f, base + "/" + f.Path, nil
		}
		kinds = append(kinds, f.Location)
	}
	return ArchiveFile{}, "", fmt.Errorf("%s %s comes from %s: set the build argument %s to its URL, or for the birdhouse command the variable %s; "+
		"where it is fetched from does not matter, its checksum is in the catalog's lock", a.Name, a.Version,
		describe(kinds, func(k LocationKind) string { return k.What }),
		describe(kinds, func(k LocationKind) string { return k.Argument }),
		describe(kinds, func(k LocationKind) string { return k.Variable }))
}

// describe joins what is said of each kind with "or".
func describe(kinds []string, say func(LocationKind) string) string {
	var out []string
	for _, name := range kinds {
		if k, ok := LocationKindNamed(name); ok {
			out = append(out, say(k))
		}
	}
	return strings.Join(out, " or ")
}

// DescribeLocations says, for errors, what kinds of locations are and the
// environment variables that set their URLs: "a site with Node's releases
// (NODEJS_ORG_MIRROR) or an npm registry (NPM_CONFIG_REGISTRY)".
func DescribeLocations(kinds []string) string {
	return describe(kinds, func(k LocationKind) string { return k.What + " (" + k.Variable + ")" })
}

// MachineLocations returns the locations that this machine is configured to use.
// Of the environment variables, birdhouse's own come first. What they say is
// checked by ParseLocation; what is no URL is an error.
func MachineLocations(ctx context.Context) (Locations, error) {
	out := Locations{}
	for _, k := range LocationKinds {
		from, value := k.Argument, os.Getenv(k.Argument)
		if value == "" {
			from, value = k.Variable, os.Getenv(k.Variable)
		}
		if value == "" && k.Configured != nil {
			from, value = "the configuration of npm", k.Configured(ctx)
		}
		if value == "" {
			continue
		}
		base, err := ParseLocation(value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", from, err)
		}
		out[k.Name] = base
	}
	return out, nil
}
