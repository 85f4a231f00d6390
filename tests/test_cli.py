import contextlib
import gzip
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

for module in ("typer", "rich", "pyarrow"):
    pytest.importorskip(module)

from command_line import POSIX, json_of, start  # noqa: E402

import cshortfall  # noqa: E402
from cshortfall import _commands  # noqa: E402
from cshortfall._core.tail import available_isas  # noqa: E402
from cshortfall.datasets import load_equity_returns  # noqa: E402
from cshortfall.report import as_dict, risk_report  # noqa: E402

pytestmark = pytest.mark.usefixtures("plain_terminal")

DATES, NAMES, RETURNS = load_equity_returns()
LABELS = [str(date) for date in DATES]


@pytest.fixture
def returns_file(tmp_path):
    path = tmp_path / "returns.csv"
    frame = pd.DataFrame(RETURNS[:300, :3], index=pd.Index(LABELS[:300], name="Date"), columns=NAMES[:3])
    frame.assign(age=np.linspace(0.5, 1.0, 300), sector="x").to_csv(path)
    return path


QUICK = ("--method", "historical")
THREE = [item for name in NAMES[:3] for item in ("--column", name)]


class TestReport:
    def test_without_arguments_it_reports_on_the_embedded_data(self, tmp_path):
        process = start(cwd=tmp_path)
        output, errors = process.communicate(timeout=120)
        assert (process.returncode, errors) == (0, "")
        assert output.startswith("Tail risk of 20 US shares, daily returns (embedded data)")
        for text in ("historical", "normal", "Student t", "Cornish–Fisher", "kernel", "95 %", "97.5 %", "99 %"):
            assert text in output
        for text in ("2020-03-16", "What adds up to", "The ten worst days", "The assets", *NAMES):
            assert text in output
        assert max(map(len, output.splitlines())) <= 100
        assert not any(line.endswith(" ") for line in output.splitlines())

    def test_report_is_the_default_command(self, call, returns_file):
        named = call("report", str(returns_file), *THREE, *QUICK)
        assert call(str(returns_file), *THREE, *QUICK) == named
        assert call(*THREE, *QUICK, str(returns_file)) == named
        assert named[0] == 0

    def test_the_figures_are_those_of_the_report(self, call):
        result = risk_report(RETURNS[:, :3], NAMES[:3], labels=LABELS, methods=["historical"])
        _, output, _ = call(*THREE, *QUICK)
        risk = result.portfolio.estimate("historical", 0.975)
        assert f"lost {100 * risk.es:.2f} % on average" in output
        assert f"{100 * risk.es_interval[0]:.2f} – {100 * risk.es_interval[1]:.2f}" in output
        for worst in result.worst:
            assert re.search(rf"{worst.label} +{100 * worst.outcome:.2f} ", output)

    def test_full_prints_every_estimate_of_every_asset(self, call):
        _, short, _ = call(*THREE, *QUICK)
        _, full, _ = call(*THREE, *QUICK, "--full")
        assert full.startswith(short[: short.index("VaR and ES are losses")])
        assert full.count("Estimator") == short.count("Estimator") + 3

    def test_one_asset_is_not_called_a_portfolio(self, call):
        _, output, _ = call("--column", "AAPL", *QUICK)
        assert "AAPL lost" in output
        assert "ortfolio" not in output

    def test_numbers_of_a_file_are_shown_as_they_are(self, call, tmp_path):
        (tmp_path / "pnl.csv").write_text("A,B\n" + "1200000,-5\n-3400000.5,7\n" * 20)
        code, output, _ = call("pnl.csv", *QUICK)
        assert code == 0
        assert "3,400,0" in output
        assert "%:" not in output
        assert "in %" not in output
        assert "in %" in call("pnl.csv", *QUICK, "--percent")[1]

    @pytest.mark.parametrize("options", [[], ["--full", "--percent"], ["--portfolio", "A=1e308,B=1e308"]])
    @pytest.mark.parametrize("size", [3e307, 1e-322])
    def test_numbers_at_the_ends_of_the_doubles_end_in_a_report_or_one_line(self, call, tmp_path, size, options):
        path = tmp_path / "extreme.csv"
        pd.DataFrame({"A": [size, -size, size] * 9, "B": [-size, size, size] * 9}).to_csv(path, index=False)
        code, output, errors = call(str(path), *options, *QUICK)
        assert (code == 0 and "historical" in output) or (code == 2 and len(errors) == 1)

    @pytest.mark.parametrize("width", [80, 100, 160])
    def test_tables_fit_the_terminal(self, call, monkeypatch, width):
        monkeypatch.setenv("COLUMNS", str(width))
        _, output, _ = call(*THREE)
        assert max(map(len, output.splitlines())) <= width

    def test_on_a_narrow_terminal_no_number_is_cut_off(self, call, monkeypatch):
        monkeypatch.setenv("COLUMNS", "40")
        assert "…" not in call(*THREE)[1]

    def test_names_are_printed_as_they_are(self, call, tmp_path):
        (tmp_path / "names.csv").write_text("[red]x[/red],:smile:\n" + "1,-2\n-1,2\n" * 10)
        _, output, _ = call("names.csv", *QUICK)
        assert "[red]x[/red]" in output
        assert ":smile:" in output

    def test_output_without_unicode_is_ascii(self, returns_file):
        process = start(str(returns_file), env={**os.environ, "PYTHONIOENCODING": "ascii"}, cwd=returns_file.parent)
        output, errors = process.communicate(timeout=120)
        assert (process.returncode, errors) == (0, "")
        assert "?" not in output
        assert "Cornish-Fisher" in output

    def test_a_failed_estimate_is_a_dash_with_a_footnote(self, call, tmp_path):
        heavy = np.tan(np.pi * (np.arange(1, 40) / 40 - 0.5)) ** 3
        np.savetxt(tmp_path / "heavy.csv", heavy, header="A", comments="")
        code, output, errors = call("heavy.csv", "--method", "student_t")
        assert (code, errors) == (0, [])
        assert "—¹" in output
        assert "\n¹ method='student_t'" in output

    def test_footnotes_that_differ_in_figures_only_are_one(self, call):
        _, output, _ = call(*THREE, "--method", "cornish_fisher")
        assert "more of this kind" in output
        assert "³" not in output


