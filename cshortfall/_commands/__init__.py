"""The commands of the command line, with typer; the terminal's side of them is in `cshortfall._terminal`.

A command is a function under ``@app.command()`` in a module named here. What is wrong with its input it raises as
`InputError`, one line.
"""

from cshortfall._commands import optimize, report, rolling, sketches, streams
from cshortfall._commands.app import DEFAULT_COMMAND, UsageError, app, command_names

__all__ = [
    "DEFAULT_COMMAND",
    "UsageError",
    "app",
    "command_names",
    "optimize",
    "report",
    "rolling",
    "sketches",
    "streams",
]
