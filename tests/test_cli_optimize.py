"""The command optimize: what it prints, its page, its exit codes."""

import contextlib
import itertools
import os
import re
import signal
import subprocess
import sys
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

for module in ("typer", "rich", "pyarrow"):
    pytest.importorskip(module)

from command_line import POSIX, json_of, on_terminal  # noqa: E402

import cshortfall  # noqa: E402
from cshortfall.datasets import load_equity_returns  # noqa: E402
from cshortfall.decompose import component_es  # noqa: E402
from cshortfall.optimize import ESLimit, frontier, maximize_ratio, maximize_return, minimize_es, rebalance  # noqa: E402

pytestmark = pytest.mark.usefixtures("plain_terminal")

DATES, NAMES, RETURNS = load_equity_returns()
LABELS = [str(date) for date in DATES]
NAMES, RETURNS = NAMES[:6], RETURNS[:, :6]
SIX = [item for name in NAMES for item in ("--column", name)]
ISSUE = ["--level", "0.975", "--long-only", "--max-weight", "0.3", "--return-target", "0.0009"]


@pytest.fixture
def optimise(call):
    """Optimise the six shares; return what the JSON says."""

    def run(*arguments):
        code, output, errors = call("optimize", *SIX, *arguments, "--json")
        assert (code, errors) == (0, [])
        return json_of(output)

    return run


def weights_of(result):
    return np.array(list(result["weights"].values()))


