// Command app is a small service with the dependencies that many have: a
// router, structured logs, metrics.
package main

import (
	"net/http"
	"os"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
)

const revision = "0"

func main() {
	log, err := zap.NewProduction()
	if err != nil {
		panic(err)
	}
	requests := prometheus.NewCounter(prometheus.CounterOpts{Name: "requests_total", Help: "Requests answered."})
	prometheus.MustRegister(requests)

	r := chi.NewRouter()
	r.Get("/", func(w http.ResponseWriter, _ *http.Request) {
		requests.Inc()
		_, _ = w.Write([]byte("revision " + revision + "\n"))
	})
	r.Handle("/metrics", promhttp.Handler())

	addr := ":8080"
	if port := os.Getenv("PORT"); port != "" {
		addr = ":" + port
	}
	log.Info("listening", zap.String("addr", addr))
	log.Fatal("serving", zap.Error(http.ListenAndServe(addr, r)))
}
