package python_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// uv writes versions in their normal form, and what an archive stands for without any.
func TestUVLockAsAsked(t *testing.T) {
	const lock = "version = 1\nrequires-python = \">=3.11\"\n\n[[package]]\nname = \"birds\"\nversion = \"1\"\nsource = { virtual = \".\" }\n" +
		"dependencies = [{ name = \"tiny\" }]\n\n[package.metadata]\nrequires-dist = [{ name = \"tiny\", specifier = \">=1.0rc1,<2\" }]\n\n" +
		"[[package]]\nname = \"tiny\"\nversion = \"1.0\"\nsource = { registry = \"https://index.example.com/simple\" }\n" +
		"wheels = [{ url = \"https://index.example.com/tiny-1.0-py3-none-any.whl\", hash = \"sha256:3d7652415e5df43b95dcc8e81ed80094d3cc547637c8311e463845e2c2282d10\" }]\n"
	asks := func(dependencies string) string {
		return planFor(t, "language: python\n", files("main.py", "", "uv.lock", lock,
			"pyproject.toml", "[project]\nname = \"birds\"\nversion = \"1\"\nrequires-python = \">=3.11\"\ndependencies = ["+dependencies+"]\n")).Text
	}
	require.NotContains(t, asks(`"tiny <2, >=1.0-RC.1"`), "uv.lock was not made from pyproject.toml as it is now")
	require.Contains(t, asks(`"tiny <3"`), "uv.lock was not made from pyproject.toml as it is now: it does not have tiny<3")
	require.Contains(t, asks(``), "it was made when the project depended on tiny")
	// The first one in the order of the names, whatever the order of maps is.
	require.Contains(t, asks("\"tiny<2,>=1.0rc1\"]\n[dependency-groups]\nc = [\"c\"]\nb = [\"b\"]\na = [\"a\""), "it does not have a\n")
}
