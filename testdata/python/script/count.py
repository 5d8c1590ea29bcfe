"""Prints how many birds a file names, and ends."""

import pathlib

birds = pathlib.Path(__file__).with_name("birds.txt").read_text().split()
print(len(birds), "birds")
