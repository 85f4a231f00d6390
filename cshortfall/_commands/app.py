"""The application to which the modules of commands add theirs."""

from typing import Annotated, Any

import typer

import cshortfall

__all__ = ["DEFAULT_COMMAND", "UsageError", "app", "command_names"]

DEFAULT_COMMAND = "report"
CONTEXT = {"help_option_names": ["-h", "--help"]}

# Its home has moved between releases of typer, which now carries its own copy of click.
UsageError: Any = typer.BadParameter.__mro__[1]

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, context_settings=CONTEXT, rich_markup_mode="rich"
)


def command_names() -> list[str]:
    """Return the names of the commands."""
    commands = [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]
    return commands + [group.name for group in app.registered_groups if group.name]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cshortfall {cshortfall.__version__}")
        raise typer.Exit


@app.callback()
def main_options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and stop.")
    ] = False,
) -> None:
    """Estimate Expected Shortfall and Value-at-Risk of returns, of profit and loss, or of prices.

    Without a command it is `report`: `cshortfall` alone reports on embedded real data, `cshortfall FILE` on a file, and
    `cshortfall report --help` lists the options.
    """
