import click

from bird_list import birds


@click.command()
@click.option("--count", is_flag=True, help="Print how many there are.")
def main(count: bool) -> None:
    found = birds()
    click.echo(len(found) if count else ", ".join(found))
