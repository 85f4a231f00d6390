import csv
import io
import os

import numpy as np
import pandas as pd
import pytest

for module in ("typer", "rich", "pyarrow"):
    pytest.importorskip(module)

from command_line import POSIX, json_of, on_terminal, start  # noqa: E402

import cshortfall  # noqa: E402
from cshortfall.datasets import load_equity_returns  # noqa: E402

pytestmark = pytest.mark.usefixtures("plain_terminal")

DATES, NAMES, RETURNS = load_equity_returns()
LABELS = [str(date) for date in DATES]
N = 60


@pytest.fixture
def returns_file(tmp_path):
    """Return a file of two assets with dates."""
    path = tmp_path / "returns.csv"
    pd.DataFrame(RETURNS[:N, :2], index=pd.Index(LABELS[:N], name="Date"), columns=NAMES[:2]).to_csv(path)
    return path


def rows_of(output):
    """Read CSV: the header, the labels, the numbers with NaN for empty cells."""
    header, *rows = csv.reader(io.StringIO(output))
    numbers = [[float(cell or "nan") for cell in row[1:]] for row in rows]
    return header, [row[0] for row in rows], np.array(numbers)


def es_of_windows(x, windows, level=0.975, measure=cshortfall.es, least=1, **options):
    """Compute each window by itself, from the rows that it holds."""
    results = np.full((len(windows), x.shape[1]), np.nan)
    for row, window in enumerate(windows):
        for column in range(x.shape[1]):
            values = x[window, column]
            values = values[~np.isnan(values)]
            if values.size >= least:
                results[row, column] = measure(values, level, **options)
    return results


def last(width, n=N):
    return [slice(max(row + 1 - width, 0), row + 1) for row in range(n)]


