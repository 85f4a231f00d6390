"""Instructions that the kernels execute, counted by valgrind: a figure without noise, to compare with an earlier one.

    python bench/instructions.py --json counts.json
    python bench/instructions.py --against counts.json

A small C program (kernel_driver.c) linked with the installed static library runs one kernel once. Rows, columns and
portfolios are no part of the C library: an interpreter runs the compiled function. Callgrind counts nothing but that
call. Valgrind has no AVX-512, so that instruction set is left out with a line saying so.
"""

import argparse
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile

import numpy as np

import cshortfall

SIZES = (250, 1_000, 10_000, 100_000, 1_000_000)
KERNELS = {"es": SIZES, "es_f32": (1_000_000,), "es_levels": (1_000, 1_000_000), "es_weighted": (1_000, 100_000)}
KINDS = {
    "normal": lambda rng, n: 0.01 * rng.standard_normal(n),
    "t(3)": lambda rng, n: 0.01 * rng.standard_t(3, n),
}
# Name -> number of outcomes and the call, in which only the compiled function of that name is counted.
PYTHON_CALLS = {
    "rows of 1000": (200_000, "tail_rows", "cshortfall.es(draw(200, 1000), axis=1)"),
    "rows of 250": (200_000, "tail_rows", "cshortfall.es(draw(800, 250), axis=1)"),
    "columns of 1000": (200_000, "tail_rows", "cshortfall.es(draw(1000, 200), axis=0)"),
    "portfolios of 20 assets": (
        200_000,
        "portfolio_tail",
        "cshortfall.es_of_portfolios(draw(2000, 20), draw(20, 100))",
    ),
}
PYTHON_SETUP = """
import numpy as np
import cshortfall
cshortfall.set_num_threads(1)
def draw(*shape):
    return 0.01 * np.random.default_rng(1).standard_normal(shape)
"""
INSTRUCTION_SETS = {"x86_64": ("baseline", "avx2", "avx512"), "aarch64": ("baseline", "neon")}
UNSUPPORTED = 3


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def build_driver(folder, name="kernel_driver"):
    """Compile a C program of this folder into `folder` against the installed library."""
    driver = folder / name
    source = pathlib.Path(__file__).with_name(f"{name}.c")
    library = pathlib.Path(cshortfall.get_library_dir()) / "libcshortfall.a"
    compiler = os.environ.get("CC", "cc")
    run(compiler, "-O2", f"-I{cshortfall.get_include()}", str(source), str(library), "-lm", "-o", str(driver))
    return driver


def write_data(folder):
    """Write the outcomes and the weights that the driver reads; return the paths."""
    n = max(max(sizes) for sizes in KERNELS.values())
    paths = {}
    for kind, draw in KINDS.items():
        paths[kind] = folder / f"outcomes_{len(paths)}"
        draw(np.random.default_rng(1), n).tofile(paths[kind])
    paths["weights"] = folder / "weights"
    np.random.default_rng(2).exponential(size=n).tofile(paths["weights"])
    return paths


def count(folder, function, *command, **environment):
    """Instructions within `function` while `command` runs, or None when the instruction set is missing."""
    profile = folder / "callgrind.out"
    valgrind = ("valgrind", "--tool=callgrind", f"--toggle-collect={function}", f"--callgrind-out-file={profile}")
    finished = subprocess.run([*valgrind, *command], capture_output=True, text=True, env={**os.environ, **environment})
    if finished.returncode == UNSUPPORTED:
        return None
    if finished.returncode:
        raise SystemExit(f"{' '.join(command)}\n{finished.stderr}")
    instructions = int(re.search(r"^(?:totals|summary): (\d+)", profile.read_text(), re.MULTILINE)[1])
    if not instructions:
        raise SystemExit(f"{function} was not called by {' '.join(command)}")
    return instructions


def count_kernels(folder, driver, paths, isa):
    """Count the kernels of the C library; nothing if the instruction set is missing."""
    counts = {}
    for kernel, sizes in KERNELS.items():
        for kind in KINDS:
            for n in sizes:
                arguments = (isa, kernel, str(n), str(paths[kind]), str(paths["weights"]))
                instructions = count(folder, "measured", str(driver), *arguments)
                if instructions is None:
                    return {}
                counts[f"{isa}, {kernel}, {kind}, n = {n}"] = instructions
    return counts


def count_python_calls(folder, isa):
    """Count the compiled functions that the C library does not offer."""
    return {
        f"{isa}, {name}, n = {n}": count(
            folder,
            f"__pyx_pw_*{function}",
            sys.executable,
            "-c",
            PYTHON_SETUP + call,
            CSHORTFALL_ISA=isa,
            PYTHONHASHSEED="0",
        )
        for name, (n, function, call) in PYTHON_CALLS.items()
    }


def count_all():
    """Count every case on every instruction set."""
    counts = {}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        driver, paths = build_driver(folder), write_data(folder)
        for isa in INSTRUCTION_SETS.get(platform.machine(), ("baseline",)):
            kernels = count_kernels(folder, driver, paths, isa)
            if kernels:
                counts |= kernels | count_python_calls(folder, isa)
            else:
                print(f"{isa}: not available under valgrind on this machine, left out", file=sys.stderr)
    return counts


def report(counts, before):
    """Print a Markdown table: the counts, per outcome, and the change against `before`."""
    print("| case | instructions | per outcome | change |\n|---|---|---|---|")
    for case, now in counts.items():
        n = int(case.rpartition("= ")[2])
        change = f"{100 * (now / before[case] - 1):+.2f} %" if case in before else ""
        print(f"| {case} | {now:,} | {now / n:.2f} | {change} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=pathlib.Path, help="file to write the counts to")
    parser.add_argument("--against", type=pathlib.Path, help="earlier file to compare with")
    parser.add_argument("--tolerance", type=float, default=1.0, help="percent a count may grow (default: 1)")
    arguments = parser.parse_args()
    if not shutil.which("valgrind"):
        raise SystemExit("valgrind is not installed")
    before = json.loads(arguments.against.read_text())["counts"] if arguments.against else {}
    counts = count_all()
    report(counts, before)
    if arguments.json:
        tools = {"valgrind": run("valgrind", "--version").strip(), "cshortfall": cshortfall.__version__}
        arguments.json.write_text(json.dumps({**tools, "counts": counts}, indent=1) + "\n")
    limit = 1 + arguments.tolerance / 100
    grown = [case for case, now in counts.items() if case in before and now > before[case] * limit]
    if grown:
        raise SystemExit("more instructions than before: " + "; ".join(grown))


if __name__ == "__main__":
    main()