class TestAnswers:
    def test_the_portfolio_is_that_of_minimize_es(self, optimise):
        result = optimise(*ISSUE)
        expected = minimize_es(RETURNS, 0.975, bounds=(0, 0.3), return_target=0.0009)
        np.testing.assert_allclose(weights_of(result), expected.weights, atol=1e-9)
        assert list(result["weights"]) == list(NAMES)
        assert result["es"] == pytest.approx(cshortfall.es(RETURNS @ weights_of(result), 0.975), rel=1e-12)
        assert result["var"] == pytest.approx(expected.var, rel=1e-9)
        assert result["mean"] == pytest.approx(expected.mean, rel=1e-9)
        assert result["certificate"]["bound"] <= result["certificate"]["value"] * (1 + 1e-12)
        assert result["certificate"]["gap"] <= 1e-8
        assert result["duals"]["return_target"] == pytest.approx(expected.duals["return_target"], rel=1e-6)

    def test_contributions_are_those_of_the_decomposition_and_sum_to_es(self, optimise):
        result = optimise(*ISSUE)
        components = dict(zip(NAMES, component_es(RETURNS, weights_of(result)), strict=True))
        for holding in result["holdings"]:
            assert holding["es"] == pytest.approx(components[holding["name"]], rel=1e-12)
        assert sum(holding["es"] for holding in result["holdings"]) == pytest.approx(result["es"], rel=1e-9)
        assert sum(holding["share"] for holding in result["holdings"]) == pytest.approx(1)

    def test_the_worst_rows_are_those_of_the_portfolio(self, optimise):
        result = optimise(*ISSUE)
        outcomes = RETURNS @ weights_of(result)
        order = np.argsort(outcomes, kind="stable")[:10]
        assert [one["label"] for one in result["worst"]] == [LABELS[row] for row in order]
        np.testing.assert_allclose([one["outcome"] for one in result["worst"]], outcomes[order], rtol=1e-9)

    def test_the_frontier_has_as_many_points_as_were_asked_for(self, optimise):
        result = optimise("--max-weight", "0.3", "--frontier", "5")
        curve = frontier(RETURNS, 0.975, 5, bounds=(0, 0.3))
        np.testing.assert_allclose([point["mean"] for point in result["frontier"]], curve.mean, rtol=1e-9)
        np.testing.assert_allclose([point["es"] for point in result["frontier"]], curve.es, rtol=1e-8)
        assert list(result["frontier"][0]["weights"]) == list(NAMES)

    @pytest.mark.parametrize(
        ("options", "solve"),
        [
            (["--objective", "max-ratio"], lambda: maximize_ratio(RETURNS)),
            (
                ["-o", "max-return", "--es-limit", "0.05", "--es-limit", "0.063@0.99"],
                lambda: maximize_return(RETURNS, [ESLimit(0.05, 0.975), ESLimit(0.063, 0.99)]),
            ),
            (["--level", "0.9", "--mean-weight", "2"], lambda: minimize_es(RETURNS, 0.9, mean_weight=2)),
            (["--long-short", "--max-weight", "0.4"], lambda: minimize_es(RETURNS, bounds=(-0.4, 0.4))),
            (
                ["--long-short", "--gross", "1.5", "--max-weight", "1"],
                lambda: minimize_es(RETURNS, bounds=(-1, 1), gross=1.5),
            ),
            (["--min-weight", "0.1"], lambda: minimize_es(RETURNS, bounds=(0.1, None))),
            (["--budget", "2"], lambda: minimize_es(RETURNS, budget=2)),
            (
                ["--group", "tech=AAPL, AMD:0.3:.5", "--group", "rest=BAC,CVX::0.3"],
                lambda: minimize_es(RETURNS, groups={"t": ([0, 1], 0.3, 0.5), "r": ([2, 4], None, 0.3)}),
            ),
            (
                ["--current", "AAPL=.5,AMD=.5", "--turnover", "0.4", "--costs", "0.001"],
                lambda: rebalance(RETURNS, [0.5, 0.5, 0, 0, 0, 0], turnover=0.4, costs=0.001),
            ),
            (["--cardinality", "2"], lambda: minimize_es(RETURNS, cardinality=2)),
            (["--lot-size", "0.25"], lambda: minimize_es(RETURNS, lot_size=0.25)),
        ],
        ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
    )
    def test_options_mean_what_the_keywords_of_the_library_mean(self, optimise, options, solve):
        result, expected = optimise(*options), solve()
        assert abs(result["certificate"]["value"]) == pytest.approx(abs(expected.objective), rel=1e-7)
        assert result["es"] == pytest.approx(expected.es, rel=1e-6)
        assert result["costs"] == pytest.approx(expected.costs, abs=1e-12)

    def test_risk_parity_has_equal_contributions(self, optimise):
        result = optimise("--objective", "risk-parity")
        assert [holding["share"] for holding in result["holdings"]] == pytest.approx([1 / 6] * 6, abs=1e-4)

    def test_rows_with_gaps_are_left_out_on_demand(self, call, tmp_path):
        frame = pd.DataFrame(RETURNS[:200], columns=NAMES)
        frame.loc[[3, 60], "AMD"] = np.nan
        frame.to_csv(tmp_path / "gaps.csv", index=False)
        code, _, errors = call("optimize", "gaps.csv")
        assert code == 2
        assert errors == [
            "cshortfall: error: gaps.csv: row 4, column AMD: missing value; --nan omit leaves missing values out"
        ]
        result = json_of(call("optimize", "gaps.csv", "--nan", "omit", "--json")[1])
        assert (result["missing"], result["n_rows"]) == (2, 198)
        assert result["es"] == pytest.approx(minimize_es(frame.dropna()).es, rel=1e-9)
        outcomes = RETURNS[:200] @ weights_of(result)
        outcomes[[3, 60]] = np.inf
        assert result["worst"][0]["label"] == str(outcomes.argmin() + 1)

    def test_prices_and_observation_weights_are_read_as_by_report(self, call, tmp_path):
        weights = np.linspace(0.5, 1, 200)
        frame = pd.DataFrame(np.cumprod(1 + RETURNS[:200], axis=0), columns=NAMES).assign(age=weights)
        frame.to_csv(tmp_path / "prices.csv", index=False)
        code, output, _ = call("optimize", "prices.csv", "--prices", "--weights", "age", "--json")
        result = json_of(output)
        assert code == 0
        assert list(result["weights"]) == list(NAMES)
        assert result["es"] == pytest.approx(minimize_es(RETURNS[1:200], probabilities=weights[1:]).es, rel=1e-7)

    def test_numbers_that_look_like_prices_are_used_as_they_are_but_not_in_silence(self, call, tmp_path):
        frame = pd.DataFrame(np.cumprod(1 + RETURNS[:200], axis=0), columns=NAMES)
        frame.to_csv(tmp_path / "prices.csv", index=False)
        code, output, errors = call("optimize", "prices.csv", "--json")
        assert (code, len(errors)) == (0, 1)
        assert "if they are prices, say --prices" in errors[0]
        assert json_of(output)["es"] == pytest.approx(minimize_es(frame).es, rel=1e-9)