class TestCsv:
    def test_every_row_has_the_bits_of_es_of_its_window(self, call, returns_file):
        code, output, errors = call("rolling", str(returns_file), "--window", "20")
        header, labels, numbers = rows_of(output)
        assert (code, errors, header) == (0, [], ["Date", *NAMES[:2]])
        assert labels == LABELS[:N]
        np.testing.assert_array_equal(numbers, es_of_windows(RETURNS[:N, :2], last(20), least=20))

    def test_the_window_is_250_rows_of_the_embedded_data_where_nothing_is_said(self, call):
        _, labels, numbers = rows_of(call("rolling", "-c", "AAPL")[1])
        x = RETURNS[:, [NAMES.index("AAPL")]]
        assert labels == LABELS
        assert np.isnan(numbers[:249]).all()
        np.testing.assert_array_equal(numbers[-5:], es_of_windows(x, last(250, len(x))[-5:]))

    def test_a_column_for_each_asset_level_and_measure(self, call, returns_file):
        arguments = ["rolling", str(returns_file), "-w", "20", "-l", "0.9", "-l", "0.975", "--var"]
        header, _, numbers = rows_of(call(*arguments)[1])
        expected_header, expected = ["Date"], []
        for column, name in enumerate(NAMES[:2]):
            for level in (0.9, 0.975):
                for measure in ("es", "var"):
                    expected_header.append(f"{name}_{measure}_{level}")
                    of_windows = getattr(cshortfall, measure)
                    expected.append(es_of_windows(RETURNS[:N, [column]], last(20), level, of_windows, least=20)[:, 0])
        assert header == expected_header
        np.testing.assert_array_equal(numbers, np.transpose(expected))
        assert rows_of(call(*arguments[:-1])[1])[0] == ["Date", *(f"{a}_{b}" for a in NAMES[:2] for b in (0.9, 0.975))]
        assert rows_of(call(*arguments[:4], "--var")[1])[0] == [
            "Date",
            *(f"{a}_{b}" for a in NAMES[:2] for b in ("es", "var")),
        ]

    def test_a_window_may_be_a_time(self, call, returns_file):
        _, _, numbers = rows_of(call("rolling", str(returns_file), "--window", "30D")[1])
        days = np.array(LABELS[:N], dtype="datetime64[D]")
        windows = [(days > day - 30) & (days <= day) for day in days]
        np.testing.assert_array_equal(numbers, es_of_windows(RETURNS[:N, :2], windows))

    def test_times_may_have_offsets_from_utc(self, call, tmp_path):
        times = pd.date_range("2024-10-26 09:30", periods=N, freq="h", tz="Europe/Vienna", name="time")
        series = pd.Series(RETURNS[:N, 0], times, name="A")
        series.to_csv(tmp_path / "hours.csv")
        code, output, errors = call("rolling", str(tmp_path / "hours.csv"), "--window", "36h", "--level", "0.9")
        assert (code, errors) == (0, [])
        assert "2024-10-27 02:30:00+02:00" in output
        expected = cshortfall.rolling.rolling_es(series, "36h", 0.9)
        np.testing.assert_array_equal(rows_of(output)[2][:, 0], expected)

    def test_windows_are_those_of_pandas(self, call, returns_file):
        frame = pd.read_csv(returns_file, index_col="Date")
        for arguments, options in [
            (["--window", "7", "--center"], {"window": 7, "center": True}),
            (["--window", "7", "--closed", "left"], {"window": 7, "closed": "left"}),
            (["--window", "7", "--closed", "both", "--step", "3"], {"window": 7, "closed": "both", "step": 3}),
            (["--window", "7", "--min-periods", "2"], {"window": 7, "min_periods": 2}),
        ]:
            _, labels, numbers = rows_of(call("rolling", str(returns_file), *arguments)[1])
            expected = frame.rolling(**options).apply(cshortfall.es, raw=True)
            assert labels == expected.index.tolist()
            np.testing.assert_array_equal(numbers, expected)

    def test_expanding_takes_everything_so_far(self, call, returns_file):
        _, _, numbers = rows_of(call("rolling", str(returns_file), "--expanding")[1])
        np.testing.assert_array_equal(numbers, es_of_windows(RETURNS[:N, :2], last(N)))

    def test_decay_weights_everything_so_far_by_its_age(self, call, returns_file):
        _, _, numbers = rows_of(call("rolling", str(returns_file), "--decay", "0.97")[1])
        weights = 0.97 ** np.arange(N - 1, -1, -1.0)
        expected = cshortfall.es(RETURNS[:N, :2], axis=0, weights=weights)
        np.testing.assert_allclose(numbers[-1], expected, rtol=1e-12)

    def test_the_upper_tail_reads_losses(self, call, returns_file, tmp_path):
        (-pd.read_csv(returns_file, index_col="Date")).to_csv(tmp_path / "losses.csv")
        losses = call("rolling", "losses.csv", "--window", "20", "--tail", "upper")
        assert losses == call("rolling", str(returns_file), "--window", "20")

    def test_missing_values_are_skipped_and_not_counted(self, call, tmp_path):
        x = RETURNS[:N, :2].copy()
        x[[3, 4, 17], 0] = np.nan
        pd.DataFrame(x, columns=["A", "B"]).to_csv(tmp_path / "gaps.csv", index=False)
        for least in ("5", "3"):
            _, _, numbers = rows_of(call("rolling", "gaps.csv", "--window", "5", "--min-periods", least)[1])
            np.testing.assert_array_equal(numbers, es_of_windows(x, last(5), least=int(least)))

    def test_prices_become_returns(self, call, tmp_path):
        prices = 100 * np.cumprod(1 + RETURNS[:N, :2], axis=0)
        pd.DataFrame(prices, index=pd.Index(LABELS[:N], name="day"), columns=["A", "B"]).to_csv(tmp_path / "prices.csv")
        prices = pd.read_csv(tmp_path / "prices.csv")[["A", "B"]].to_numpy()
        header, labels, numbers = rows_of(call("rolling", "prices.csv", "--prices", "--window", "20")[1])
        assert (header[0], labels) == ("day", LABELS[1:N])
        expected = es_of_windows(prices[1:] / prices[:-1] - 1, last(20, N - 1), least=20)
        np.testing.assert_array_equal(numbers, expected)

    def test_rows_without_labels_are_numbered_as_in_messages(self, call, tmp_path):
        (tmp_path / "plain.csv").write_text("A\n1\n2\n4\n3\n")
        assert call("rolling", "plain.csv", "--window", "2")[1] == "row,A\n1,\n2,-1.0\n3,-2.0\n4,-3.0\n"
        assert call("rolling", "plain.csv", "--window", "1", "--prices")[1] == "row,A\n2,-1.0\n3,-1.0\n4,0.25\n"

    def test_infinite_losses_are_infinite(self, call, tmp_path):
        (tmp_path / "crash.csv").write_text("A\n1\n-inf\n4\n3\n")
        assert call("rolling", "crash.csv", "--window", "2")[1] == "row,A\n1,\n2,inf\n3,inf\n4,-3.0\n"

    def test_names_with_commas_are_quoted(self, call, tmp_path):
        (tmp_path / "names.csv").write_text('"A, common"\n1\n2\n')
        assert rows_of(call("rolling", "names.csv", "--window", "1")[1])[0] == ["row", "A, common"]

    def test_parquet_and_standard_input_give_the_same(self, call, returns_file, tmp_path, monkeypatch):
        pd.read_csv(returns_file, index_col="Date").to_parquet(tmp_path / "returns.parquet")
        expected = call("rolling", str(returns_file), "--window", "20")
        assert call("rolling", "returns.parquet", "--window", "20") == expected
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(returns_file.read_bytes())))
        assert call("rolling", "-", "--window", "20") == expected


