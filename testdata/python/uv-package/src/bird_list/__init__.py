"""Names of birds."""

from importlib.resources import files


def birds() -> list[str]:
    return sorted(files(__name__).joinpath("birds.txt").read_text().split())
