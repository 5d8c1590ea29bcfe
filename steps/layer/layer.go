// Package layer makes one layer of a base image out of Debian packages and
// archives: the step that runs inside the build.
package layer

import "github.com/birdhouse-build/birdhouse/steps/layer/layerspec"

// The parts of a specification.
type (
	Spec    = layerspec.Spec
	Package = layerspec.Package
	Archive = layerspec.Archive
	Headers = layerspec.Headers
	Take    = layerspec.Take
	File    = layerspec.File
)
