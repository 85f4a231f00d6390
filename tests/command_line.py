"""The command line as a process of its own, and what it prints."""

import contextlib
import json
import os
import re
import subprocess
import sys

import pytest

POSIX = pytest.mark.skipif(os.name != "posix", reason="signals and pipes of POSIX")


def start(*arguments, **options):
    """Start the command line as a process, away from the checkout."""
    command = [sys.executable, "-m", "cshortfall", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def on_terminal(*arguments, width=100, **options):
    """Run the command line on a terminal; return its exit code and what the terminal got, without colours."""
    import pty

    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(width)}
    command = [sys.executable, "-m", "cshortfall", *arguments]
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment, **options)
    os.close(theirs)
    content = b""
    with contextlib.suppress(OSError):
        while part := os.read(ours, 1 << 16):
            content += part
    os.close(ours)
    return process.wait(60), re.sub(r"\x1b\[[\d;]*m", "", content.decode()).replace("\r\n", "\n")


def json_of(output):
    """Read one JSON text, which must be strict."""

    def refuse(literal):
        raise AssertionError(f"{literal} is not strict JSON")

    return json.loads(output, parse_constant=refuse)
