// Package e2e holds kadnode, as a user starts it, against real and unmodified
// clients. A test for which this machine lacks a program is skipped; .ci/install
// installs them all.
package e2e

import (
	"testing"

	"github.com/kadnode/kadnode/e2e/e2etest"
)

func TestMain(m *testing.M) { e2etest.Main(m) }
