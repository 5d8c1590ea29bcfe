package main

import "example.test/refused/internal/store"

func main() { store.Open() }
