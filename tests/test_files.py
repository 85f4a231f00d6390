import bz2
import gzip
import io
import os

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("pyarrow")

from pathlib import Path

from cshortfall._files import read_table


@pytest.fixture
def read(tmp_path):
    """Read what is given as the content of a file."""

    def read_content(content, needed=(), **options):
        path = tmp_path / "table"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_table(path, needed, **options)

    return read_content


def columns_of(table):
    return {name: values.tolist() for name, values in table.columns.items()}


CSV = "Date,A,B\n2020-01-01,0.5,-1\n2020-01-02, +.25 ,2e-1\n"
NUMBERS = {"A": [0.5, 0.25], "B": [-1.0, 0.2]}


@pytest.mark.parametrize(
    "content",
    [
        CSV.encode(),
        CSV.replace(",", ";").encode(),
        CSV.replace(",", "\t").encode(),
        CSV.replace("\n", "\r\n").encode(),
        CSV.replace("\n", "\n\n").encode(),
        CSV.replace("A", '"A"').encode(),
        CSV.replace("Date", "").encode(),
        CSV.replace("Date", "trade date").encode(),
        CSV.replace("2020-01-01", "2020-01-01 00:00:00").replace("2020-01-02", "2020-01-02T00:00").encode(),
        CSV.encode("utf-8-sig"),
        CSV.rstrip().encode(),
        gzip.compress(CSV.encode()),
        bz2.compress(CSV.encode()),
    ],
)
def test_the_same_table_in_any_dress_reads_the_same(read, content):
    table = read(content)
    assert columns_of(table) == NUMBERS
    assert table.labels == ("2020-01-01", "2020-01-02")
    assert table.left_out == {}


@pytest.mark.parametrize("index", [pd.DatetimeIndex(["2020-01-01", "2020-01-02"]), ["2020-01-01", "2020-01-02"]])
def test_parquet_reads_like_csv(tmp_path, index):
    frame = pd.DataFrame({"A": np.array([0.5, 0.25], dtype=np.float32), "B": [-1.0, 0.2]}, index=index)
    frame.to_parquet(tmp_path / "table.parquet")
    table = read_table(tmp_path / "table.parquet")
    assert columns_of(table) == NUMBERS
    assert table.labels == ("2020-01-01", "2020-01-02")


def test_parquet_columns_of_every_numeric_type_are_read(tmp_path):
    frame = pd.DataFrame({"i": [1, 2], "u": np.array([1, 2], dtype="uint8"), "n": pd.array([1, None], dtype="Int64")})
    frame.assign(flag=[True, False], text=["x", "y"]).to_parquet(tmp_path / "table.parquet")
    table = read_table(tmp_path / "table.parquet")
    assert np.array_equal(table.columns["n"], [1.0, np.nan], equal_nan=True)
    assert table.columns["i"].tolist() == table.columns["u"].tolist() == [1.0, 2.0]
    assert table.left_out == {"flag": "values of type bool", "text": "text"}


@pytest.mark.parametrize("cell", ["", "NA", "NaN", "nan", "null", "None", "#N/A"])
def test_missing_cells_are_nan(read, cell):
    assert np.array_equal(read(f"A,B\n{cell},1\n2,3\n").columns["A"], [np.nan, 2.0], equal_nan=True)


def test_infinity_is_a_number(read):
    assert columns_of(read("A,B\ninf,1\n-Infinity,2\n"))["A"] == [np.inf, -np.inf]


def test_text_dates_and_empty_columns_are_left_out_and_said_so(read):
    table = read("day,name,A,sale date,E\n1,x,1,2,\n2,y,2,3,\n")
    assert columns_of(table) == {"A": [1.0, 2.0]}
    assert table.labels == ("1", "2")
    assert table.left_out == {"name": "text", "sale date": "dates", "E": "nothing"}


def test_a_first_column_of_text_labels_the_rows(read):
    table = read("scenario,A\ncrash,1\nboom,2\n")
    assert table.labels == ("crash", "boom")
    assert table.left_out == {}


