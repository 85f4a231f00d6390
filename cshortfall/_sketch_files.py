"""Files that hold a `TailSketch`: read whole, written whole or not at all."""

import contextlib
import os
import tempfile
from pathlib import Path

from cshortfall.stream import TailSketch

__all__ = ["check_writable", "read_sketch", "write_sketch", "write_whole"]

LARGEST = 1 << 27


def read_sketch(path: Path) -> TailSketch:
    """Read a sketch.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It does not hold a sketch, or a damaged one.
    """
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"more than {LARGEST:,} bytes: no sketch is that large")
    return TailSketch.from_bytes(content)


def check_writable(path: Path) -> None:
    """Raise OSError now for a file that could not be written after hours of reading."""
    if path.is_dir():
        raise IsADirectoryError(21, "Is a directory", str(path))
    if path.exists() and not path.is_file():
        return
    try:
        with tempfile.TemporaryFile(dir=path.resolve().parent):
            pass
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def write_sketch(path: Path, sketch: TailSketch) -> None:
    """Write a sketch."""
    write_whole(path, sketch.to_bytes())


def write_whole(path: Path, content: bytes) -> None:
    """Write to a file of its own that then takes the place of `path`: no reader ever meets a part of it."""
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    target = path.resolve()
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
