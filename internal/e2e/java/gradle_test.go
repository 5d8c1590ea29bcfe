package java_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
)

// distribution serves the stand-in for a distribution of Gradle, and returns its URL and
// checksum.
func distribution(t *testing.T) (url, sum string) {
	t.Helper()
	classes := map[string][]byte{}
	for name, f := range tools(t) {
		if class, ok := strings.CutPrefix(name, "app/classes/"); ok && strings.HasSuffix(class, ".class") {
			classes[class] = f.Data
		}
	}
	archive := packed(t, map[string][]byte{
		"gradle-9.0.0/": nil, "gradle-9.0.0/bin/": nil, "gradle-9.0.0/lib/": nil,
		"gradle-9.0.0/lib/gradle-launcher-9.0.0.jar": packed(t, classes),
		"gradle-9.0.0/bin/gradle":                    []byte("#!/bin/sh\n"),
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(archive) }))
	t.Cleanup(server.Close)
	return server.URL + "/distributions/gradle-9.0.0-bin.zip", fmt.Sprintf("%x", sha256.Sum256(archive))
}

// gradle is a sample with the wrapper as Gradle ships it, and the stand-in.
func gradle(t *testing.T, name string) string {
	t.Helper()
	dir := project(t, name)
	wrapper := entries(t, jar(t, "quarkus-project-core-extension-codestarts-"))["codestarts/quarkus/tooling/gradle-wrapper/base/gradle/wrapper/gradle-wrapper.jar"]
	if wrapper == nil {
		t.Fatal("there is no gradle-wrapper.jar where it was")
	}
	e2etest.Write(t, filepath.Join(dir, "gradle/wrapper/gradle-wrapper.jar"), string(wrapper))
	url, sum := distribution(t)
	properties := filepath.Join(dir, "gradle/wrapper/gradle-wrapper.properties")
	e2etest.Edit(t, properties, `https\://gradle.example.com/distributions/gradle-9.0.0-bin.zip`, strings.ReplaceAll(url, ":", `\:`))
	e2etest.Edit(t, properties, "f759b8dd5204e2e3fa4ca3e73f452f087153cf81bac9561eeb854229cc2c5365", sum)
	return dir
}

// Gradle's own distributions cannot be had here: its real wrapper starts a stand-in that
// leaves behind what the tasks do.
func TestJavaGradle(t *testing.T) {
	t.Run("installDist", func(t *testing.T) {
		dir := gradle(t, "gradle")
		name, out := e2etest.Build(t, dir)
		e2etest.Contains(t, out, "a stand-in for Gradle runs [:app:installDist]")
		if got := e2etest.Answer(t, name, readOnly(t)); got != `["robin","wren"]` {
			t.Errorf("the program prints %q", got)
		}
		img := e2etest.Stored(t, name, "")
		layers := laidOut(t, img)
		has(t, layers, []string{"libs/gson-2.13.2.jar libs/error_prone_annotations-2.41.0.jar", "libs/birds.jar", "jvm.*", "classes/com/example/app/App.class"})
		if len(layers) == 4 {
			made(t, "birds.jar", layers[1]["libs/birds.jar"].Data)
		}
		before := e2etest.ContentsOf(t, img)
		e2etest.Edit(t, filepath.Join(dir, "app/src/main/java/com/example/app/App.java"), "toJson(Birds.all())", `toJson("birds") + Birds.all().size()`)
		e2etest.Build(t, dir)
		if got := e2etest.Answer(t, name, readOnly(t)); got != `"birds"2` {
			t.Errorf("the program prints %q", got)
		}
		onlyLast(t, before, e2etest.ContentsOf(t, e2etest.Stored(t, name, "")))
	})
	t.Run("bootJar", func(t *testing.T) {
		dir := gradle(t, "gradle-boot")
		port := listenOn(t, dir)
		name, out := e2etest.Build(t, dir)
		e2etest.Contains(t, out, "a stand-in for Gradle runs [", "bootJar]")
		p := start(t, name, port)
		if got := p.Get(t, "/"); got != "hello from bootJar" {
			t.Errorf("/ answers %q", got)
		}
		p.Ends(t, 143)
		has(t, laidOut(t, e2etest.Stored(t, name, "")), []string{"libs/*.jar", "jvm.* resources/**", "classes/com/example/perch/PerchApplication.class"})
	})
	t.Run("a distribution with another checksum", func(t *testing.T) {
		dir := gradle(t, "gradle")
		_, sum := distribution(t)
		wrong := strings.Repeat("0", 64)
		e2etest.Edit(t, filepath.Join(dir, "gradle/wrapper/gradle-wrapper.properties"), sum, wrong)
		// The wrapper checks what it fetches, and fetches what it does not have.
		e2etest.Edit(t, filepath.Join(dir, "gradle/wrapper/gradle-wrapper.properties"), "gradle-9.0.0-bin.zip", "gradle-9.0.1-bin.zip")
		out := e2etest.Fails(t, 1, e2etest.Birdhouse(t, "build", "-t", "never", "--progress=plain", dir))
		e2etest.Contains(t, out, wrong, sum)
		e2etest.Contains(t, e2etest.Said(out), "gradle")
	})
}
