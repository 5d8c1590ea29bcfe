package java_test

import (
	"testing"

	"github.com/birdhouse-build/birdhouse/internal/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
