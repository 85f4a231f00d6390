"""Data frames and series of other libraries: their numbers read as arrays, results labelled as they were.

narwhals reads every library and is imported when the first such object arrives that is not pandas over NumPy.

Form of the results. pandas and what looks like it: a series gives a scalar, with several levels a series indexed by
level; a frame gives a series indexed by its columns (``axis=1``: by its rows), with several levels a frame whose
columns are the levels. Libraries without an index (polars, Arrow): a series gives a scalar, with several levels a
series; a frame gives a frame of one row under the same column names, with several levels one row for each, behind a
column ``level``; ``axis=1`` gives a series with one value for each row, with several levels a frame with one column
for each, named after it.

Form of results of which there is one for each row (rolling, expanding, exponential): a series gives a series, a frame a
frame, under the same index and names. Several levels: a series gives a frame whose columns are the levels, a frame one
whose columns are pairs (column, level); without an index the columns are named ``name_level``, and what is missing is
null instead of NaN. A column of times comes back where it was.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from cshortfall import _arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from cshortfall._arguments import Floats, Samples

_LIBRARIES = frozenset(
    ("cudf", "dask_expr", "duckdb", "ibis", "modin", "narwhals", "pandas", "polars", "pyarrow", "pyspark", "sqlframe")
)
_PROTOCOLS = ("__narwhals_dataframe__", "__narwhals_series__", "__narwhals_lazyframe__", "__arrow_c_stream__")
_BOUNDS = ["low", "high"]


def is_frame_like(x: Any) -> bool:
    """Whether an object comes from a library of data frames; imports nothing."""
    for kind in type(x).__mro__:
        library, _, rest = kind.__module__.partition(".")
        if library in _LIBRARIES or (library == "dask" and rest.startswith("dataframe")):
            return True
    return any(hasattr(type(x), protocol) for protocol in _PROTOCOLS)


def read(name: str, x: Any) -> tuple[Samples, Labels]:
    """Return the numbers of a frame or series, missing values as NaN, and its labels."""
    if type(x).__module__.partition(".")[0] == "pandas" and _is_block_of_numbers(x):
        return _arguments.as_floats(name, x.to_numpy()), Labels(x)
    import narwhals as nw

    wrapped = isinstance(x, (nw.DataFrame, nw.Series))
    native = _known_form(nw.to_native(x, pass_through=True))
    source = _eager(name, native)
    labels = Labels(native, source, rewrap=wrapped)
    if isinstance(source, nw.Series):
        return _column(name, source), labels
    dtypes = set(source.schema.values())
    if len(dtypes) == 1 and dtypes <= {nw.Float64(), nw.Float32()}:
        # In place where the library keeps the frame as one block of numbers.
        block = source.to_numpy()
        if block.dtype.char in "df":
            return _arguments.as_floats(name, block), labels
    columns = [
        _column(f"column {label!r} of {name}", source.get_column(key))
        for key, label in zip(source.columns, labels.columns, strict=True)
    ]
    values: Samples = np.empty(source.shape, dtype=np.result_type(np.float32, *columns), order="F")
    for position, column in enumerate(columns):
        values[:, position] = column
    return values, labels


def _is_block_of_numbers(x: Any) -> bool:
    """Whether a pandas object is a series or frame of one NumPy dtype that is a number."""
    if not hasattr(x, "iloc"):
        return False
    dtypes = list(x.dtypes) if x.ndim == 2 else [x.dtype]
    dtype = dtypes[0] if dtypes else None
    return isinstance(dtype, np.dtype) and dtype.kind in "iuf" and all(other == dtype for other in dtypes)


def _known_form(x: Any) -> Any:
    """Turn what narwhals does not read, but its own library can convert, into a frame or series of that library."""
    library = type(x).__module__.partition(".")[0]
    if library == "pandas":
        pandas = import_module("pandas")
        if isinstance(x, (pandas.Index, pandas.api.extensions.ExtensionArray)):
            return pandas.Series(x)
    elif library == "pyarrow":
        pyarrow = import_module("pyarrow")
        if isinstance(x, pyarrow.Array):
            return pyarrow.chunked_array([x])
        if isinstance(x, pyarrow.RecordBatch):
            return pyarrow.Table.from_batches([x])
    elif library not in _LIBRARIES and hasattr(x, "__arrow_c_stream__"):
        pyarrow = import_module("pyarrow")
        try:
            return pyarrow.table(x)
        except (TypeError, pyarrow.ArrowException):
            return pyarrow.chunked_array(x)
    return x


def _eager(name: str, native: Any) -> Any:
    """Return the narwhals frame or series of an object that is in memory."""
    import narwhals as nw

    if hasattr(native, "set_axis") and not getattr(getattr(native, "columns", None), "is_unique", True):
        # narwhals asks for unique names; the labels of the results keep the given ones.
        native = native.set_axis(range(native.shape[1]), axis=1)
    source = nw.from_native(native, allow_series=True, pass_through=True)
    if isinstance(source, nw.LazyFrame):
        raise TypeError(f"{name} is lazy ({type(native).__name__}); compute it first, for example with collect()")
    if isinstance(source, (nw.DataFrame, nw.Series)):
        return source
    raise TypeError(
        f"{name} must be an array, a series or a data frame, got {type(native).__name__}; "
        "pass its numbers, for example with to_numpy()"
    )


def _column(name: str, series: Any) -> Samples:
    """Return the numbers of one column, missing values as NaN."""
    import narwhals as nw

    dtype = series.dtype
    if dtype in (nw.Int128, nw.UInt128):
        series = series.cast(nw.Float64)
    elif dtype == nw.Unknown and series.null_count() == len(series):
        return np.full(len(series), np.nan)
    elif dtype != nw.Unknown and (not dtype.is_numeric() or dtype.is_decimal()):
        raise TypeError(
            f"{name} must hold real numbers, got dtype {dtype}; select the numeric columns, or convert it to Float64"
        )
    return _arguments.as_floats(name, series.to_numpy())


class Labels:
    """The names of a frame or series, and the results under them."""

    __slots__ = ("_implementation", "_index", "_namespace", "_rewrap", "columns", "name")

    def __init__(self, native: Any, source: Any = None, rewrap: bool = False) -> None:
        """Take the labels of ``native``; ``source`` is narwhals' view of it, None for pandas."""
        self._rewrap = rewrap
        self._implementation: Any = None if source is None else source.implementation
        self._index: Any = None
        self._namespace: Any = None
        self.name: Any = getattr(native, "name", None)
        self.columns: Any = getattr(native, "columns", None)
        if source is None:
            self._namespace = import_module("pandas")
        elif source.implementation.is_pandas_like():
            self._namespace = source.__native_namespace__()
        elif self.columns is not None:
            self.columns = source.columns
        if self._namespace is not None:
            self._index = native.index

    def __getstate__(self) -> dict[str, Any]:
        module = None if self._namespace is None else self._namespace.__name__
        return {**{name: getattr(self, name) for name in self.__slots__}, "_namespace": module}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
        self._namespace = None if self._namespace is None else import_module(self._namespace)

    @property
    def has_index(self) -> bool:
        """Whether the library has labelled axes, as pandas has."""
        return self._index is not None

    def along(self, axis: int) -> Any:
        """Return the pandas index along an axis; None where the library has none."""
        if not self.has_index:
            return None
        return self._index if axis == 0 else self.columns

    def describe(self, position: tuple[int, ...]) -> str:
        """Say which labels a position has, for a message."""
        names = [f"row {self._index[position[0]]}"] if self.has_index else []
        if self.columns is not None:
            names.append(f"column {self.columns[position[1]]!r}")
        return f" ({', '.join(names)})" if names else ""

    def label(
        self, values: NDArray[Any], axes: tuple[int, ...], levels: Floats | None, title: str, bounds: bool = False
    ) -> Any:
        """Return results over ``axes`` in the form that the module describes.

        ``values`` have a first axis for what stays of a frame, then one for the levels unless these are None, then
        one of low and high if they are bounds; at least one of these.
        """
        of_frame = self.columns is not None and len(axes) == 1
        if self.has_index:
            result = self._label_indexed(values, 1 - axes[0] if of_frame else None, levels, bounds)
        else:
            result = self._label_columns(values, axes[0] if of_frame else None, levels, title, bounds)
        if self._rewrap:
            import narwhals as nw

            return nw.from_native(result, allow_series=True)
        return result

    def _label_indexed(self, values: NDArray[Any], kept: int | None, levels: Floats | None, bounds: bool) -> Any:
        pandas = self._namespace
        if kept is None:
            if not bounds:
                return pandas.Series(values, index=levels, name=self.name)
            return pandas.DataFrame(values, index=levels, columns=_BOUNDS)
        rows = self.along(kept)
        if levels is None and not bounds:
            return pandas.Series(values, index=rows)
        columns = levels if not bounds else _BOUNDS
        if levels is not None and bounds:
            columns = pandas.MultiIndex.from_product([levels, _BOUNDS])
        return pandas.DataFrame(values.reshape(len(rows), -1), index=rows, columns=columns)

    def _label_columns(
        self, values: NDArray[Any], reduced: int | None, levels: Floats | None, title: str, bounds: bool
    ) -> Any:
        if reduced is None:
            if not bounds:
                return self._series(self.name or title, values)
            return self._frame({"level": levels}, _BOUNDS, values)
        if reduced == 0:
            leading: dict[str, Any] = {}
            if levels is not None:
                leading["level"] = np.repeat(levels, 2 if bounds else 1)
            if bounds:
                leading["bound"] = _BOUNDS * (1 if levels is None else len(levels))
            return self._frame(leading, self.columns, values.reshape(len(self.columns), -1).T)
        if levels is None and not bounds:
            return self._series(title, values)
        names = [repr(level) for level in levels.tolist()] if levels is not None else [""]
        if bounds:
            names = [f"{name} {bound}".strip() for name in names for bound in _BOUNDS]
        return self._frame({}, names, values.reshape(len(values), -1))

    def label_rows(
        self,
        values: NDArray[Any],
        missing: Callable[[], NDArray[np.bool_]],
        levels: Floats | None,
        step: int,
        title: str,
        times: TimesColumn | None,
    ) -> Any:
        """Return results for every ``step``-th row in the form that the module describes.

        ``values`` have an axis for the rows, one for the columns of a frame, one for the levels unless these are None;
        ``missing`` tells which of them are not there.
        """
        if self.has_index:
            result = self._label_rows_indexed(values, levels, step)
        else:
            result = self._label_rows_by_name(values, missing(), levels, title)
        if times is not None:
            result = times.put_back(result, step, 1 if levels is None else len(levels))
        if self._rewrap:
            import narwhals as nw

            return nw.from_native(result, allow_series=True)
        return result

    def _label_rows_indexed(self, values: NDArray[Any], levels: Floats | None, step: int) -> Any:
        pandas = self._namespace
        index = self._index[::step]
        if self.columns is None:
            if levels is None:
                return pandas.Series(values, index=index, name=self.name)
            return pandas.DataFrame(values, index=index, columns=levels)
        columns = self.columns
        if levels is not None:
            own = [columns.get_level_values(depth).repeat(len(levels)) for depth in range(columns.nlevels)]
            names = [*columns.names, None]
            columns = pandas.MultiIndex.from_arrays([*own, np.tile(levels, len(columns))], names=names)
            values = _side_by_side(values)
        return pandas.DataFrame(values, index=index, columns=columns, copy=False)

    def _label_rows_by_name(
        self, values: NDArray[Any], missing: NDArray[np.bool_], levels: Floats | None, title: str
    ) -> Any:
        import narwhals as nw

        of_series = self.columns is None
        own = [self.name or (title if levels is not None else "")] if of_series else list(self.columns)
        names = own if levels is None else [f"{name}_{level!r}" for name in own for level in levels.tolist()]
        if len(set(names)) < len(names):
            raise ValueError(
                f"the columns of the result would have the names {names}, some twice; rename the columns of x, or give "
                "each level once"
            )
        results, gone = _side_by_side(values), _side_by_side(missing)
        columns = {name: np.ascontiguousarray(results[:, position]) for position, name in enumerate(names)}
        if (np.isnan(results) == gone).all():
            frame = nw.from_dict(columns, backend=self._implementation).select(nw.all().fill_nan(None))
        else:
            pairs = zip(columns.items(), gone.T, strict=True)
            frame = nw.from_dict({name: self._masked(column, absent) for (name, column), absent in pairs})
        return frame[names[0]].to_native() if of_series and levels is None else frame.to_native()

    def _masked(self, values: NDArray[Any], missing: NDArray[np.bool_]) -> Any:
        """Return a narwhals series in which what is missing is null and any other NaN stays."""
        import narwhals as nw

        pair = nw.from_dict({"value": values, "here": ~missing}, backend=self._implementation)
        return pair.select(nw.when(nw.col("here")).then(nw.col("value")))["value"]

    def _series(self, name: str, values: NDArray[Any]) -> Any:
        import narwhals as nw

        return nw.new_series(name, values, backend=self._implementation).to_native()

    def _frame(self, leading: dict[str, Any], names: Sequence[str], values: NDArray[Any]) -> Any:
        """Return a frame of the leading columns and one for each column of ``values``."""
        import narwhals as nw

        columns = {**leading, **dict(zip(names, np.ascontiguousarray(values.T), strict=True))}
        if len(columns) < len(leading) + len(names):
            raise ValueError(
                f"the columns of the result would have the names {[*leading, *names]}, some twice; "
                "rename the column of x, or give each level once"
            )
        return nw.from_dict(columns, backend=self._implementation).to_native()


