from click.testing import CliRunner

from bird_list.cli import main


def test_count():
    assert CliRunner().invoke(main, ["--count"]).output == "3\n"
