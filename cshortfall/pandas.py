"""The accessor ``shortfall`` of pandas series and data frames.

Importing this module registers it; `import cshortfall` does so where pandas has been imported before.

>>> import pandas as pd
>>> import cshortfall.pandas
>>> pnl = pd.Series([0.3, -2.0, 0.5, -1.0])
>>> pnl.shortfall.es(0.5)
1.5
>>> pnl.shortfall.rolling(2).es(0.5).tolist()
[nan, 2.0, 2.0, 1.0]
"""

from __future__ import annotations

from typing import Any

from pandas.api.extensions import register_dataframe_accessor, register_series_accessor

from cshortfall import estimate, rolling
from cshortfall._results import ESVaR, TailRisk

__all__ = ["EwmShortfall", "ExpandingShortfall", "RollingShortfall", "ShortfallAccessor"]


@register_series_accessor("shortfall")
@register_dataframe_accessor("shortfall")
class ShortfallAccessor:
    """Expected Shortfall and Value at Risk of a series, or of each column of a frame."""

    def __init__(self, data: Any) -> None:
        self._data = data

    def es(self, level: Any = 0.975, **options: Any) -> Any:
        """Return the Expected Shortfall.

        Parameters
        ----------
        level, **options
            As for `cshortfall.es`.

        Returns
        -------
        float, series or data frame
            As from `cshortfall.es`.

        Examples
        --------
        >>> import pandas as pd
        >>> import cshortfall.pandas
        >>> pd.DataFrame({"A": [1.0, -2.0], "B": [0.5, -0.5]}).shortfall.es(0.5)
        A    2.0
        B    0.5
        dtype: float64
        """
        return estimate.es(self._data, level, **options)

    def var(self, level: Any = 0.975, **options: Any) -> Any:
        """Return the Value at Risk.

        Parameters
        ----------
        level, **options
            As for `cshortfall.var`.

        Returns
        -------
        float, series or data frame
            As from `cshortfall.var`.

        Examples
        --------
        >>> import pandas as pd
        >>> import cshortfall.pandas
        >>> pd.Series([0.3, -2.0, 0.5, -1.0]).shortfall.var(0.5)
        1.0
        """
        return estimate.var(self._data, level, **options)

    def es_var(self, level: Any = 0.975, **options: Any) -> ESVaR:
        """Return Expected Shortfall and Value at Risk, from one pass.

        Parameters
        ----------
        level, **options
            As for `cshortfall.es_var`.

        Returns
        -------
        ESVaR
            As from `cshortfall.es_var`.

        Examples
        --------
        >>> import pandas as pd
        >>> import cshortfall.pandas
        >>> pd.Series([0.3, -2.0, 0.5, -1.0]).shortfall.es_var(0.5)
        ESVaR(es=1.5, var=1.0)
        """
        return estimate.es_var(self._data, level, **options)

    def tail_risk(self, level: Any = 0.975, **options: Any) -> TailRisk:
        """Return both with standard errors and intervals.

        Parameters
        ----------
        level, **options
            As for `cshortfall.tail_risk`.

        Returns
        -------
        TailRisk
            As from `cshortfall.tail_risk`.

        Examples
        --------
        >>> import numpy as np
        >>> import pandas as pd
        >>> import cshortfall.pandas
        >>> pd.Series(np.arange(100.0)).shortfall.tail_risk(0.9, interval=None).tail_count
        10.0
        """
        return estimate.tail_risk(self._data, level, **options)

    def rolling(
        self,
        window: Any,
        *,
        min_periods: int | None = None,
        center: bool = False,
        closed: str | None = None,
        step: int | None = None,
        on: Any = None,
    ) -> RollingShortfall:
        """Return the windows of the data, for their Expected Shortfall or Value at Risk.

        Parameters
        ----------
        window, min_periods, center, closed, step, on
            As for `cshortfall.rolling.rolling_es`.

        Returns
        -------
        RollingShortfall
            Its methods `es`, `var` and `es_var` compute.

        Examples
        --------
        >>> import pandas as pd
        >>> import cshortfall.pandas
        >>> frame = pd.DataFrame({"A": [1.0, -2.0, 3.0], "B": [0.5, -0.5, -4.0]})
        >>> frame.shortfall.rolling(2).es(0.5)
             A    B
        0  NaN  NaN
        1  2.0  0.5
        2  2.0  4.0
        """
        options = {"min_periods": min_periods, "center": center, "closed": closed, "step": step, "on": on}
        return RollingShortfall(self._data, window, options)

    def expanding(self, min_periods: int = 1) -> ExpandingShortfall:
        """Return all outcomes so far, for their Expected Shortfall or Value at Risk.

        Parameters
        ----------
        min_periods : int
            As for `cshortfall.rolling.expanding_es`.

        Returns
        -------
        ExpandingShortfall
            Its methods `es`, `var` and `es_var` compute.

        Examples
        --------
        >>> import pandas as pd
        >>> import cshortfall.pandas
        >>> pd.Series([1.0, -2.0, 3.0]).shortfall.expanding().es(0.5).tolist()
        [-1.0, 2.0, 1.0]
        """
        return ExpandingShortfall(self._data, min_periods)

    def ewm(
        self,
        *,
        com: float | None = None,
        span: float | None = None,
        halflife: float | None = None,
        alpha: float | None = None,
        decay: float | None = None,
        min_periods: int = 0,
        ignore_na: bool = False,
    ) -> EwmShortfall:
        """Return all outcomes so far with weights that decay, for their Expected Shortfall.

        Parameters
        ----------
        com, span, halflife, alpha, decay, min_periods, ignore_na
            As for `cshortfall.rolling.ewm_es`.

        Returns
        -------
        EwmShortfall
            Its method `es` computes.

        Examples
        --------
        >>> import pandas as pd
        >>> import cshortfall.pandas
        >>> pd.Series([1.0, -2.0, 4.0]).shortfall.ewm(halflife=1).es(0.75).tolist()
        [-1.0, 2.0, 2.0]
        """
        options = {"com": com, "span": span, "halflife": halflife, "alpha": alpha, "decay": decay}
        return EwmShortfall(self._data, {**options, "min_periods": min_periods, "ignore_na": ignore_na})


