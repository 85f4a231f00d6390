"""Tables of outcomes in CSV and Parquet files, read with pyarrow and checked cell by cell."""

import csv
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet

from cshortfall._number_lines import NUMBER

__all__ = ["Table", "read_table"]

CELL = f"^{NUMBER}$"
MISSING = [*pyarrow.csv.ConvertOptions().null_values, "NAN", "None", "NaT", "<NA>"]
DELIMITERS = ",;\t|"
DATE_NAME = re.compile(r"(^|.*[ _-])(date|datetime|time|timestamp|day|month|year)$|__index_level_\d+__$", re.IGNORECASE)
MIDNIGHT = re.compile(r"[ T]00:00(:00(\.0+)?)?(Z|\+00:00)?$")
FIRST_BYTES = 1 << 16
COMPRESSED = {"gzip": b"\x1f\x8b", "bz2": b"BZh", "zstd": b"\x28\xb5\x2f\xfd", "lz4": b"\x04\x22\x4d\x18"}


@dataclass(frozen=True)
class Table:
    """Numeric columns of a file, with the labels of its rows.

    Missing cells are NaN. Rows are counted from 1 in messages, the header not included.
    """

    columns: dict[str, npt.NDArray[np.float64]]
    labels: tuple[str, ...] | None
    left_out: dict[str, str]
    """Columns that hold no outcomes, with the reason."""
    label_name: str = ""
    """Name of the column of labels, if it has one."""


def read_table(path: Path, needed: Sequence[str] = (), *, others: bool = True, header: bool | None = None) -> Table:
    """Read the numeric columns of a CSV (also compressed) or Parquet file.

    Parameters
    ----------
    path : Path
        File to read, or ``-`` for standard input; what it holds decides, not its name.
    needed : sequence of str
        Columns that must exist and hold numbers.
    others : bool
        Whether the other columns are read too.
    header : bool, optional
        Whether the first line of a CSV file names the columns. Default: it does, but a first line of numbers
        only is refused.

    Returns
    -------
    Table

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        What it holds is not a table of numbers; the message names row and column, but not the file.

    Notes
    -----
    The labels are the first column that is named like a date, has no name (as the index that pandas writes) or,
    in first position, holds text. Another column of text is left out if none of its cells is a number; if some are,
    the first that is not is an error.
    """
    content = _content(path)
    try:
        raw = _read_parquet(content) if content[:4] == b"PAR1" else _read_csv(content, header)
    except pyarrow.ArrowException as error:
        raise ValueError(_reason(error)) from error
    if raw.num_rows == 0:
        raise ValueError("no rows of data")
    names = [name.strip() for name in raw.column_names]
    names[1:] = [name or f"column {position}" for position, name in enumerate(names[1:], start=2)]
    _check_names(names, needed)
    columns = dict(zip(names, raw.columns, strict=True))
    label = _label_column(columns, needed)
    labels = None if label is None else _labels(columns.pop(label))

    numbers, left_out = {}, {}
    for name, column in columns.items() if others else [(name, columns[name]) for name in needed]:
        reason = None if name in needed else _not_outcomes(name, column)
        if reason is None:
            remedy = "" if name in needed else "; --column chooses the columns to use"
            numbers[name] = _numbers(name, column, labels, remedy)
        else:
            left_out[name] = reason
    return Table(numbers, labels, left_out, label or "")


def _content(path: Path) -> bytes:
    content = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    for codec, magic in COMPRESSED.items():
        if content.startswith(magic):
            try:
                return bytes(pyarrow.CompressedInputStream(pyarrow.BufferReader(content), codec).read())
            except OSError as error:
                raise ValueError(f"damaged {codec} file ({error})") from None
    return content


def _read_parquet(content: bytes) -> Any:
    return pyarrow.parquet.ParquetFile(pyarrow.BufferReader(content)).read()


