package main

import "testing"

func TestCount(t *testing.T) {
	if n, err := count("CREATE TABLE t (x)", "SELECT count(*) FROM t"); n != 0 || err != nil {
		t.Errorf("an empty table has %d rows, %v", n, err)
	}
	if _, err := count("CREATE TABEL t", ""); err == nil {
		t.Error("a mistake in a statement is not seen")
	}
}
