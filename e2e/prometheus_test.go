package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/kadnode/kadnode/e2e/e2etest"
)

const prometheusConfig = `
global: {scrape_interval: 1s}
scrape_configs:
  - job_name: kadnode
    static_configs: [{targets: [%q]}]
`

// TestPrometheus has a Prometheus server scrape a node, and promtool judge what
// the node exposes.
func TestPrometheus(t *testing.T) {
	e2etest.Require(t, "prometheus", "promtool")
	node, server := freeAddr(t), freeAddr(t)
	kadnode := e2etest.Start(t, "kadnode", exec.Command(e2etest.Binary(t),
		"--listen", "127.0.0.1:0", "--bootstrap", "none", "--http", node, "--data-dir", t.TempDir()))
	var metrics []byte
	e2etest.Eventually(t, 20*time.Second, "/metrics answers", func() (err error) {
		kadnode.MustRun(t)
		metrics, err = e2etest.Get("http://" + node + "/metrics")
		return err
	})
	t.Run("promtool finds no fault", func(t *testing.T) {
		cmd := exec.Command("promtool", "check", "metrics")
		cmd.Stdin = bytes.NewReader(metrics)
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("promtool check metrics: %v\n%s", err, out)
		}
	})
	t.Run("Prometheus scrapes", func(t *testing.T) {
		startPrometheus(t, server, node)
		for _, query := range []string{`up{job="kadnode"} == 1`, `kadnode_build_info{job="kadnode"} == 1`} {
			e2etest.Eventually(t, 60*time.Second, query, func() error { return holds(server, query) })
		}
	})
}

// startPrometheus starts a server at addr that scrapes target.
func startPrometheus(t *testing.T, addr, target string) {
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(config, fmt.Appendf(nil, prometheusConfig, target), 0o644); err != nil {
		t.Fatal(err)
	}
	e2etest.Start(t, "prometheus", exec.CommandContext(context.Background(), "prometheus", "--config.file="+config,
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr))
}

// holds returns nil if a query to the Prometheus server at addr has exactly one result.
func holds(addr, query string) error {
	body, err := e2etest.Get("http://" + addr + "/api/v1/query?query=" + url.QueryEscape(query))
	if err != nil {
		return err
	}
	var answer struct {
		Data struct {
			Result []json.RawMessage
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	if len(answer.Data.Result) != 1 {
		return fmt.Errorf("%d results: %s", len(answer.Data.Result), body)
	}
	return nil
}

// freeAddr returns an address of loopback with a TCP port that is free by now.
func freeAddr(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
