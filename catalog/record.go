package catalog

import (
	"encoding/json"
	"fmt"

	"github.com/birdhouse-build/birdhouse/steps/layer/layerspec"
)

// record is a file of the image that says that the archive is in it, for
// scanners that know only packages: an SPDX document
// (https://spdx.github.io/spdx-spec/v2.3/) in the folder that
// https://github.com/chainguard-dev/melange has for these.
func (a Archive) record() (layerspec.File, error) {
	type m = map[string]any
	id := "SPDXRef-Package-" + a.Name
	text, err := json.Marshal(m{
		"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": a.Name + " " + a.Version,
		"documentNamespace": fmt.Sprintf("https://github.com/birdhouse-build/birdhouse/spdx/%s/%s", a.Name, a.Version),
		"creationInfo":      m{"created": "1970-01-01T00:00:00Z", "creators": []string{"Tool: birdhouse"}},
		"packages": []m{{
			"SPDXID": id, "name": a.Name, "versionInfo": a.Version, "downloadLocation": "NOASSERTION", "filesAnalyzed": false,
			"licenseConcluded": "NOASSERTION", "licenseDeclared": "NOASSERTION", "copyrightText": "NOASSERTION",
			"externalRefs": []m{
				{"referenceCategory": "SECURITY", "referenceType": "cpe23Type", "referenceLocator": a.CPE},
				{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": a.PURL},
			},
		}},
		"relationships": []m{{"spdxElementId": "SPDXRef-DOCUMENT", "relatedSpdxElement": id, "relationshipType": "DESCRIBES"}},
	})
	if err != nil {
		return layerspec.File{}, fmt.Errorf("recording %s: %w", a.Name, err)
	}
	return layerspec.File{Path: "/var/lib/db/sbom/" + a.Name + ".spdx.json", Mode: "0644", Content: string(text) + "\n"}, nil
}