class TestJson:
    def test_it_holds_the_numbers_of_the_csv(self, call, returns_file):
        arguments = ["rolling", str(returns_file), "-w", "20", "-l", "0.9", "-l", "0.975", "--var"]
        _, labels, numbers = rows_of(call(*arguments)[1])
        result = json_of(call(*arguments, "--json")[1])
        assert (result["window"], result["tail"], result["rows"]) == (20, "lower", labels)
        paths = [series[measure] for series in result["series"] for measure in ("es", "var")]
        np.testing.assert_array_equal(np.array(paths, dtype=np.float64).T, numbers)
        assert [(series["name"], series["level"]) for series in result["series"]] == [
            (name, level) for name in NAMES[:2] for level in (0.9, 0.975)
        ]

    def test_what_is_not_finite_is_strict(self, call, tmp_path):
        (tmp_path / "crash.csv").write_text("A\n1\n-inf\ninf\n3\ninf\ninf\n")
        (series,) = json_of(call("rolling", "crash.csv", "-w", "2", "-l", "0", "--json")[1])["series"]
        assert series["es"] == [None, "Infinity", None, "-Infinity", "-Infinity", "-Infinity"]


class TestTerminal:
    @POSIX
    def test_it_shows_the_latest_the_worst_and_the_last_rows(self, returns_file):
        code, page = on_terminal(
            "rolling", str(returns_file), "-w", "20", "-l", "0.9", "-l", "0.975", "--var", width=110
        )
        assert code == 0
        expected = es_of_windows(RETURNS[:N, :2], last(20), least=20)
        worst = int(np.nanargmax(expected[:, 0]))
        assert page.startswith(f"Rolling ES of {returns_file}")
        assert f"{LABELS[0]} to {LABELS[N - 1]}, 41 of 60 days have a result" in page.replace("\n", " ")
        for text in (
            "90 %",
            "97.5 %",
            "VaR",
            *NAMES[:2],
            *LABELS[N - 10 : N],
            LABELS[worst],
            f"{expected[worst, 0]:.4f}",
        ):
            assert text in page
        assert LABELS[N - 11] not in page[page.index("ES on the last days") :]

    @POSIX
    def test_the_path_runs_from_the_lowest_to_the_highest(self, tmp_path):
        (tmp_path / "ramp.csv").write_text("A\n" + "".join(f"{-number}\n" for number in range(24)))
        _, page = on_terminal("rolling", "ramp.csv", "-w", "1", cwd=tmp_path)
        assert "▁▁▁▂▂▂▃▃▃▄▄▄▅▅▅▆▆▆▇▇▇███" in page

    @POSIX
    @pytest.mark.parametrize("width", [60, 80, 100, 140])
    def test_tables_fit(self, width):
        code, page = on_terminal("rolling", "-w", "1000", "--step", "50", width=width)
        assert code == 0
        assert max(map(len, page.splitlines())) <= max(width, 72)
        assert "…" not in page
        last_rows = page[page.index("ES on the last days") :]
        shown = sum(name in last_rows for name in NAMES)
        assert f"{20 - shown} more assets and all rows" in " ".join(last_rows.split()) or shown == 20

    @POSIX
    def test_an_asset_without_results_is_a_dash(self, tmp_path):
        (tmp_path / "short.csv").write_text("A,B\n1,2\n2,\n3,\n")
        code, page = on_terminal("rolling", "short.csv", "-w", "2", cwd=tmp_path)
        assert code == 0
        assert "2 missing values skipped" in page
        assert "—" in page

    @POSIX
    def test_csv_on_demand(self, returns_file, call):
        arguments = ["rolling", str(returns_file), "-w", "20", "--csv"]
        assert on_terminal(*arguments) == (0, call(*arguments)[1])

    @POSIX
    def test_output_without_unicode_is_ascii(self, returns_file, monkeypatch):
        monkeypatch.setenv("PYTHONIOENCODING", "ascii")
        code, page = on_terminal("rolling", str(returns_file), "-w", "20")
        assert code == 0
        assert "?" not in page
        assert "#" in page