def _read_csv(content: bytes, header: bool | None) -> Any:
    """Read every column as text: types guessed from the first block would hide where a bad cell is."""
    start = content[:FIRST_BYTES]
    if b"\0" in start:
        raise ValueError("binary data, neither a CSV nor a Parquet file (save a workbook as CSV)")
    try:
        lines = start.decode("utf-8-sig", errors="strict" if len(start) < FIRST_BYTES else "ignore").splitlines(
            keepends=True
        )
    except UnicodeDecodeError:
        raise ValueError("neither Parquet nor CSV text in UTF-8") from None
    first = next((line for line in lines if line.strip()), "")
    if not first:
        raise ValueError("the file is empty")
    unquoted = re.sub(r'"[^"]*"', "", first)
    delimiter = max(DELIMITERS, key=unquoted.count)
    cells = [" ".join(cell.split()) for cell in next(filter(None, csv.reader(lines, delimiter=delimiter)))]
    if header is None and all(re.match(CELL, cell) for cell in cells):
        raise ValueError(
            "the first line holds only numbers: say --no-header if it is data, --header if it names the columns"
        )
    has_header = header is not False
    bad_rows: list[Any] = []

    def refuse(row: Any) -> str:
        bad_rows.append(row)
        return "error"

    generated = [f"f{position}" for position in range(len(cells))]
    try:
        table = pyarrow.csv.read_csv(
            pyarrow.BufferReader(content),
            read_options=pyarrow.csv.ReadOptions(autogenerate_column_names=True, use_threads=False),
            parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, invalid_row_handler=refuse),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(generated, pyarrow.string()), null_values=MISSING, strings_can_be_null=True
            ),
        )
    except pyarrow.ArrowInvalid:
        if not bad_rows:
            raise
        bad = bad_rows[0]
        raise ValueError(
            f"row {bad.number - has_header} has {bad.actual_columns} cells, the first line {bad.expected_columns}"
        ) from None
    if not has_header:
        return table.rename_columns([f"column {position + 1}" for position in range(len(cells))])
    return table.slice(1).rename_columns(cells)


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return "neither Parquet nor CSV text in UTF-8" if "UTF8" in text else f"not a CSV or Parquet file ({text})"


def _check_names(names: list[str], needed: Sequence[str]) -> None:
    for position, name in enumerate(names):
        if name and name in names[:position]:
            raise ValueError(f"two columns are named {name}")
    for name in needed:
        if name not in names:
            close = get_close_matches(name, names, n=1, cutoff=0.5)
            shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
            raise ValueError(f"no column {name}; " + (f"did you mean {close[0]}?" if close else f"columns: {shown}"))


def _label_column(columns: dict[str, Any], needed: Sequence[str]) -> str | None:
    free = {name: column for name, column in columns.items() if name not in needed}
    for name, column in free.items():
        if not name or DATE_NAME.match(name) or pyarrow.types.is_temporal(column.type):
            return name
    first = next(iter(columns))
    return first if first in free and _not_outcomes(first, columns[first]) == "text" else None


def _labels(column: Any) -> tuple[str, ...]:
    texts = ["" if text is None else text.strip() for text in column.cast(pyarrow.string()).to_pylist()]
    if all(MIDNIGHT.search(text) for text in texts):
        texts = [MIDNIGHT.sub("", text) for text in texts]
    return tuple(texts)


def _not_outcomes(name: str, column: Any) -> str | None:
    """Say why a column holds no outcomes; None if it does."""
    if DATE_NAME.match(name):
        return "dates"
    if column.null_count == len(column):
        return "nothing"
    if _is_text(column):
        return None if pyarrow.compute.any(_is_number(column)).as_py() else "text"
    return None if _is_numeric(column) else f"values of type {column.type}"


def _is_text(column: Any) -> bool:
    return bool(pyarrow.types.is_string(column.type) or pyarrow.types.is_large_string(column.type))


def _is_numeric(column: Any) -> bool:
    tests = (pyarrow.types.is_integer, pyarrow.types.is_floating, pyarrow.types.is_decimal, pyarrow.types.is_null)
    return any(test(column.type) for test in tests)


def _is_number(column: Any) -> Any:
    return pyarrow.compute.match_substring_regex(pyarrow.compute.utf8_trim_whitespace(column), CELL)


def _numbers(name: str, column: Any, labels: tuple[str, ...] | None, remedy: str) -> npt.NDArray[np.float64]:
    if _is_text(column):
        bad = pyarrow.compute.index(_is_number(column), False).as_py()
        if bad >= 0:
            place = f"row {bad + 1}" if labels is None else f"row {bad + 1} ({labels[bad]})"
            raise ValueError(f"{place}, column {name}: {column[bad].as_py()!r} is not a number{remedy}")
        column = pyarrow.compute.utf8_trim_whitespace(column)
    elif not _is_numeric(column):
        raise ValueError(f"column {name} holds values of type {column.type}, not numbers")
    values = column.cast(pyarrow.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(values, dtype=np.float64)
