"""Numbers from lines of text, block by block as they arrive."""

import re
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow
import pyarrow.csv

__all__ = ["NumberLines"]

NUMBER = r"[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|(?i:inf|infinity))"
LINE = re.compile(NUMBER.encode())
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
LONGEST_LINE = 1 << 16
SHOWN = 40
REMEDY = "; --skip-bad leaves such lines out"

Values = npt.NDArray[np.float64]


class NumberLines:
    """Iterate over arrays of numbers, one number a line.

    Blank lines are ignored. A block is whatever one call of `read` gives, up to its last end of a line, so that the
    numbers of a slow producer are there when it writes them.

    Parameters
    ----------
    read : callable
        Gives the next bytes; none at the end.
    skip_bad : bool
        Whether a line that is no number is left out and counted.

    Raises
    ------
    ValueError
        While iterating, for the first line that is no number; the message gives its line number.
    """

    lines = 0
    """Number of lines read."""
    skipped = 0
    """Number of lines left out."""
    first_skipped = ""
    """What is wrong with the first of them."""

    def __init__(self, read: Callable[[], bytes], *, skip_bad: bool = False) -> None:
        self._read = read
        self._skip_bad = skip_bad
        self._read_options = pyarrow.csv.ReadOptions(column_names=["number"], use_threads=False)
        self._parse_options = pyarrow.csv.ParseOptions(delimiter="\x01", quote_char=False, escape_char=False)
        self._convert_options = pyarrow.csv.ConvertOptions(column_types={"number": pyarrow.float64()}, null_values=[])

    def __iter__(self) -> Iterator[Values]:
        """Read until the end."""
        unfinished = b""
        while chunk := self._read():
            end = chunk.rfind(b"\n") + 1
            if not end:
                unfinished = self._bounded(unfinished + chunk)
                continue
            yield from self._numbers(unfinished + chunk[:end])
            unfinished = chunk[end:]
        if unfinished:
            yield from self._numbers(unfinished)

    def _bounded(self, line: bytes) -> bytes:
        """Cut what is too long for a number, so that input without ends of lines does not fill the memory."""
        if len(line) <= LONGEST_LINE:
            return line
        if not self._skip_bad:
            raise ValueError(_complaint(self.lines + 1, line) + REMEDY)
        return line[:LONGEST_LINE] + b"?"

    def _numbers(self, block: bytes) -> Iterator[Values]:
        """Give the numbers of a block; of one with a line that is to be refused those before it."""
        if not self.lines:
            block = block.removeprefix(BYTE_ORDER_MARK)
        wrong = None
        values = self._converted(block.replace(b"\r\n", b"\n") if b"\r" in block else block)
        if values is None:
            values, wrong = self._judged(block)
        self.lines += block.count(b"\n") + (not block.endswith(b"\n"))
        yield values
        if wrong is not None:
            raise ValueError(wrong + REMEDY)

    def _converted(self, block: bytes) -> Values | None:
        """Convert a block at once; None if that finds anything but numbers and empty lines."""
        if b"\r" in block or block.startswith(BYTE_ORDER_MARK):
            return None
        if not block.strip(b"\n"):
            return np.empty(0)
        try:
            table = pyarrow.csv.read_csv(
                pyarrow.BufferReader(block), self._read_options, self._parse_options, self._convert_options
            )
        except pyarrow.ArrowException:
            return None
        # Not to_numpy, which imports pandas where it is installed.
        parts = [
            np.frombuffer(chunk.buffers()[1], np.float64, len(chunk), offset=8 * chunk.offset)
            for chunk in table.column(0).chunks
        ]
        values = np.concatenate(parts)
        return None if np.isnan(values).any() else values

    def _judged(self, block: bytes) -> tuple[Values, str | None]:
        """Convert a block line by line, up to one that is to be refused; say what is wrong with that."""
        values = []
        wrong = None
        for number, line in enumerate(block.split(b"\n"), start=self.lines + 1):
            text = line.strip()
            if LINE.fullmatch(text):
                values.append(float(text))
            elif text:
                complaint = _complaint(number, text)
                if not self._skip_bad:
                    wrong = complaint
                    break
                self.skipped += 1
                self.first_skipped = self.first_skipped or complaint
        return np.array(values, dtype=np.float64), wrong


def _complaint(number: int, line: bytes) -> str:
    text = line.decode("utf-8", errors="replace")
    shown = text if len(text) <= SHOWN else text[:SHOWN] + "..."
    return f"line {number}: {shown!r} is not a number"
