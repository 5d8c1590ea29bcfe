package java

import (
	"fmt"
	"slices"

	"github.com/birdhouse-build/birdhouse/steps/java/javaspec"
)

// Plugins of Maven that the plan depends on, by their artifacts.
const (
	bootPlugin     = "spring-boot-maven-plugin"
	quarkusPlugin  = "quarkus-maven-plugin"
	shadePlugin    = "maven-shade-plugin"
	assemblyPlugin = "maven-assembly-plugin"
)

// mainPlugins are the plugins that are told the main class, in the order in which
// they are asked.
var mainPlugins = []string{
	bootPlugin, "maven-jar-plugin", shadePlugin, assemblyPlugin, "jib-maven-plugin", "exec-maven-plugin", "appassembler-maven-plugin",
	"micronaut-maven-plugin", "native-maven-plugin", "helidon-maven-plugin",
}

// mainProperties are properties that plugins and parents take the main class from.
var mainProperties = []string{"start-class", "exec.mainClass", "mainClass", "main.class"}

// mains are the main classes that a pom names, each with its place, the likeliest first.
func (p *pom) mains() []javaspec.Main {
	var found []javaspec.Main
	add := func(l located, what string) {
		class, ok := p.expand(l.text)
		if !ok || !className(class) || slices.ContainsFunc(found, func(m javaspec.Main) bool { return m.Class == class }) {
			return
		}
		found = append(found, javaspec.Main{Class: class, Source: fmt.Sprintf("%s, %s", l.where(), what)})
	}
	for _, name := range mainPlugins {
		plugins, declared := p.plugins(name)
		if !declared {
			continue
		}
		for _, plugin := range plugins {
			plugin.walk(func(e *element) {
				if (e.name == "mainClass" || e.name == "Main-Class") && len(e.children) == 0 {
					add(located{e, plugin.in}, name)
				}
			})
		}
	}
	for _, name := range mainProperties {
		if l, ok := p.property(name); ok {
			add(l, "the property "+name)
		}
	}
	return found
}

// walk calls found for all elements below one.
func (e *element) walk(found func(e *element)) {
	for _, c := range e.children {
		found(c)
		c.walk(found)
	}
}

// className says whether a text is the full name of a class.
func className(text string) bool {
	start := true
	for _, r := range text {
		letter := r == '_' || r == '$' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r > 127
		switch {
		case letter:
			start = false
		case r >= '0' && r <= '9' && !start:
		case r == '.' && !start:
			start = true
		default:
			return false
		}
	}
	return !start
}