def test_a_column_that_is_asked_for_is_no_label(read):
    assert columns_of(read("month,A\n1,2\n3,4\n", ["month"])) == {"month": [1.0, 3.0], "A": [2.0, 4.0]}


def test_the_other_columns_need_not_be_good(read):
    content = b"day,A,bad\n1,2,3\n2,3,x\n"
    assert columns_of(read(content, ["A"], others=False)) == {"A": [2.0, 3.0]}
    with pytest.raises(ValueError, match=r"row 2 \(2\), column bad: 'x' is not a number"):
        read(content, ["A"])


def test_without_a_header_the_columns_are_numbered(read):
    assert columns_of(read("1,2\n3,4\n", header=False)) == {"column 1": [1.0, 3.0], "column 2": [2.0, 4.0]}
    assert columns_of(read("1,2\n3,4\n", header=True)) == {"1": [3.0], "2": [4.0]}


def test_names_that_are_missing_are_numbered(read):
    assert columns_of(read("A,\n1,2\n")) == {"A": [1.0], "column 2": [2.0]}


def test_standard_input_is_a_file(monkeypatch):
    stdin = io.TextIOWrapper(io.BytesIO(CSV.encode()))
    monkeypatch.setattr("sys.stdin", stdin)
    assert columns_of(read_table(Path("-"))) == NUMBERS


LONG = "A,B\n" + "1,2\n" * 300_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\n \n", "the file is empty"),
        (b"A,B\n", "no rows of data"),
        (b"1,2\n3,4\n", "say --no-header if it is data"),
        (b"A,A\n1,2\n", "two columns are named A"),
        (b"A,B\n1,2\n1,2,3\n", "row 2 has 3 cells, the first line 2"),
        ((LONG + "1\n").encode(), "row 300001 has 1 cells"),
        ((LONG + "x,1\n").encode(), "row 300001, column A: 'x' is not a number"),
        ((LONG + "\xe9,1\n").encode("latin-1"), "neither Parquet nor CSV text in UTF-8"),
        (b"A,B\n1,2\n3,1 000\n", "row 2, column B: '1 000' is not a number"),
        (
            b"Date,A\n2020-01-01,1\n2020-01-02,5%\n2020-01-03,1\n",
            r"row 2 \(2020-01-02\), column A: '5%' is not a number",
        ),
        ("\xe9,B\n1,2\n".encode("latin-1"), "neither Parquet nor CSV text in UTF-8"),
        (bytes(range(256)) * 20, "binary data"),
        ("A,B\n1,2\n".encode("utf-16"), "binary data"),
        (b"PAR1 and nothing of the kind", "not a CSV or Parquet file"),
        (gzip.compress(CSV.encode())[:-12], "damaged gzip file"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else None,
)
def test_what_is_no_table_of_numbers_is_refused(read, content, message):
    with pytest.raises(ValueError, match=message):
        read(content)


@pytest.mark.parametrize(
    ("needed", "message"),
    [
        ("Bb", "no column Bb; did you mean B"),
        ("ZZZ", "no column ZZZ; columns: Date, A, B"),
        ("Date", "row 1, column Date: '2020-01-01' is not a number"),
    ],
)
def test_a_column_asked_for_must_hold_numbers(read, needed, message):
    with pytest.raises(ValueError, match=message):
        read(CSV, [needed])


def test_a_parquet_column_asked_for_must_hold_numbers(tmp_path):
    pd.DataFrame({"A": [1.0, 2.0], "flag": [True, False]}).to_parquet(tmp_path / "table.parquet")
    with pytest.raises(ValueError, match="column flag holds values of type bool, not numbers"):
        read_table(tmp_path / "table.parquet", ["flag"])


def test_what_cannot_be_read_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_table(tmp_path / "missing.csv")
    with pytest.raises((IsADirectoryError, PermissionError)):
        read_table(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_a_file(tmp_path):
    import threading

    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=(CSV,))
    writer.start()
    assert columns_of(read_table(path)) == NUMBERS
    writer.join()
