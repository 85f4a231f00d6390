"""Fixtures of the tests of the command line."""

import pytest


@pytest.fixture
def plain_terminal(monkeypatch):
    """Take away what says how a terminal looks."""
    for variable in ("COLUMNS", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def call(capsys, tmp_path, monkeypatch, plain_terminal):
    """Run the command line in a folder of its own; give exit code, output and error lines."""
    from cshortfall import cli

    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = cli.run(arguments)
        output, errors = capsys.readouterr()
        return code, output, errors.splitlines()

    return run