class RollingShortfall:
    """Windows of a series or frame, as ``shortfall.rolling`` returns them."""

    def __init__(self, data: Any, window: Any, options: dict[str, Any]) -> None:
        self._data = data
        self._window = window
        self._options = options

    def es(self, level: Any = 0.975, *, tail: str = "lower") -> Any:
        """Return the Expected Shortfall of every window; see `cshortfall.rolling.rolling_es`.

        Examples
        --------
        >>> import pandas as pd
        >>> import cshortfall.pandas
        >>> pd.Series([1.0, -2.0, 3.0]).shortfall.rolling(2).es(0.5).tolist()
        [nan, 2.0, 2.0]
        """
        return rolling.rolling_es(self._data, self._window, level, tail=tail, **self._options)

    def var(self, level: Any = 0.975, *, tail: str = "lower") -> Any:
        """Return the Value at Risk of every window; see `cshortfall.rolling.rolling_var`.

        Examples
        --------
        >>> import pandas as pd
        >>> import cshortfall.pandas
        >>> pd.Series([1.0, -2.0, 3.0]).shortfall.rolling(2).var(0.5).tolist()
        [nan, 2.0, 2.0]
        """
        return rolling.rolling_var(self._data, self._window, level, tail=tail, **self._options)

    def es_var(self, level: Any = 0.975, *, tail: str = "lower") -> ESVaR:
        """Return both of every window, from one pass; see `cshortfall.rolling.rolling_es_var`.

        Examples
        --------
        >>> import pandas as pd
        >>> import cshortfall.pandas
        >>> pd.Series([1.0, -2.0, 3.0]).shortfall.rolling(3).es_var(0.5).es.tolist()
        [nan, nan, 1.0]
        """
        return rolling.rolling_es_var(self._data, self._window, level, tail=tail, **self._options)


class ExpandingShortfall:
    """All outcomes so far of a series or frame, as ``shortfall.expanding`` returns them."""

    def __init__(self, data: Any, min_periods: int) -> None:
        self._data = data
        self._min_periods = min_periods

    def es(self, level: Any = 0.975, *, tail: str = "lower") -> Any:
        """Return the Expected Shortfall at each position; see `cshortfall.rolling.expanding_es`.

        Examples
        --------
        >>> import pandas as pd
        >>> import cshortfall.pandas
        >>> pd.Series([1.0, -2.0, 3.0]).shortfall.expanding(2).es(0.5).tolist()
        [nan, 2.0, 1.0]
        """
        return rolling.expanding_es(self._data, level, min_periods=self._min_periods, tail=tail)

    def var(self, level: Any = 0.975, *, tail: str = "lower") -> Any:
        """Return the Value at Risk at each position; see `cshortfall.rolling.expanding_var`.

        Examples
        --------
        >>> import pandas as pd
        >>> import cshortfall.pandas
        >>> pd.Series([1.0, -2.0, 3.0]).shortfall.expanding().var(0.5).tolist()
        [-1.0, 2.0, -1.0]
        """
        return rolling.expanding_var(self._data, level, min_periods=self._min_periods, tail=tail)

    def es_var(self, level: Any = 0.975, *, tail: str = "lower") -> ESVaR:
        """Return both at each position, from one pass; see `cshortfall.rolling.expanding_es_var`.

        Examples
        --------
        >>> import pandas as pd
        >>> import cshortfall.pandas
        >>> pd.Series([1.0, -2.0, 3.0]).shortfall.expanding().es_var(0.5).es.tolist()
        [-1.0, 2.0, 1.0]
        """
        return rolling.expanding_es_var(self._data, level, min_periods=self._min_periods, tail=tail)


class EwmShortfall:
    """All outcomes so far with weights that decay, as ``shortfall.ewm`` returns them."""

    def __init__(self, data: Any, options: dict[str, Any]) -> None:
        self._data = data
        self._options = options

    def es(self, level: Any = 0.975, *, tail: str = "lower") -> Any:
        """Return the Expected Shortfall at each position; see `cshortfall.rolling.ewm_es`.

        Examples
        --------
        >>> import pandas as pd
        >>> import cshortfall.pandas
        >>> pd.Series([1.0, -2.0, 4.0]).shortfall.ewm(decay=0.5).es(0.75).tolist()
        [-1.0, 2.0, 2.0]
        """
        return rolling.ewm_es(self._data, level, tail=tail, **self._options)
