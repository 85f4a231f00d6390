"""The command line as a process: exit codes, one line for each error, quiet ends.

Needs the extra ``cli`` (typer, rich, pyarrow), which nothing else in the package imports. The commands are in
`cshortfall._commands`.
"""

import contextlib
import io
import os
import sys
from collections.abc import Sequence

__all__ = ["InputError", "OptimumError", "complain", "main", "run"]

UNWRITABLE = 1
BAD_INPUT = 2
NO_OPTIMUM = 3
INTERRUPTED = 130
EXTRAS = {"typer": "cli", "rich": "cli", "pyarrow": "cli", "jinja2": "html", "matplotlib": "html"}


class InputError(Exception):
    """Something is wrong with what the user gave; the message is one line."""

    code = BAD_INPUT


class OptimumError(InputError):
    """What the user asks for has no optimum, or none was certified within the limits."""

    code = NO_OPTIMUM


def main() -> int:
    """Run the command line on the arguments of the process; return its exit code."""
    _open_what_is_closed()
    try:
        return run(sys.argv[1:])
    except KeyboardInterrupt:
        return INTERRUPTED


def end_where_started(error: ImportError) -> None:
    """End the process with one line if it is the command line and the environment keeps the package from loading.

    The package is imported before the command's own code. An `ImportError` of an environment variable names no
    module; any other is a broken installation, of which the traceback tells more.
    """
    arguments = getattr(sys, "argv", [])
    program = sys.orig_argv[-len(arguments)] if arguments and len(arguments) < len(sys.orig_argv) else ""
    if error.name is None and os.path.splitext(os.path.basename(program.removeprefix("-m")))[0] == "cshortfall":
        _open_what_is_closed()
        complain("error", str(error))
        sys.exit(BAD_INPUT)


def _open_what_is_closed() -> None:
    """Put nothing in the place of a standard stream that the process was started without."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - for the life of the process


def run(arguments: Sequence[str]) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str
        What follows the program's name.

    Returns
    -------
    int
        Exit code: 0; 1 where the output cannot be written; 2 for bad input, after one line on standard error that
        says what is wrong; 3 likewise where `optimize` has no optimum: constraints that contradict each other, an
        objective without end, a limit reached first; 130 after Ctrl-C.
    """
    try:
        return _run(arguments)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in EXTRAS:
            raise
        complain("error", f"the command line needs {missing}: pip install 'cshortfall[{EXTRAS[missing]}]'")
        return BAD_INPUT


def _run(arguments: Sequence[str]) -> int:
    from typer import Abort

    from cshortfall._commands import DEFAULT_COMMAND, UsageError, app, command_names

    arguments = list(arguments)
    if not arguments or arguments[0] not in [*command_names(), "-h", "--help", "--version"]:
        arguments.insert(0, DEFAULT_COMMAND)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    try:
        code = app(arguments, prog_name="cshortfall", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except InputError as error:
        complain("error", str(error))
        return error.code
    except UsageError as error:
        complain("error", error.format_message().replace("Value error, ", ""))
        return BAD_INPUT
    except (KeyboardInterrupt, Abort):
        return INTERRUPTED
    except SystemExit as stop:
        _discard_output()
        return stop.code if isinstance(stop.code, int) else UNWRITABLE
    except OSError as error:
        _discard_output()
        if not isinstance(error, BrokenPipeError):
            place = "" if error.filename is None else f" {error.filename}"
            complain("error", f"cannot write{place}: {error.strerror or error}")
        return UNWRITABLE
    return code if isinstance(code, int) else 0


def complain(kind: str, message: str) -> None:
    """Print one line on standard error."""
    print(f"cshortfall: {kind}: {' '.join(message.split())}", file=sys.stderr)


def _discard_output() -> None:
    """Keep the interpreter from failing once more when it flushes standard output at exit."""
    with contextlib.suppress(OSError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