class TestOptions:
    def test_columns_levels_and_methods_are_chosen(self, call, returns_file):
        _, output, _ = call(str(returns_file), "-c", "AMD", "-l", "0.9", "-l", "0.8", "-m", "normal", "--json")
        result = json_of(output)
        assert [asset["name"] for asset in result["assets"]] == ["AMD"]
        assert result["levels"] == [0.9, 0.8]
        assert result["methods"] == ["normal"]

    def test_the_upper_tail_reads_losses(self, call, returns_file, tmp_path):
        frame = pd.read_csv(returns_file, index_col="Date")[list(NAMES[:3])]
        (-frame).to_csv(tmp_path / "losses.csv")
        gains = json_of(call(str(returns_file), *THREE, *QUICK, "--json")[1])
        losses = json_of(call("losses.csv", *THREE, *QUICK, "--json", "--tail", "upper")[1])
        assert losses["portfolio"] == gains["portfolio"]

    def test_weights_are_of_the_observations(self, call, returns_file):
        weights = np.round(np.linspace(0.5, 1.0, 300), 17)
        expected = risk_report(RETURNS[:300, :3], NAMES[:3], weights=weights, methods=["historical"])
        result = json_of(call(str(returns_file), "--weights", "age", *QUICK, "--json")[1])
        assert [asset["name"] for asset in result["assets"]] == list(NAMES[:3])
        assert result["portfolio"]["estimates"][0]["es"] == pytest.approx(expected.portfolio.estimates[0].es)
        assert result["weighted"]

    def test_a_portfolio_names_its_assets(self, call, returns_file):
        result = json_of(call(str(returns_file), "--portfolio", "BAC=.6, AAPL=-.4", *QUICK, "--json")[1])
        assert [(part["name"], part["weight"]) for part in result["contributions"]] == [("BAC", 0.6), ("AAPL", -0.4)]
        assert [asset["name"] for asset in result["assets"]] == ["BAC", "AAPL"]

    def test_a_portfolio_in_per_cent_is_doubted(self, call):
        code, _, errors = call("--portfolio", "AAPL=60,AMD=40", *QUICK)
        assert code == 0
        assert errors == ["cshortfall: warning: the holdings sum to 100; 60 % is written 0.6"]

    def test_prices_become_returns(self, call, returns_file, tmp_path):
        frame = pd.read_csv(returns_file, index_col="Date")[list(NAMES[:3])]
        prices = (1.0 + frame).cumprod() * 100.0
        pd.concat([pd.DataFrame(100.0, index=["2009-12-31"], columns=prices.columns), prices]).to_csv("prices.csv")
        of_prices = json_of(call("prices.csv", "--prices", *QUICK, "--json")[1])
        of_returns = json_of(call(str(returns_file), *THREE, *QUICK, "--json")[1])
        assert of_prices["first_label"] == of_returns["first_label"] == LABELS[0]
        for one, other in zip(of_prices["assets"], of_returns["assets"], strict=True):
            assert one["estimates"][0]["es"] == pytest.approx(other["estimates"][0]["es"])
        assert of_prices["worst"][0]["row"] == of_returns["worst"][0]["row"] + 1

    def test_missing_values_are_left_out_on_demand(self, call, tmp_path):
        frame = pd.DataFrame(RETURNS[:50, :2].copy(), columns=["A", "B"])
        frame.loc[3, "B"] = np.nan
        frame.to_csv(tmp_path / "gaps.csv", index=False)
        result = json_of(call("gaps.csv", "--nan", "omit", *QUICK, "--json")[1])
        assert [asset["n"] for asset in result["assets"]] == [50, 49]
        assert result["portfolio"]["missing"] == 1
        assert "1 left out of the portfolio" in call("gaps.csv", "--nan", "omit", *QUICK)[1]

    def test_a_file_without_names_is_read_on_demand(self, call, tmp_path):
        (tmp_path / "plain.csv").write_text("0.5\n-0.25\n0.125\n")
        result = json_of(call("plain.csv", "--no-header", *QUICK, "--json")[1])
        assert (result["n_rows"], result["portfolio"]["n"]) == (3, 3)

    def test_standard_input_is_a_file(self, call, returns_file, monkeypatch):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(returns_file.read_bytes())))
        code, output, _ = call("-", *THREE, *QUICK)
        assert code == 0
        assert output.startswith("Tail risk of standard input\n")

    def test_csv_gzip_and_parquet_give_the_same_report(self, call, returns_file, tmp_path):
        pd.read_csv(returns_file, index_col="Date").to_parquet(tmp_path / "returns.parquet")
        (tmp_path / "returns.csv.gz").write_bytes(gzip.compress(returns_file.read_bytes()))
        results = [
            json_of(call(name, *QUICK, "--json")[1]) for name in ("returns.csv", "returns.csv.gz", "returns.parquet")
        ]
        assert [result.pop("source") for result in results] == ["returns.csv", "returns.csv.gz", "returns.parquet"]
        assert results[0] == results[1] == results[2]
        assert results[0]["left_out"] == {"sector": "text"}


