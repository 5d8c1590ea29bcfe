import click


@click.command()
@click.argument("name", default="robin")
def main(name):
    click.echo(f"hello {name}")


main()