def _side_by_side(values: NDArray[Any]) -> NDArray[Any]:
    """Return results for rows, columns and levels as a matrix of one column for each pair of the last two."""
    shape = (*values.shape[1:], 1, 1)
    # In this order results that follow each other in time stay together in memory.
    return np.asarray(np.moveaxis(values, 0, -1).reshape(shape[0] * shape[1], len(values)).T)


class TimesColumn:
    """The column of a frame that holds the times of its rows: taken out for the numbers, put back into the results."""

    __slots__ = ("_label", "_nested", "_position", "numbers", "times")

    def __init__(self, frame: Any, label: Any) -> None:
        """Take the column from a native frame; ``numbers`` is the rest of it."""
        indexed = hasattr(frame, "iloc")
        source = frame if indexed else _eager("x", frame)
        columns = list(source.columns)
        if columns.count(label) != 1:
            raise ValueError(
                f"on={label!r} must be the name of one column of x, or an array of times; the columns are {columns}"
            )
        self._label = label
        self._position = columns.index(label)
        self._nested = frame.columns.nlevels if indexed else 0
        self.times = source[label] if indexed else source[label].to_native()
        self.numbers = frame.drop(columns=[label]) if indexed else source.drop(label).to_native()

    def put_back(self, result: Any, step: int, levels: int) -> Any:
        """Insert the times of every ``step``-th row before the results of the columns that follow them."""
        position = self._position * levels
        if self._nested:
            label = self._label
            if result.columns.nlevels > self._nested:
                label = (*(label if isinstance(label, tuple) else (label,)), "")
            result.insert(position, label, self.times.iloc[::step])
            return result
        import narwhals as nw

        frame = nw.from_native(result, eager_only=True)
        times = nw.from_native(self.times, series_only=True).alias(self._label).gather_every(step)
        before, after = frame.columns[:position], frame.columns[position:]
        return frame.with_columns(times).select(*before, self._label, *after).to_native()


