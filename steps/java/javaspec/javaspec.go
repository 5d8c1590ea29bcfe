// Package javaspec says what the step `steps java` is told: types alone, so that
// who writes a specification has none of the code that reads one.
//
// The step looks at what a build made, and lays out the program as it is in the
// image's folder /app, in one folder for each layer:
//
//	OUT/dependencies/libs/jackson-core-2.19.0.jar
//	OUT/resources/jvm.args
//	OUT/resources/jvm.flags
//	OUT/resources/resources/application.yaml
//	OUT/classes/classes/com/example/Main.class
//	OUT/link/jlink.args
//
// The image starts with `java @/app/jvm.args`, whatever was built.
package javaspec

// Dir is where the image has the program. Everything in the folder of a layer is
// relative to it.
const Dir = "/app"

// ArgsFile is the file of arguments with which the image starts Java:
// `java @/app/jvm.args`. It is in the layer resources.
const ArgsFile = Dir + "/jvm.args"

// FlagsFile is beside it: the flags of the virtual machine that are ours, one a line.
// ArgsFile names it by -XX:Flags, so that JAVA_TOOL_OPTIONS counts more.
const FlagsFile = Dir + "/jvm.flags"

// The layers, from the least to the most likely to change. Those that Spec.Layers
// does not name fall into the next one; Classes is always there.
const (
	// Dependencies are released libraries.
	Dependencies = "dependencies"
	// Snapshots are libraries whose version is a snapshot.
	Snapshots = "snapshots"
	// Modules are the project's own other modules.
	Modules = "modules"
	// Resources are the program's files that are no classes, ArgsFile and FlagsFile.
	Resources = "resources"
	// Classes are the program's classes, or the whole of a program that is one file.
	Classes = "classes"
)

// Link is the output beside the layers when Spec.Link is true: it has LinkArgs, an
// argument file for jlink with nothing but --add-modules in it, which is the same as
// long as the program needs the same modules.
const (
	Link     = "link"
	LinkArgs = "jlink.args"
)

// AOT is the file in which the image has what was learnt of a start, when Spec.AOT is
// true: ArgsFile names it, and a stage of its own makes it.
const AOT = Dir + "/app.aot"

// Spec is what to look at and what to make of it. Paths are absolute.
type Spec struct {
	// Java is the version that the image has: 17, 21, 25.
	Java int `json:"java"`
	// Home is the JDK of that version whose modules (lib/modules) are looked at:
	// /usr/lib/jvm/java-21.
	Home string `json:"home"`
	// Project is the root of the project: jars that were built below it are its own
	// modules, and messages name files relative to it.
	Project string `json:"project"`
	// Built is the folder in which the build tool has left what it made of the
	// module: /src/orders/target, /src/orders/build. Looked for in it are, in
	// this order: quarkus-app; install/NAME (of Gradle); jars and wars of its own
	// and of libs, of which sources, documentation, tests and originals of shaded
	// ones do not count.
	Built string `json:"built,omitempty"`
	// File is the program where the plan knows its name: a jar or war, ready-made when Built
	// is "", or a folder, that of a Quarkus application or of Gradle's installDist.
	File string `json:"file,omitempty"`
	// Name is what the jar is called without extension, as far as the plan knows; it
	// decides between several. May be "".
	Name string `json:"name,omitempty"`
	// ClassPath is a file with the runtime class path of the module without the
	// module itself, separated by colons, as Maven's dependency plugin writes it. A
	// file that is missing, and "", is an empty class path. Only for a jar that does
	// not bring its libraries.
	ClassPath string `json:"classPath,omitempty"`
	// Cache is a folder that is kept from one build to the next, for what was found in
	// libraries; "" if nothing is kept. What is in it changes no result.
	Cache string `json:"cache,omitempty"`
	// Main is the main class that the descriptor names, which must be there.
	Main string `json:"main,omitempty"`
	// Configured are the main classes that build files name, the first that is
	// there counts. The manifest of the jar comes before them.
	Configured []Main `json:"configured,omitempty"`
	// Layers are the layers that there is an output for, each OUT/NAME; in any order.
	Layers []string `json:"layers"`
	// Link asks for the file LinkArgs in OUT/link.
	Link bool `json:"link,omitempty"`
	// LinkModules are exactly the modules of the runtime (java.base is always one), as
	// the descriptor names them; nil for those that the program needs.
	LinkModules []string `json:"linkModules,omitempty"`
	// AOT says that the virtual machine is given AOT, and that there is no folder on
	// the class path, which it would refuse then: classes and resources are one jar
	// in the layer Classes.
	AOT bool `json:"aot,omitempty"`
}

// Main is a main class and the place that names it, as `pom.xml:31`.
type Main struct {
	Class  string `json:"class"`
	Source string `json:"source"`
}
