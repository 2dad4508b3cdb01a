package storetest_test

import (
	"testing"
	"time"

	"github.com/kadnode/kadnode/tracker"
	"github.com/kadnode/kadnode/tracker/storetest"
)

func TestMyStore(t *testing.T) {
	storetest.Run(t, func(t testing.TB, cfg tracker.SwarmsConfig, now time.Time) tracker.Store {
		return tracker.NewSwarms(cfg, now) // or yours: empty, with the bounds of cfg
	})
}
