"""Python in a process of its own, for what is decided at import or may hang."""

import os
import subprocess
import sys

THREAD_VARIABLES = ("CSHORTFALL_NUM_THREADS", "OMP_NUM_THREADS", "OMP_THREAD_LIMIT")


def start_python(code, timeout=60, **environment):
    """Run code in a fresh interpreter, without the variables that set threads unless given here."""
    inherited = {name: value for name, value in os.environ.items() if name not in THREAD_VARIABLES}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def run_python(code, timeout=60, **environment):
    """Return what the code prints; it must end well."""
    process = start_python(code, timeout, **environment)
    assert process.returncode == 0, process.stderr
    return process.stdout