class TestJson:
    def test_it_holds_the_whole_report(self, call):
        code, output, errors = call(*THREE, "--json")
        result = json_of(output)
        expected = json.loads(json.dumps(as_dict(risk_report(RETURNS[:, :3], NAMES[:3], labels=LABELS))))
        assert (code, errors) == (0, [])
        assert {key: result[key] for key in expected} == expected
        assert set(result) - set(expected) == {"cshortfall", "source", "left_out"}

    def test_what_is_not_finite_is_null_with_a_reason(self, call, tmp_path):
        (tmp_path / "crash.csv").write_text("A,B\n" + "0.5,0.25\n-0.5,0.125\n" * 10 + "-inf,0.5\n")
        code, output, _ = call("crash.csv", *QUICK, "--json")
        assert code == 0
        estimate = json_of(output)["assets"][0]["estimates"][0]
        assert (estimate["es"], estimate["es_reason"]) == (None, "infinite")


FILES = {
    "empty.csv": "",
    "names.csv": "A,B\n",
    "text.csv": "A,B\nx,y\n",
    "one.csv": "A,B\n1,2\n",
    "two.csv": "A\n1\n2\n",
    "ragged.csv": "A,B\n1,2\n3\n",
    "plain.csv": "1,2\n3,4\n",
    "cell.csv": "Date,A\n2020-01-01,1\n2020-01-02,x\n",
    "gap.csv": "Date,A\n2020-01-01,1\n2020-01-02,\n2020-01-03,2\n",
    "zero.csv": "Date,A\n2020-01-01,1\n2020-01-02,0\n2020-01-03,2\n",
    "negative.csv": "Date,A\n2020-01-01,1\n2020-01-02,-2.5\n2020-01-03,2\n",
    "backward.csv": "Date,A\n2020-01-03,1\n2020-01-02,2\n2020-01-01,3\n",
    "weights.csv": "A,bad,none,gap\n1,1,0,1\n2,-1,0,\n3,1,0,1\n",
    "good.csv": "A,B\n1,2\n3,4\n-1,-2\n",
}

