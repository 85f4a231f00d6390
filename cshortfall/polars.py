"""The namespace ``shortfall`` of polars expressions and series.

Importing this module registers it; `import cshortfall` does so where polars has been imported before. Expressions work
in ``select``, ``with_columns``, ``over`` and ``group_by().agg``, lazily too. Null is missing; a result for which there
are too few outcomes is null. Several levels make a struct with one field for each. Of expressions `weights` and `on`
need polars 1.33 or later.

>>> import polars as pl
>>> import cshortfall.polars
>>> frame = pl.DataFrame({"desk": ["A", "A", "B", "B"], "pnl": [0.3, -2.0, 0.5, -1.0]})
>>> frame.group_by("desk", maintain_order=True).agg(pl.col("pnl").shortfall.es(0.5)).rows()
[('A', 2.0), ('B', 1.0)]
>>> frame.select(pl.col("pnl").shortfall.rolling_es(2, 0.5)).to_series().to_list()
[None, 2.0, 2.0, 1.0]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from cshortfall import _arguments, estimate, rolling

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["ShortfallExpr", "ShortfallSeries"]


class _Namespace:
    """What expressions and series have in common: each method names a function and its arguments."""

    def _one(self, function: Callable[..., Any], level: Any, beside: dict[str, Any], options: dict[str, Any]) -> Any:
        """Call a function that gives one number; those of ``beside`` that are not None are expressions or data."""
        raise NotImplementedError

    def _each(self, function: Callable[..., Any], level: Any, beside: dict[str, Any], options: dict[str, Any]) -> Any:
        """Call a function that gives a number for each row."""
        raise NotImplementedError

    def es(
        self,
        level: Any = 0.975,
        *,
        weights: Any = None,
        tail: str = "lower",
        nan_policy: str = "propagate",
        method: str = "historical",
    ) -> Any:
        """Return the Expected Shortfall.

        Parameters
        ----------
        level, weights, tail, nan_policy, method
            As for `cshortfall.es`; of an expression `weights` is an expression or the name of a column.

        Returns
        -------
        Expr or float
            Of an expression an aggregate, null where there is no row; of a series as from `cshortfall.es`.

        Examples
        --------
        >>> import polars as pl
        >>> import cshortfall.polars
        >>> frame = pl.DataFrame({"pnl": [0.3, -2.0, 0.5, -1.0], "weight": [1.0, 1.0, 1.0, 3.0]})
        >>> frame.select(pl.col("pnl").shortfall.es(0.5, weights="weight")).item()
        1.3333333333333333
        """
        options = {"tail": tail, "nan_policy": nan_policy, "method": method}
        return self._one(estimate.es, level, {"weights": weights}, options)

    def var(
        self,
        level: Any = 0.975,
        *,
        weights: Any = None,
        tail: str = "lower",
        nan_policy: str = "propagate",
        method: str = "historical",
        quantile_method: str = "inverted_cdf",
    ) -> Any:
        """Return the Value at Risk.

        Parameters
        ----------
        level, weights, tail, nan_policy, method, quantile_method
            As for `cshortfall.var`; of an expression `weights` is an expression or the name of a column.

        Returns
        -------
        Expr or float
            Of an expression an aggregate, null where there is no row; of a series as from `cshortfall.var`.

        Examples
        --------
        >>> import polars as pl
        >>> import cshortfall.polars
        >>> frame = pl.DataFrame({"pnl": [0.3, -2.0, 0.5, -1.0]})
        >>> frame.select(pl.col("pnl").shortfall.var(0.5)).item()
        1.0
        """
        options = {"tail": tail, "nan_policy": nan_policy, "method": method, "quantile_method": quantile_method}
        return self._one(estimate.var, level, {"weights": weights}, options)

    def rolling_es(
        self,
        window: Any,
        level: Any = 0.975,
        *,
        min_periods: int | None = None,
        center: bool = False,
        closed: str | None = None,
        step: int | None = None,
        on: Any = None,
        tail: str = "lower",
    ) -> Any:
        """Return the Expected Shortfall of every window.

        Parameters
        ----------
        window, level, min_periods, center, closed, step, on, tail
            As for `cshortfall.rolling.rolling_es`; of an expression `on` is an expression or the name of a column.

        Returns
        -------
        Expr, or series or data frame
            Of an expression one value for each row, unless `step` says otherwise.

        Examples
        --------
        >>> import datetime
        >>> import polars as pl
        >>> import cshortfall.polars
        >>> days = [datetime.date(2024, 1, day) for day in (2, 3, 9)]
        >>> frame = pl.DataFrame({"day": days, "pnl": [0.3, -2.0, 0.5]})
        >>> frame.select(pl.col("pnl").shortfall.rolling_es("5D", 0.5, on="day")).to_series().to_list()
        [-0.3, 2.0, -0.5]
        """
        options = {"min_periods": min_periods, "center": center, "closed": closed, "step": step, "tail": tail}
        return self._each(rolling.rolling_es, level, {"on": on}, {"window": window, **options})

    def rolling_var(
        self,
        window: Any,
        level: Any = 0.975,
        *,
        min_periods: int | None = None,
        center: bool = False,
        closed: str | None = None,
        step: int | None = None,
        on: Any = None,
        tail: str = "lower",
    ) -> Any:
        """Return the Value at Risk of every window.

        Parameters
        ----------
        window, level, min_periods, center, closed, step, on, tail
            As for `rolling_es`.

        Returns
        -------
        Expr, or series or data frame
            As from `rolling_es`.

        Examples
        --------
        >>> import polars as pl
        >>> import cshortfall.polars
        >>> pl.Series([0.3, -2.0, 0.5]).shortfall.rolling_var(2, 0.5).to_list()
        [None, 2.0, 2.0]
        """
        options = {"min_periods": min_periods, "center": center, "closed": closed, "step": step, "tail": tail}
        return self._each(rolling.rolling_var, level, {"on": on}, {"window": window, **options})

    def expanding_es(self, level: Any = 0.975, *, min_periods: int = 1, tail: str = "lower") -> Any:
        """Return the Expected Shortfall of all outcomes so far, at each of them.

        Parameters
        ----------
        level, min_periods, tail
            As for `cshortfall.rolling.expanding_es`.

        Returns
        -------
        Expr, or series or data frame
            One value for each row.

        Examples
        --------
        >>> import polars as pl
        >>> import cshortfall.polars
        >>> pl.Series([0.3, -2.0, 0.5]).shortfall.expanding_es(0.5).to_list()[:2]
        [-0.3, 2.0]
        """
        return self._each(rolling.expanding_es, level, {}, {"min_periods": min_periods, "tail": tail})

    def expanding_var(self, level: Any = 0.975, *, min_periods: int = 1, tail: str = "lower") -> Any:
        """Return the Value at Risk of all outcomes so far, at each of them.

        Parameters
        ----------
        level, min_periods, tail
            As for `cshortfall.rolling.expanding_var`.

        Returns
        -------
        Expr, or series or data frame
            One value for each row.

        Examples
        --------
        >>> import polars as pl
        >>> import cshortfall.polars
        >>> pl.Series([0.3, -2.0, 0.5]).shortfall.expanding_var(0.5).to_list()
        [-0.3, 2.0, -0.3]
        """
        return self._each(rolling.expanding_var, level, {}, {"min_periods": min_periods, "tail": tail})

    def ewm_es(
        self,
        level: Any = 0.975,
        *,
        com: float | None = None,
        span: float | None = None,
        halflife: float | None = None,
        alpha: float | None = None,
        decay: float | None = None,
        min_periods: int = 0,
        ignore_na: bool = False,
        tail: str = "lower",
    ) -> Any:
        """Return the Expected Shortfall of all outcomes so far, the weights decaying with age.

        Parameters
        ----------
        level, com, span, halflife, alpha, decay, min_periods, ignore_na, tail
            As for `cshortfall.rolling.ewm_es`.

        Returns
        -------
        Expr, or series or data frame
            One value for each row.

        Examples
        --------
        >>> import polars as pl
        >>> import cshortfall.polars
        >>> pl.Series([1.0, -2.0, 4.0]).shortfall.ewm_es(0.75, decay=0.5).to_list()
        [-1.0, 2.0, 2.0]
        """
        factors = {"com": com, "span": span, "halflife": halflife, "alpha": alpha, "decay": decay}
        options = {**factors, "min_periods": min_periods, "ignore_na": ignore_na, "tail": tail}
        return self._each(rolling.ewm_es, level, {}, options)


@pl.api.register_series_namespace("shortfall")
class ShortfallSeries(_Namespace):
    """Expected Shortfall and Value at Risk of a series."""

    def __init__(self, series: pl.Series) -> None:
        self._series = series

    def _one(self, function: Callable[..., Any], level: Any, beside: dict[str, Any], options: dict[str, Any]) -> Any:
        return function(self._series, level=level, **beside, **options)

    _each = _one


@pl.api.register_expr_namespace("shortfall")
class ShortfallExpr(_Namespace):
    """Expected Shortfall and Value at Risk as expressions."""

    def __init__(self, expression: pl.Expr) -> None:
        self._expression = expression

    def _one(self, function: Callable[..., Any], level: Any, beside: dict[str, Any], options: dict[str, Any]) -> Any:
        levels = _arguments.read_levels(level)
        names = _names_of(levels)

        def compute(series: pl.Series, others: dict[str, pl.Series]) -> Any:
            if series.is_empty():
                return None
            value = function(series, level=levels, **others, **options)
            if names is None:
                return value
            return pl.DataFrame([value.to_list()], schema=names, orient="row").to_struct(series.name)

        return self._map(compute, names, beside, returns_scalar=True)

    def _each(self, function: Callable[..., Any], level: Any, beside: dict[str, Any], options: dict[str, Any]) -> Any:
        levels = _arguments.read_levels(level)
        names = _names_of(levels)

        def compute(series: pl.Series, others: dict[str, pl.Series]) -> pl.Series:
            result = function(series, level=levels, **others, **options)
            if names is None:
                return result  # type: ignore[no-any-return]
            result.columns = names
            return result.to_struct(series.name)  # type: ignore[no-any-return]

        return self._map(compute, names, beside, returns_scalar=False)

    def _map(
        self,
        compute: Callable[[pl.Series, dict[str, pl.Series]], Any],
        names: list[str] | None,
        beside: dict[str, Any],
        returns_scalar: bool,
    ) -> pl.Expr:
        given = {name: _expression(name, value) for name, value in beside.items() if value is not None}
        dtype = pl.Float64() if names is None else pl.Struct(dict.fromkeys(names, pl.Float64()))
        if not given:
            return self._expression.map_batches(
                lambda series: compute(series, {}), return_dtype=dtype, returns_scalar=returns_scalar
            )

        def compute_beside(series: Sequence[pl.Series]) -> Any:
            return compute(series[0], dict(zip(given, series[1:], strict=True)))

        # Versions of polars that do not know the keyword would not keep to groups here, silently.
        return pl.map_batches(
            [self._expression, *given.values()], compute_beside, return_dtype=dtype, returns_scalar=returns_scalar
        )


def _expression(name: str, value: Any) -> pl.Expr:
    if isinstance(value, str):
        return pl.col(value)
    if isinstance(value, pl.Expr):
        return value
    raise TypeError(f"{name} must be an expression or the name of a column, got {_arguments.shown(value)}")


def _names_of(levels: _arguments.Levels) -> list[str] | None:
    """Return the fields of a struct of results for several levels, None for a single one."""
    if levels.scalar:
        return None
    names = [repr(one) for one in levels.values.tolist()]
    if len(set(names)) < len(names):
        raise ValueError(f"level must name each level once, got {names}: they name the fields of the result")
    return names
