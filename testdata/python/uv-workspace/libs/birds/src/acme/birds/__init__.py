"""Names of birds, in a namespace package: acme has no __init__.py."""

from importlib.resources import files

import yaml


def names() -> list[str]:
    return yaml.safe_load(files(__name__).joinpath("birds.yaml").read_text())["birds"]
