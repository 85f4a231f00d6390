"""atheris target for `TailSketch.from_bytes`: any bytes give a ValueError, or a sketch that gives these bytes back."""

import struct
import sys
import zlib

import atheris

with atheris.instrument_imports(include=["cshortfall"]):
    from cshortfall.stream import TailSketch


def sealed(data):
    """Return bytes with the size and the checksum that they should have."""
    changed = bytearray(data)
    struct.pack_into("<I", changed, 20, len(data))
    struct.pack_into("<I", changed, len(data) - 4, zlib.crc32(changed[:-4]))
    return bytes(changed)


def decode(data):
    try:
        sketch = TailSketch.from_bytes(data)
    except ValueError:
        return
    assert sketch.to_bytes() == data
    assert sketch == sketch.copy()
    for level in (0.0, 0.5, 0.975):
        for tail in ("lower", "upper"):
            low, high = sketch.es_bounds(level, tail=tail)
            assert not low > high
            assert not sketch.es(level, tail=tail) > high
    repr(sketch)
    if max(sketch.count, sketch.missing) <= 2**51:
        assert sketch.copy().merge(sketch).update(-3.5).count == 2 * sketch.count + 1


def test_one_input(data):
    decode(data)
    if len(data) >= 28:
        decode(sealed(data))


atheris.Setup(sys.argv, test_one_input)
atheris.Fuzz()
