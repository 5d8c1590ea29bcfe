"""Greets."""

WORD = "hello"
