"""The table of recorded result bits, ``reference/estimate_bits.json``.

Record it again, by the textbook alone, with ``python tests/recorded_results.py --record``; it must not
change unless a definition does. Without an argument the script prints the bits that the installed
package gives, as JSON, on the instruction set that ``CSHORTFALL_ISA`` names.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import warnings
from collections.abc import Iterator
from pathlib import Path

import datasets
import numpy as np
import textbook
from bits import canonical_bits

TABLE = Path(__file__).parent / "reference" / "estimate_bits.json"
SIZES = (1, 2, 7, 16, 33, 250, 1000)
LEVELS = (0.0, 0.5, 0.9, 0.95, 0.975, 0.99)

Case = tuple[str, np.ndarray, np.ndarray | None, str]


def recorded_cases() -> Iterator[Case]:
    """Yield name, sample, weights and tail of every recorded case."""
    for name, sample in datasets.NAMED.items():
        for n in SIZES:
            yield f"{name}, n={n}", sample(n), None, "lower"
        yield f"{name}, n=100, upper", sample(100), None, "upper"
        yield f"{name}, n=250, weighted", sample(250), datasets.unequal_weights(250), "lower"
    for name in ("bells", "returns", "cancelling", "low at every 64th", "tail in one block"):
        yield f"{name}, n=50000", (datasets.FINITE | datasets.ADVERSARIAL)[name](50_000), None, "lower"
        yield (
            f"{name}, n=5000, weighted",
            (datasets.FINITE | datasets.ADVERSARIAL)[name](5_000),
            datasets.unequal_weights(5_000),
            "upper",
        )


def hexadecimal(values) -> list[str]:
    """Return the bit patterns of doubles as text."""
    return [f"{int(pattern):016x}" for pattern in canonical_bits(values).ravel()]


def textbook_results() -> dict[str, dict[str, list[str]]]:
    """Return the recorded table: for every case the bits of ES and of VaR at every level."""
    table = {}
    for name, sample, weights, tail in recorded_cases():
        values = [textbook.es_var(sample, level, weights, tail) for level in LEVELS]
        table[name] = {
            "es": hexadecimal([value.es for value in values]),
            "var": hexadecimal([value.var for value in values]),
        }
    return table


def package_results() -> dict[str, dict[str, list[str]]]:
    """Return the same table by the package, all levels in one call and level by level."""
    from cshortfall import es, es_var, var

    table = {}
    for name, sample, weights, tail in recorded_cases():
        both = es_var(sample, LEVELS, weights=weights, tail=tail)
        single = {
            "es": hexadecimal([es(sample, level, weights=weights, tail=tail) for level in LEVELS]),
            "var": hexadecimal([var(sample, level, weights=weights, tail=tail) for level in LEVELS]),
        }
        table[name] = {"es": hexadecimal(both.es), "var": hexadecimal(both.var)}
        if single != table[name]:
            raise AssertionError(f"{name}: levels together {table[name]}, one by one {single}")
    return table


def package_digests() -> dict[str, str]:
    """Return digests of result bits too many to record: layouts, dtypes, sizes and levels."""
    from cshortfall import es_gradient, es_of_portfolios, es_var

    def digest(*arrays) -> str:
        return hashlib.sha256(b"".join(canonical_bits(array).tobytes() for array in arrays)).hexdigest()

    digests = {}
    for dtype in ("f8", "f4", "i4"):
        for n in (*range(1, 130), 255, 511, 1023, 1025, 4095, 4097, 20_001, 131_071):
            sample = (datasets.heavy_tails(n, 5) * 100).astype(dtype)
            digests[f"{dtype} n={n}"] = digest(*es_var(sample, (0.3, 0.975)), *es_var(sample, 0.99, tail="upper"))
        for shape in ((3, 5), (17, 250), (250, 17), (130, 1000), (1000, 130)):
            matrix = (datasets.heavy_tails(shape[0] * shape[1], 6) * 100).astype(dtype).reshape(shape)
            for axis in (0, 1, None):
                digests[f"{dtype} {shape} axis={axis}"] = digest(*es_var(matrix, (0.95, 0.5), axis=axis))
                sparse = np.where(datasets.uniforms(matrix.size).reshape(shape) < 0.1, np.nan, matrix)
                digests[f"{dtype} {shape} axis={axis} omit"] = digest(
                    *es_var(sparse, 0.9, axis=axis, nan_policy="omit")
                )
            weights = datasets.unequal_weights(shape[1])
            digests[f"{dtype} {shape} weighted"] = digest(*es_var(matrix, (0.95, 0.5), axis=1, weights=weights))
    for name, sample in (datasets.FINITE | datasets.ADVERSARIAL).items():
        digests[name] = digest(*es_var(sample(9_001), (0.0, 0.5, 0.975, 0.999)))
    returns = datasets.bells(2000 * 7).reshape(2000, 7)
    portfolios = datasets.uniforms(7 * 9).reshape(7, 9)
    digests["portfolios"] = digest(es_of_portfolios(returns, portfolios, 0.975))
    digests["gradient"] = digest(es_gradient(returns, portfolios[:, 0], 0.975))
    return digests


def main() -> None:
    """Record the table or print what the package gives."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true", help="write the table from the textbook")
    if parser.parse_args().record:
        lines = (f"{json.dumps(name)}: {json.dumps(row)}" for name, row in textbook_results().items())
        TABLE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
        return
    warnings.simplefilter("ignore")
    print(json.dumps({"results": package_results(), "digests": package_digests()}))


if __name__ == "__main__":
    main()