FILES = {
    "good.csv": "Date,A\n2020-01-01,1\n2020-01-02,2\n2020-01-03,-1\n",
    "plain.csv": "A\n1\n2\n3\n",
    "labels.csv": "asset,A\nx,1\ny,2\nz,3\n",
    "digits.csv": "Date,A\n20200131,1\n20200203,2\n",
    "backward.csv": "Date,A\n2020-01-03,1\n2020-01-02,2\n2020-01-01,3\n",
    "cell.csv": "Date,A\n2020-01-01,1\n2020-01-02,x\n",
    "zero.csv": "Date,A\n2020-01-01,1\n2020-01-02,0\n2020-01-03,2\n",
    "empty.csv": "",
}

MISTAKES = [
    (["missing.csv"], ["missing.csv: No such file"]),
    (["empty.csv"], ["empty.csv: the file is empty"]),
    (["cell.csv"], ["cell.csv: row 2 (2020-01-02), column A: 'x' is not a number"]),
    (["zero.csv", "--prices"], ["zero.csv: row 2 (2020-01-02), column A: price 0 is not"]),
    (["backward.csv"], ["backward.csv: row 2 (2020-01-02) is earlier", "order of time"]),
    (["good.csv", "--column", "B"], ["good.csv: no column B"]),
    (["--column", "NOPE"], ["(embedded data): no column NOPE"]),
    (["--prices"], ["--prices needs a FILE"]),
    (["good.csv", "--window", "0"], ["--window must be at least 1, got 0"]),
    (["good.csv", "--window", "-3"], ["--window must be at least 1, got -3"]),
    (["good.csv", "--window", "long"], ["--window must be", "'long'"]),
    (["good.csv", "--window", "2.5"], ["--window must be", "'2.5'"]),
    (["good.csv", "--window", str(10**30)], ["--window must be at most 1152921504606846976, got 1000"]),
    (["plain.csv", "--window", "3D"], ["plain.csv: --window 3D needs a column of dates"]),
    (["labels.csv", "--window", "3D"], ["labels.csv: --window 3D needs dates", "'x'"]),
    (["digits.csv", "--window", "3D"], ["digits.csv: --window 3D needs dates", "row 1 is labelled '20200131'"]),
    (["good.csv", "--window", "2", "--min-periods", "3"], ["--min-periods must not exceed window"]),
    (["good.csv", "--window", "2", "--step", "0"], ["--step must be at least 1, got 0"]),
    (["good.csv", "--window", "2", "--closed", "open"], ["--closed", "open"]),
    (["good.csv", "--window", "2", "--expanding"], ["--window does not go with --expanding"]),
    (["good.csv", "--center", "--decay", "0.9"], ["--center does not go with --decay"]),
    (["good.csv", "--expanding", "--decay", "0.9"], ["--expanding and --decay exclude each other"]),
    (["good.csv", "--decay", "0.9", "--var"], ["--var does not go with --decay"]),
    (["good.csv", "--decay", "1.5"], ["--decay must be", "1.5"]),
    (["good.csv", "--expanding", "--min-periods", "-1"], ["--min-periods must not be negative"]),
    (["good.csv", "--level", "97.5"], ["--level", "0.975"]),
    (["good.csv", "--csv", "--json"], ["--csv and --json exclude each other"]),
]


class TestBadInput:
    @pytest.mark.parametrize(("arguments", "pieces"), MISTAKES, ids=lambda value: " ".join(value)[:50])
    def test_it_ends_with_one_line_and_exit_code_2(self, call, tmp_path, arguments, pieces):
        for name, content in FILES.items():
            (tmp_path / name).write_text(content)
        code, output, errors = call("rolling", *arguments)
        assert (code, output, len(errors)) == (2, "", 1)
        assert errors[0].startswith("cshortfall: error: ")
        for piece in pieces:
            assert piece in errors[0]

    def test_a_level_that_looks_like_a_tail_mass_is_doubted_in_one_line(self, call, returns_file):
        code, output, errors = call("rolling", str(returns_file), "-w", "20", "--level", "0.05")
        assert code == 0
        assert output
        assert len(errors) == 1
        assert errors[0].startswith("cshortfall: warning: level=0.05")


@POSIX
def test_a_reader_that_leaves_early_is_no_error(tmp_path):
    process = start("rolling", cwd=tmp_path)
    assert process.stdout.readline().startswith("date,")
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(60), errors) == (1, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a full device")
def test_a_full_disk_is_said_in_one_line(tmp_path):
    import subprocess
    import sys

    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "cshortfall", "rolling", "-c", "AAPL"]
        process = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=tmp_path, check=False)
    assert process.returncode == 1
    (line,) = process.stderr.splitlines()
    assert line.startswith("cshortfall: error: cannot write: ")
