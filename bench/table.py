"""Markdown tables of measured ratios, from a JSON run of pytest-benchmark.

python bench/table.py RUN.json                    print them
python bench/table.py RUN.json --into README.md   put them between the two marker lines of a file
"""

import argparse
import json
import pathlib
import statistics

FASTER = "times faster"
SLOWER = "times the time"
SECONDS = "seconds"
ADDED = "seconds more"
FIGURE = "figure"

REPRESENTATIVE = ("normal", "factor t(4)", "US shares")

BEGIN, END = "<!-- ratios: begin -->", "<!-- ratios: end -->"
UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))


def number(value):
    """Three digits that mean something."""
    if value == 0:
        return "0"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 100 else f"{value:,.0f}"


def duration(seconds):
    scale, unit = next((pair for pair in UNITS if abs(seconds) >= pair[0]), UNITS[-1])
    return f"{number(seconds / scale)} {unit}"


def ratios(entry):
    """The paired ratio of every round, in the direction of the entry's measure."""
    pairs = zip(entry["stats"]["data"], entry["extra_info"]["subject_seconds"], strict=True)
    scale = entry["extra_info"]["scale"]
    if entry["extra_info"]["measure"] == SLOWER:
        return [subject / (scale * peer) for peer, subject in pairs]
    return [scale * peer / subject for peer, subject in pairs]


def values(entry):
    """The measured value of every round, in the entry's own measure."""
    info, seconds = entry["extra_info"], entry["stats"]["data"]
    if info["measure"] == FIGURE:
        return [info["figure"]]
    if info["measure"] == SECONDS:
        return [info["scale"] * t for t in seconds]
    if info["measure"] == ADDED:
        return [ours - theirs for theirs, ours in zip(seconds, info["subject_seconds"], strict=True)]
    return ratios(entry)


def quartiles(rounds):
    return statistics.quantiles(rounds, n=4, method="inclusive") if len(rounds) > 1 else rounds * 3


def shown(entry):
    """Median with quartiles, for example ``5.62x (5.50-5.71)``."""
    info = entry["extra_info"]
    low, middle, high = quartiles(values(entry))
    if info["measure"] == FIGURE:
        return f"{number(middle)} {info['unit']}"
    if info["measure"] in (SECONDS, ADDED):
        return f"{duration(middle)} ({duration(low)}-{duration(high)})"
    return f"{number(middle)}x ({number(low)}-{number(high)})"


def described(entry):
    """What was measured on which data, or why nothing was."""
    info = entry["extra_info"]
    about = ", ".join(filter(None, (info["data"], info.get("remark"))))
    return ": ".join(filter(None, (about, "not measured, " + info["skipped"] if "skipped" in info else shown(entry))))


def median(entry):
    return statistics.median(values(entry))


def is_met(entry):
    bound = entry["extra_info"]["bound"]
    return median(entry) >= bound if entry["extra_info"]["measure"] == FASTER else median(entry) <= bound


def target(info):
    measure, bound, contender = info["measure"], info["bound"], info["contender"]
    if measure == FASTER:
        return f"≥ {bound:g}x faster than {contender}" if bound != 1 else f"faster than {contender}"
    if measure == SLOWER:
        return f"≤ {bound:g}x the time of {contender}"
    if measure == ADDED:
        return f"≤ {duration(bound)} more than {contender}"
    return f"≤ {duration(bound)}" if measure == SECONDS else f"≤ {bound:g} {info['unit']}"


def grouped(entries, key):
    groups = {}
    for entry in entries:
        groups.setdefault(key(entry["extra_info"]), []).append(entry)
    return groups


def targets_table(entries):
    """One row per case and target; of adversarial inputs and of errors only the worst."""
    lines = ["| case | target | measured: median (quartiles of the paired rounds) | met |", "|---|---|---|---|"]
    with_target = [entry for entry in entries if entry["extra_info"]["bound"] is not None]
    for (case, wanted), group in grouped(with_target, lambda info: (info["case"], target(info))).items():
        if group[0]["extra_info"]["worst"]:
            group = [max(group, key=median)]
        figures = [entry for entry in group if "skipped" not in entry["extra_info"]]
        met = "-" if not figures else "yes" if all(map(is_met, figures)) else "**no**"
        lines.append(f"| {case} | {wanted} | {'; '.join(map(described, group))} | {met} |")
    return lines


def peers_table(entries):
    """Every contender on the most usual data; an asterisk marks another definition."""
    lines = ["| case | cshortfall | times faster than | times the time of |", "|---|---|---|---|"]
    notes = {}
    paired = [
        entry
        for entry in entries
        if entry["extra_info"]["data"] in REPRESENTATIVE
        and entry["extra_info"]["measure"] in (FASTER, SLOWER)
        and ("subject_seconds" in entry["extra_info"] or "skipped" in entry["extra_info"])
    ]
    for case, group in grouped(paired, lambda info: info["case"]).items():
        seconds = [t for entry in group for t in entry["extra_info"].get("subject_seconds", ())]
        ours = duration(statistics.median(seconds)) if seconds else ""
        cells = {FASTER: [], SLOWER: []}
        for entry in group:
            info = entry["extra_info"]
            if "skipped" in info:
                cells[info["measure"]].append(f"{info['contender']} (not measured, {info['skipped']})")
                continue
            mark = "\\*" if info["note"] else ""
            cells[info["measure"]].append(f"{info['contender']}{mark} {number(statistics.median(ratios(entry)))}")
            if info["note"]:
                notes.setdefault(info["note"], {})[info["contender"]] = True
        lines.append(f"| {case} | {ours} | {', '.join(cells[FASTER])} | {', '.join(cells[SLOWER])} |")
    for note, contenders in notes.items():
        lines += ["", f"\\* {', '.join(contenders)}: {note}."]
    return lines


def machine(run):
    """Processor, instruction set, threads and versions that the figures belong to."""
    info = run["machine_info"]
    versions = ", ".join(f"{name} {version}" for name, version in info["versions"].items() if version)
    missing = ", ".join(name for name, version in info["versions"].items() if not version)
    cpu = info["cpu"].get("brand_raw") or info["processor"] or info["machine"]
    load = "" if info["load_average"] is None else f" (load {info['load_average']:.1f} at the start)"
    text = (
        f"{cpu}, {info['cores']} cores{load}, {info['system']}; "
        f"instruction set {info['isa']}, one thread unless said; "
        f"{info['python_implementation']} {info['python_version']}, {versions}."
    )
    return text + (f" Not installed: {missing}." if missing else "")


def tables(run):
    """The whole Markdown text of one run."""
    entries = [entry for entry in run["benchmarks"] if entry["extra_info"]]
    lines = [machine(run), "", *targets_table(entries)]
    return "\n".join([*lines, "", *peers_table(entries)]) + "\n"


def put_between_markers(path, text):
    """Replace what stands between the marker lines of `path`."""
    page = path.read_text(encoding="utf-8")
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise SystemExit(f"{path}: needs one line {BEGIN} and one line {END}")
    head, _, rest = page.partition(BEGIN)
    path.write_text(f"{head}{BEGIN}\n{text}{END}{rest.partition(END)[2]}", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=pathlib.Path, help="what pytest --benchmark-json wrote")
    parser.add_argument("--into", type=pathlib.Path, help=f"file with the lines {BEGIN} and {END}")
    arguments = parser.parse_args()
    text = tables(json.loads(arguments.run.read_text(encoding="utf-8")))
    if arguments.into:
        put_between_markers(arguments.into, text)
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
