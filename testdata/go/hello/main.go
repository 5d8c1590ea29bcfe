// Command hello answers HTTP requests on port 8080: / with "hello", /tz with a
// time in a zone of the time zone database, /ca with how many certification
// authorities the system trusts.
package main

import (
	"encoding/pem"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"
)

func main() {
	http.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") })
	http.HandleFunc("/tz", zone)
	http.HandleFunc("/ca", authorities)
	addr := ":8080"
	if port := os.Getenv("PORT"); port != "" {
		addr = ":" + port
	}
	log.Fatal(http.ListenAndServe(addr, nil))
}

func zone(w http.ResponseWriter, _ *http.Request) {
	loc, err := time.LoadLocation("Pacific/Auckland")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprintln(w, time.Unix(0, 0).In(loc).Format(time.RFC3339))
}

func authorities(w http.ResponseWriter, _ *http.Request) {
	data, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	n := 0
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		n++
	}
	fmt.Fprintln(w, n)
}