class TestTables:
    def test_it_prints_figures_weights_duals_worst_days_and_frontier(self, call):
        code, output, errors = call("optimize", *SIX, *ISSUE, "--frontier", "4")
        assert (code, errors) == (0, [])
        assert output.startswith("Portfolio of least ES of 20 US shares, daily returns (embedded data)\n")
        result = minimize_es(RETURNS, bounds=(0, 0.3), return_target=0.0009)
        assert f"loses {100 * result.es:.2f} % on average" in output
        for text in ("Certified: ES of", "Weights and their contributions", "return_target", "The ten worst days"):
            assert text in output
        assert "Efficient frontier" in output
        assert max(map(len, output.splitlines())) <= 100
        assert not any(line.endswith(" ") for line in output.splitlines())

    def test_on_a_terminal_it_is_the_same(self, tmp_path):
        pytest.importorskip("pty")
        code, output = on_terminal("optimize", *SIX, *ISSUE, cwd=tmp_path)
        assert code == 0
        assert "Certified: ES of" in output

    def test_a_portfolio_of_nothing_has_no_tables_of_assets(self, call):
        pytest.importorskip("jinja2")
        pytest.importorskip("matplotlib")
        code, output, errors = call("optimize", *SIX, "--budget", "0", "--html", "out.html")
        assert (code, errors) == (0, [])
        assert "loses 0.00 % on average" in output
        assert "contribution" not in output

    def test_without_constraints_that_bind_there_is_no_table_of_them(self, call):
        assert "binds" not in call("optimize", *SIX, "--cardinality", "2")[1]


class _Page(HTMLParser):
    """The tags of a page, each closed, and what it loads from elsewhere."""

    VOID = ("meta", "br", "link", "img")

    def __init__(self, content):
        super().__init__()
        self.open, self.texts, self.ids, self.loaded = [], [], [], []
        self.feed(content)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "xlink:href") and not value.startswith("#"):
                self.loaded.append(value)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


