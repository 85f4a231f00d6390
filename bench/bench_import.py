"""What `import cshortfall` adds to `import numpy`, in fresh processes."""

import functools
import subprocess
import sys

from race import Target
from table import ADDED

HEAVY = ("scipy", "pandas", "polars", "narwhals", "rich", "typer")
PROCESSES = 30


def run_python(code):
    """Run `code` in a fresh interpreter that sees installed packages only; return what it prints."""
    finished = subprocess.run([sys.executable, "-I", "-c", code], check=True, capture_output=True, text=True)
    return finished.stdout


def test_import_time(race):
    race.against(
        "import cshortfall",
        "",
        functools.partial(run_python, "import cshortfall"),
        "import numpy",
        functools.partial(run_python, "import numpy"),
        target=Target(ADDED, 25e-3),
        rounds=PROCESSES,
    )


def test_import_loads_no_heavy_package(race):
    call = functools.partial(
        run_python, f"import cshortfall, sys; print(*(m for m in {HEAVY!r} if m in sys.modules), sep=', ')"
    )
    loaded = call().strip()
    race.figure(
        "import cshortfall",
        "",
        len(loaded.split(", ")) if loaded else 0,
        f"of {', '.join(HEAVY)} loaded",
        call,
        bound=0,
        note=loaded,
    )
