// Command packages counts birds with SQLite, a library of a Debian package.
package main

// #cgo pkg-config: sqlite3
// #include <sqlite3.h>
// #include <stdlib.h>
import "C"

import (
	"errors"
	"fmt"
	"os"
	"unsafe"
)

func main() {
	n, err := count("CREATE TABLE birds (name); INSERT INTO birds VALUES ('wren'), ('robin')", "SELECT count(*) FROM birds")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(n, "birds")
}

// count runs statements in an empty database and returns the number that a
// query gives.
func count(statements, query string) (int, error) {
	memory := C.CString(":memory:")
	defer C.free(unsafe.Pointer(memory))
	var db *C.sqlite3
	defer func() { C.sqlite3_close(db) }()
	if C.sqlite3_open(memory, &db) != C.SQLITE_OK {
		return 0, message(db)
	}
	sql := C.CString(statements)
	defer C.free(unsafe.Pointer(sql))
	if C.sqlite3_exec(db, sql, nil, nil, nil) != C.SQLITE_OK {
		return 0, message(db)
	}
	question := C.CString(query)
	defer C.free(unsafe.Pointer(question))
	var stmt *C.sqlite3_stmt
	if C.sqlite3_prepare_v2(db, question, -1, &stmt, nil) != C.SQLITE_OK {
		return 0, message(db)
	}
	defer C.sqlite3_finalize(stmt)
	if C.sqlite3_step(stmt) != C.SQLITE_ROW {
		return 0, message(db)
	}
	return int(C.sqlite3_column_int(stmt, 0)), nil
}

func message(db *C.sqlite3) error { return errors.New(C.GoString(C.sqlite3_errmsg(db))) }