class TestPage:
    @pytest.fixture(autouse=True)
    def needs_the_extra(self):
        pytest.importorskip("jinja2")
        pytest.importorskip("matplotlib")

    def page(self, call, tmp_path, *arguments):
        code, _, errors = call("optimize", *SIX, *arguments, "--html", "out.html")
        assert (code, errors) == (0, [])
        return (tmp_path / "out.html").read_text("utf-8")

    def test_it_stands_alone(self, call, tmp_path):
        content = self.page(call, tmp_path, *ISSUE, "--frontier", "5")
        page = _Page(content)
        assert page.loaded == []
        assert "http" not in re.sub(
            r'xmlns(:\w+)?="[^"]*"|<!DOCTYPE[^>]*>|<rdf:RDF.*?</rdf:RDF>', "", content, flags=re.S
        )
        assert len(page.ids) == len(set(page.ids))
        held = frontier(RETURNS, 0.975, 5, bounds=(0, 0.3), return_target=0.0009).weights.any(axis=0)
        assert held.sum() > 2
        for name in itertools.compress(NAMES, held.tolist()):
            assert name in page.texts

    def test_its_charts_are_well_formed_and_take_their_colours_from_the_page(self, call, tmp_path):
        content = self.page(call, tmp_path, "--long-short", "--max-weight", "0.4", "--frontier", "4")
        charts = re.findall(r"<svg.*?</svg>", content, flags=re.S)
        assert len(charts) == 3
        for chart in charts:
            ElementTree.fromstring(chart)
            assert "var(--ink)" in chart
            assert "#0" not in re.sub(r"(id=|href=|url\()\S*", "", chart)

    def test_without_a_frontier_there_is_one_chart(self, call, tmp_path):
        assert self.page(call, tmp_path).count("<svg") == 1

    def test_the_same_data_give_the_same_page(self, call, tmp_path):
        pages = [re.sub(r"[\d.e-]+ s<", "", self.page(call, tmp_path, "--frontier", "3")) for _ in range(2)]
        assert pages[0] == pages[1]

    def test_names_are_printed_as_they_are(self, call, tmp_path):
        names = ["<b>x</b>", "$a_b$", "R&D"]
        pd.DataFrame(RETURNS[:300, :3], columns=names).to_csv("names.csv", index=False)
        code, _, errors = call("optimize", "names.csv", "--min-weight", "0.1", "--frontier", "3", "--html", "out.html")
        assert (code, errors) == (0, [])
        content = (tmp_path / "out.html").read_text("utf-8")
        page = _Page(content)
        for name in names:
            assert name in page.texts
        assert "<b>" not in content

    def test_a_missing_extra_is_named_before_any_work(self, tmp_path):
        code = "import sys; sys.modules['jinja2'] = None; from cshortfall.cli import run; sys.exit(run(sys.argv[1:]))"
        process = subprocess.run(
            [sys.executable, "-c", code, "optimize", "missing.csv", "--html", "out.html"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.returncode == 2
        assert "pip install 'cshortfall[html]'" in process.stderr

    def test_a_folder_that_is_not_there_is_said_before_any_work(self, call):
        code, output, errors = call("optimize", "missing.csv", "--html", "nowhere/out.html")
        assert (code, output) == (1, "")
        assert errors == ["cshortfall: error: cannot write nowhere/out.html: No such file or directory"]


MISTAKES = [
    (["--max-weight", "0.3", "--min-weight", "0.4"], ["--max-weight 0.3 is below"]),
    (["--long-only", "--min-weight", "-0.1"], ["--min-weight -0.1 does not go with --long-only"]),
    (["--max-weight", "nan"], ["--max-weight"]),
    (["--lot-size", "1e-9"], ["--lot-size must be 0 or at least 1e-08"]),
    (["--objective", "max-return"], ["--objective max-return needs --es-limit"]),
    (["--objective", "best"], ["--objective", "best", "min-es"]),
    (["--objective", "max-ratio", "--cardinality", "2"], ["--cardinality does not go with --objective max-ratio"]),
    (["--objective", "max-ratio", "--mean-weight", "2"], ["--mean-weight does not go with"]),
    (["--objective", "risk-parity", "--gross", "1"], ["risk-parity", "--gross"]),
    (["--objective", "risk-parity", "--max-weight", "1"], ["risk-parity", "--max-weight"]),
    (["--group", "tech"], ["--group: 'tech' is not of the form"]),
    (["--group", "x=AAPL:0:a"], ["--group: 'a', a limit of x"]),
    (["--group", "x=NOPE:0:1"], ["--group 'x'", "NOPE"]),
    (["--group", "x=AAPL:0:1", "--group", "x=AMD:0:1"], ["x is named twice"]),
    (["--group", "x=AAPL:.5:.4"], ["group x", "above"]),
    (["--es-limit", "low"], ["--es-limit: 'low'"]),
    (["--es-limit", "0.03@99"], ["--es-limit: ", "0.99"]),
    (["--current", "AAPL"], ["--current: 'AAPL'"]),
    (["--current", "NOPE=1", "--turnover", "1"], ["--current", "NOPE"]),
    (["--turnover", "0.2"], ["--turnover needs", "--current"]),
    (["--turnover", "-1", "--current", "cash"], ["--turnover must not be negative"]),
    (["--cardinality", "0"], ["--cardinality must be at least 1"]),
    (["--frontier", "1"], ["--frontier"]),
    (["--tol", "0"], ["--tol must be positive"]),
    (["--time-limit", "0"], ["--time-limit must be positive"]),
    (["--return-target", "nan"], ["--return-target"]),
    (["--level", "95"], ["--level", "0.95"]),
    (["--prices"], ["--prices needs a FILE"]),
    (["missing.csv"], ["missing.csv: No such file"]),
]


class TestErrors:
    def test_what_is_wrong_with_the_returns_names_the_file(self, call, tmp_path):
        (tmp_path / "tiny.csv").write_text("A,B\n1e-320,-1e-320\n-2e-320,1e-320\n3e-320,-4e-320\n")
        code, output, errors = call("optimize", "tiny.csv")
        assert (code, output, len(errors)) == (2, "", 1)
        assert errors[0].startswith("cshortfall: error: tiny.csv: the returns are near")

    def test_a_doubtful_level_is_doubted_in_one_line(self, call):
        code, _, errors = call("optimize", *SIX, "--level", "0.05")
        assert (code, len(errors)) == (0, 1)
        assert "use level=0.95" in errors[0]

    @pytest.mark.parametrize(("arguments", "pieces"), MISTAKES, ids=lambda value: " ".join(value)[:40])
    def test_bad_input_ends_with_one_line_and_exit_code_2(self, call, arguments, pieces):
        code, output, errors = call("optimize", *SIX, *arguments)
        assert (code, output, len(errors)) == (2, "", 1)
        for piece in pieces:
            assert piece in errors[0]

    @pytest.mark.parametrize(
        ("arguments", "pieces"),
        [
            (["--max-weight", "0.1"], ["no weights satisfy", "budget", "upper bound of AAPL"]),
            (["--return-target", "0.01"], ["no weights satisfy", "return_target"]),
            (["--es-limit", "0.001"], ["--es-limit 0.001"]),
            (["--long-short", "--frontier", "3"], ["bound the weights"]),
            (["--time-limit", "1e-9"], ["time limit"]),
        ],
        ids=lambda value: " ".join(value)[:30],
    )
    def test_no_optimum_ends_with_one_line_and_exit_code_3(self, call, arguments, pieces):
        code, output, errors = call("optimize", *SIX, *arguments)
        assert (code, output, len(errors)) == (3, "", 1)
        assert errors[0].startswith("cshortfall: error: ")
        for piece in pieces:
            assert piece in errors[0]

    @POSIX
    def test_a_terminal_sees_progress_of_long_work_which_an_interrupt_ends_with_130(self, tmp_path):
        import pty

        rng = np.random.default_rng(1)
        frame = pd.DataFrame(0.01 * rng.standard_t(4, (40_000, 40)), columns=[f"a{i}" for i in range(40)])
        frame.to_parquet(tmp_path / "large.parquet")
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "cshortfall", "optimize", "large.parquet", "--cardinality", "7"]
        process = subprocess.Popen(
            [*command, "--frontier", "100"],
            stdout=subprocess.PIPE,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "200"},
            cwd=tmp_path,
        )
        os.close(theirs)
        try:
            shown = b""
            while b"gap" not in shown:
                shown += os.read(ours, 1 << 16)
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(OSError):
                while part := os.read(ours, 1 << 16):
                    shown += part
            output, _ = process.communicate(timeout=60)
        finally:
            process.kill()
            os.close(ours)
        assert (process.returncode, output) == (130, b"")
        assert b"Traceback" not in shown