MISTAKES = [
    (["missing.csv"], ["missing.csv: No such file"]),
    (["reprot"], ["reprot: No such file", "did you mean report?"]),
    (["backtest"], ["nor a command (optimize, report, rolling, stream, sketch)"]),
    (["."], [": "]),
    (["empty.csv"], ["empty.csv: the file is empty"]),
    (["names.csv"], ["names.csv: no rows"]),
    (["text.csv"], ["text.csv: no column of numbers", "B holds text"]),
    (["binary"], ["binary: binary data"]),
    (["one.csv"], ["one.csv: 1 row of data: at least 2"]),
    (["two.csv", "--prices"], ["two.csv: 2 rows of prices: at least 3"]),
    (["ragged.csv"], ["ragged.csv: row 2 has 1 cells"]),
    (["plain.csv"], ["plain.csv:", "--no-header"]),
    (["cell.csv"], ["cell.csv: row 2 (2020-01-02), column A: 'x' is not a number", "--column"]),
    (["gap.csv"], ["gap.csv: row 2 (2020-01-02), column A: missing value; --nan omit"]),
    (["gap.csv", "--prices"], ["gap.csv: row 2 (2020-01-02), column A: missing value; --nan omit"]),
    (["zero.csv", "--prices"], ["zero.csv: row 2 (2020-01-02), column A: price 0 is not"]),
    (["negative.csv", "--prices"], ["negative.csv: row 2 (2020-01-02), column A: price -2.5 is not"]),
    (["backward.csv", "--prices"], ["backward.csv: row 2 (2020-01-02) is earlier"]),
    (["weights.csv", "--weights", "bad", "-c", "A"], ["weights.csv: row 2, column bad: weight -1"]),
    (["weights.csv", "--weights", "none", "-c", "A"], ["weights.csv: column none: the weights sum to zero"]),
    (["weights.csv", "--weights", "gap", "-c", "A"], ["weights.csv: row 2, column gap: weight is missing"]),
    (["weights.csv", "--weights", "gapp"], ["weights.csv: no column gapp; did you mean gap?"]),
    (["good.csv", "--column", "C"], ["good.csv: no column C; columns: A, B"]),
    (["good.csv", "--portfolio", "C=1"], ["good.csv: no column C"]),
    (["good.csv", "--portfolio", "A"], ["--portfolio: 'A' is not of the form NAME=NUMBER"]),
    (["good.csv", "--portfolio", ""], ["--portfolio: '' is not of the form NAME=NUMBER"]),
    (["good.csv", "--portfolio", "A=much"], ["--portfolio: 'much', the holding of A, is not a number"]),
    (["good.csv", "--portfolio", "A=nan"], ["--portfolio: the holding nan of A is not finite"]),
    (["good.csv", "--portfolio", "A=1,A=2"], ["--portfolio: A is named twice"]),
    (["good.csv", "--portfolio", "A=0"], ["--portfolio: every holding is zero"]),
    (["good.csv", "--level", "95"], ["--level: level", "0.95"]),
    (["good.csv", "--level", "1"], ["--level: level"]),
    (["good.csv", "--level", "-0.5"], ["--level: level"]),
    (["good.csv", "--level", "nan"], ["--level: level"]),
    (["good.csv", "--level", "high"], ["--level: 'high' is not a number"]),
    (["good.csv", "--level", "0.9", "--level", "99"], ["--level: level", "0.99"]),
    (["good.csv", "--method", "magic"], ["--method", "magic", "historical"]),
    (["good.csv", "--tail", "left"], ["--tail", "left", "lower"]),
    (["good.csv", "--nan", "drop"], ["--nan", "drop", "omit"]),
    (["good.csv", "--jsn"], ["No such option", "--jsn", "--json"]),
    (["good.csv", "--column"], ["--column"]),
    (["good.csv", "zero.csv"], ["zero.csv"]),
    (["--column", "NOPE"], ["(embedded data): no column NOPE", "AAPL"]),
    (["--prices"], ["--prices needs a FILE"]),
    (["--weights", "AAPL"], ["--weights needs a FILE"]),
]


