// Package store opens the database.
package store

import (
	"database/sql"
	"log"

	_ "github.com/mattn/go-sqlite3"
)

// Open opens the database.
func Open() *sql.DB {
	db, err := sql.Open("sqlite3", ":memory:")
	if err != nil {
		log.Fatal(err)
	}
	return db
}