def split_times(x: Any, on: Any) -> tuple[Any, Any, TimesColumn | None]:
    """Return the numbers, the times of their rows and, if they are a column of x, that.

    ``on`` is the label of a column, times themselves, or None for the index.
    """
    frame = x
    if is_frame_like(x) and type(x).__module__.partition(".")[0] != "pandas":
        import narwhals as nw

        frame = nw.to_native(x, pass_through=True)
    if on is None:
        return x, getattr(frame, "index", None) if hasattr(frame, "iloc") else None, None
    if is_frame_like(on) or isinstance(on, (np.ndarray, list)):
        return x, on, None
    source = frame if not is_frame_like(x) or hasattr(frame, "iloc") else _eager("x", frame)
    if not hasattr(source, "columns"):
        raise TypeError(
            f"on must be an array of times for x of type {type(x).__name__}, got {_arguments.shown(on)}; only a data "
            "frame has columns to name"
        )
    column = TimesColumn(frame, on)
    if frame is x:
        return column.numbers, column.times, column
    import narwhals as nw

    return nw.from_native(column.numbers, eager_only=True), column.times, column


def align(name: str, values: Samples, own: Labels, targets: Sequence[Any]) -> Samples:
    """Bring values into the order of other labels, one pandas index or None for each of their axes."""
    for axis, target in enumerate(targets):
        index = own.along(axis)
        if target is None or index is None or index.equals(target):
            continue
        order = index.get_indexer(target) if index.is_unique and target.is_unique else np.array([-1])
        if len(index) != len(target) or (order < 0).any():
            other = [*index.difference(target), *target.difference(index)]
            example = f", for example at {other[0]!r}" if other else " (some are repeated)"
            raise ValueError(
                f"{name} must have the labels of the data they belong to, in any order; "
                f"they differ along axis {axis}{example}. Reindex them, or pass {name}.to_numpy() to go by position"
            )
        values = values.take(order, axis=axis)
    return values


def some_rows(labels: Labels, values: NDArray[Any], rows: NDArray[np.int64], columns: Sequence[Any] | None) -> Any:
    """Return values for some rows of a frame under the labels of these.

    A pandas series or frame; of a library without an index a frame, and for one dimension the array itself. Without
    ``columns`` those of a frame are numbered.
    """
    if labels.has_index:
        pandas, index = labels._namespace, labels._index[rows]
        if values.ndim == 1:
            return pandas.Series(values, index=index)
        return pandas.DataFrame(values, index=index, columns=columns)
    if values.ndim == 1:
        return values
    return labels._frame({}, columns or [f"column_{j}" for j in range(values.shape[1])], values)