class TestBadInput:
    @pytest.fixture(autouse=True)
    def files(self, tmp_path):
        for name, content in FILES.items():
            (tmp_path / name).write_text(content)
        (tmp_path / "binary").write_bytes(bytes(range(256)) * 9)

    @pytest.mark.parametrize("form", [[], ["--json"]])
    @pytest.mark.parametrize(("arguments", "pieces"), MISTAKES, ids=lambda value: " ".join(value)[:40])
    def test_it_ends_with_one_line_and_exit_code_2(self, call, arguments, pieces, form):
        code, output, errors = call(*form, *arguments)
        assert (code, output, len(errors)) == (2, "", 1)
        assert errors[0].startswith("cshortfall: error: ")
        for piece in pieces:
            assert piece in errors[0]
        assert "Value error" not in errors[0]

    @POSIX
    def test_a_file_that_may_not_be_read_is_named(self, call, tmp_path):
        (tmp_path / "good.csv").chmod(0)
        if os.access(tmp_path / "good.csv", os.R_OK):
            pytest.skip("this user may read everything")
        assert call("good.csv") == (2, "", ["cshortfall: error: good.csv: Permission denied"])

    def test_a_level_that_looks_like_a_tail_mass_is_doubted_in_one_line(self, call):
        code, output, errors = call("good.csv", "--level", "0.05")
        assert code == 0
        assert output
        assert len(errors) == 1
        assert errors[0].startswith("cshortfall: warning: level=0.05")


