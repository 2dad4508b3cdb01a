package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/metrics"
)

// httpGrace is how long requests under way may take when the program ends.
const httpGrace = 500 * time.Millisecond

// newHTTPHandler returns the pages of servers: metrics, status, and the two answers
// that orchestrators ask for.
func newHTTPHandler(servers []*server, blocked *krpc.Blocklist) http.Handler {
	sources := metrics.Sources{Blocklist: blocked, Build: buildInfo()}
	for _, s := range servers {
		sources.DHTs = append(sources.DHTs, s.dht)
		sources.Trackers = append(sources.Trackers, s.tracker)
		sources.Items = append(sources.Items, s.items)
		if s.journal != nil {
			sources.Journals = append(sources.Journals, s.journal)
		}
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		metrics.NewCollector(sources),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	mux.Handle("GET /status", &statusPage{servers: servers, started: time.Now()})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "/metrics\n/status\n/healthz\n/readyz\n") })
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		for _, s := range servers {
			if !s.dht.Ready() {
				http.Error(w, "not joined: no other node has answered yet", http.StatusServiceUnavailable)
				return
			}
		}
		fmt.Fprintln(w, "ok")
		for _, s := range servers {
			if err := s.journal.Err(); err != nil {
				// No reason to ask somebody else: it serves, from memory.
				fmt.Fprintln(w, "but the disk fails, and a restart would lose what is acknowledged now:", err)
			}
		}
	})
	return mux
}

// httpServer is a web server of its own, on its own goroutine.
type httpServer struct {
	http.Server
	listener net.Listener
	done     chan struct{} // closed when the goroutine has ended
}

// listenHTTP opens the socket of a web server.
func listenHTTP(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("http: %w", err)
	}
	return l, nil
}

// startHTTP serves h to whom l accepts.
func startHTTP(l net.Listener, h http.Handler, log *slog.Logger) *httpServer {
	s := &httpServer{listener: l, done: make(chan struct{})}
	s.Server = http.Server{
		Handler:           h,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	go func() {
		defer close(s.done)
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("http server ended", "addr", s.address(), "err", err)
		}
	}()
	return s
}

// address returns where it serves; a nil server does not.
func (s *httpServer) address() string {
	if s == nil {
		return none
	}
	return s.listener.Addr().String()
}

// close lets requests under way end, for a moment. A nil server is closed.
func (s *httpServer) close() {
	if s == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), httpGrace)
	defer cancel()
	if s.Shutdown(ctx) != nil {
		s.Close()
	}
	<-s.done
}