class TestProcess:
    def test_version_and_help_go_to_standard_output(self, call):
        import cshortfall

        assert call("--version") == (0, f"cshortfall {cshortfall.__version__}\n", [])
        for arguments in (
            ["--help"],
            ["-h"],
            *([name, "--help"] for name in ("optimize", "report", "rolling", "stream", "sketch")),
        ):
            code, output, errors = call(*arguments)
            assert (code, errors) == (0, [])
            assert "Usage: cshortfall" in output

    @pytest.mark.parametrize(
        ("module", "arguments"), [("typer", []), ("rich", []), ("pyarrow", ["good.csv"]), ("pyarrow", ["stream"])]
    )
    def test_a_missing_extra_is_named(self, tmp_path, module, arguments):
        (tmp_path / "good.csv").write_text(FILES["good.csv"])
        code = (
            f"import sys; sys.modules[{module!r}] = None; from cshortfall.cli import run; sys.exit(run({arguments!r}))"
        )
        process = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert process.returncode == 2
        (line,) = process.stderr.splitlines()
        assert module in line
        assert "pip install 'cshortfall[cli]'" in line

    @pytest.mark.parametrize("form", ["module", "script"])
    @pytest.mark.parametrize("name", ["CSHORTFALL_ISA", "CSHORTFALL_NUM_THREADS"])
    def test_an_environment_that_keeps_the_package_from_loading_ends_in_one_line(self, tmp_path, name, form):
        script = tmp_path / "cshortfall"
        script.write_text("import sys\nfrom cshortfall.cli import main\nsys.exit(main())\n", encoding="utf-8")
        command = [sys.executable, *(["-m", "cshortfall"] if form == "module" else [str(script)]), "report"]
        environment = {**os.environ, "PYTHONPATH": str(Path(cshortfall.__file__).parents[1]), name: "abacus"}
        finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (finished.returncode, finished.stdout) == (2, "")
        assert re.fullmatch(f"cshortfall: error: {name} .*'abacus'.*\n", finished.stderr)
        if name == "CSHORTFALL_ISA":
            assert all(isa in finished.stderr for isa in available_isas())

    def test_nothing_else_loads_the_extra(self, tmp_path):
        code = "import sys, cshortfall.report; print({'typer', 'rich', 'pyarrow', 'pandas'} & set(sys.modules))"
        output = subprocess.check_output([sys.executable, "-c", code], cwd=tmp_path, text=True)
        assert output == "set()\n"

    @POSIX
    @pytest.mark.parametrize(
        ("command", "closed", "expected"),
        [
            (["stream"], "<&-", (2, "cshortfall: error: standard input: no numbers\n")),
            (["rolling", "-"], "<&-", (2, "cshortfall: error: standard input: the file is empty\n")),
            (["rolling", "-c", "AAPL"], ">&-", (0, "")),
            (["report", "-c", "AAPL", *QUICK], ">&-", (0, "")),
        ],
    )
    def test_a_standard_stream_that_is_closed_is_an_empty_one(self, tmp_path, command, closed, expected):
        line = shlex.join([sys.executable, "-m", "cshortfall", *command])
        process = subprocess.run(
            f"{line} {closed}", shell=True, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert (process.returncode, process.stderr) == expected

    @POSIX
    @pytest.mark.parametrize("form", [[], ["--json"]])
    def test_a_reader_that_leaves_early_is_no_error(self, tmp_path, form):
        reading, writing = os.pipe()
        os.close(reading)
        process = subprocess.Popen(
            [sys.executable, "-m", "cshortfall", *THREE, *QUICK, *form],
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        )
        os.close(writing)
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (1, "")

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a full device")
    def test_a_full_disk_is_said_in_one_line(self, tmp_path):
        with open("/dev/full", "w") as full:
            process = subprocess.run(
                [sys.executable, "-m", "cshortfall", *THREE, *QUICK],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                cwd=tmp_path,
                check=False,
            )
        assert process.returncode == 1
        (line,) = process.stderr.splitlines()
        assert line.startswith("cshortfall: error: cannot write: ")

    @POSIX
    def test_an_interrupt_ends_with_130_and_nothing_else(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        process = start("pipe", cwd=tmp_path)
        try:
            writer = self.opened_once_it_is_read(tmp_path / "pipe")
            # A signal that comes just before the read begins is noticed only when that ends: then another one.
            for _ in range(6):
                process.send_signal(signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(10)
                    break
            output, errors = process.communicate(timeout=60)
            os.close(writer)
        finally:
            process.kill()
        assert (process.returncode, output, errors.strip()) == (130, "", "")

    def opened_once_it_is_read(self, pipe):
        for _ in range(6000):
            with contextlib.suppress(OSError):
                return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            time.sleep(0.01)
        raise AssertionError("nobody reads the pipe")


class Terminal(io.StringIO):
    def isatty(self):
        return True


class TestProgress:
    @pytest.fixture(autouse=True)
    def capable_terminal(self, monkeypatch):
        monkeypatch.setenv("TERM", "xterm")

    def test_a_terminal_sees_a_bar_when_it_takes_long(self, call, monkeypatch):
        screen = Terminal()
        monkeypatch.setattr(sys, "stderr", screen)
        monkeypatch.setattr(_commands.report, "SECONDS_BEFORE_PROGRESS", 0.0)
        code, output, _ = call(*THREE, *QUICK)
        assert code == 0
        assert "━" in screen.getvalue()
        assert "\x1b" not in output

    def test_a_terminal_that_cannot_move_back_sees_none(self, call, monkeypatch):
        screen = Terminal()
        monkeypatch.setenv("TERM", "dumb")
        monkeypatch.setattr(sys, "stderr", screen)
        monkeypatch.setattr(_commands.report, "SECONDS_BEFORE_PROGRESS", 0.0)
        call(*THREE, *QUICK)
        assert screen.getvalue() == ""

    def test_quick_work_shows_none(self, call, monkeypatch):
        screen = Terminal()
        monkeypatch.setattr(sys, "stderr", screen)
        monkeypatch.setattr(_commands.report, "SECONDS_BEFORE_PROGRESS", 1e6)
        call(*THREE, *QUICK)
        assert screen.getvalue() == ""

    def test_a_file_sees_none(self, call, monkeypatch):
        monkeypatch.setattr(_commands.report, "SECONDS_BEFORE_PROGRESS", 0.0)
        _, _, errors = call(*THREE, *QUICK)
        assert errors == []
