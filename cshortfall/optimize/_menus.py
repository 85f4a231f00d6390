"""Menus of instruments to hedge with: what one of each pays in every scenario, and what it costs.

Options that expire at the horizon pay their intrinsic value there. What lives longer is worth what a value model says:
a callable ``value(prices, strike, time_left)`` that returns the value at the horizon for each of the prices.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cshortfall import _arguments
from cshortfall._frames import align

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cshortfall._arguments import Floats, Samples
    from cshortfall._frames import Labels

    Value = Callable[[Floats, float, float], Any]


class Menu:
    """Instruments that can be bought, some of them sold: payoffs at the horizon and premiums.

    Parameters
    ----------
    payoffs : array_like, shape (n_scenarios, n_instruments)
        What one of each instrument pays in each scenario. A data frame has one column for each instrument.
    premiums : array_like, shape (n_instruments,), float or mapping
        What one of each costs today; negative if one is paid to take it. A mapping goes by name.
    names : sequence of str, optional
        Names of the instruments, all different. Default: the columns of a frame, else positions from 0.
    sellable : array_like of bool, shape (n_instruments,), or bool
        Whether an instrument can be sold as well as bought when nothing else is said (`min_quantity` of `hedge`).

    Attributes
    ----------
    payoffs, premiums, names, sellable
        As given, as arrays and a tuple.

    Raises
    ------
    ValueError
        Shapes that do not fit, something empty, missing or infinite, names that repeat.
    TypeError
        Data that are no real numbers.

    Notes
    -----
    ``menu + other`` holds the instruments of both, which must be of the same scenarios.

    Examples
    --------
    >>> from cshortfall.optimize.hedging import Menu
    >>> menu = Menu([[0.0, 5.0], [10.0, -5.0]], [1.5, 0.0], names=["put", "future"], sellable=[False, True])
    >>> len(menu), menu.names
    (2, ('put', 'future'))
    """

    def __init__(self, payoffs: Any, premiums: Any, names: Any = None, sellable: Any = False) -> None:
        self.payoffs, self._labels = _arguments.read_samples("payoffs", payoffs)
        if self.payoffs.ndim != 2 or self.payoffs.size == 0:
            raise ValueError(
                "payoffs must have shape (n_scenarios, n_instruments), at least one of each, got shape "
                f"{self.payoffs.shape}; one instrument is payoffs[:, np.newaxis]"
            )
        _arguments.check_finite("payoffs", self.payoffs)
        self.index: Any = None if self._labels is None else self._labels.along(0)
        if names is None:
            names = range(self.payoffs.shape[1]) if self._labels is None else self._labels.columns
        self.names: tuple[Any, ...] = tuple(names)
        if len(self.names) != len(self):
            raise ValueError(f"names must be one for each of the {len(self)} instruments, got {len(self.names)}")
        if len(set(self.names)) < len(self):
            twice = next(name for name in self.names if self.names.count(name) > 1)
            raise ValueError(f"names must all be different, got {twice!r} twice; rename one of the instruments")
        self.premiums = self.read_each("premiums", premiums)
        _arguments.check_finite("premiums", self.premiums)
        self.sellable = self.read_flags("sellable", sellable)

    def __len__(self) -> int:
        return int(self.payoffs.shape[1])

    def __repr__(self) -> str:
        listed = ", ".join(f"{name}: {cost:.6g}" for name, cost in zip(self.names, self.premiums, strict=True))
        return f"Menu({len(self.payoffs)} scenarios; {listed})"

    def __add__(self, other: Any) -> Menu:
        if not isinstance(other, Menu):
            return NotImplemented
        if len(self.payoffs) != len(other.payoffs):
            raise ValueError(
                "menus must be of the same scenarios to be added, "
                f"got {len(self.payoffs)} and {len(other.payoffs)} of them"
            )
        if self.index is not None and other.index is not None and not self.index.equals(other.index):
            raise ValueError("menus must be of the same scenarios to be added, got different labels of the rows")
        both = Menu(
            np.hstack([self.payoffs, other.payoffs]),
            np.concatenate([self.premiums, other.premiums]),
            (*self.names, *other.names),
            np.concatenate([self.sellable, other.sellable]),
        )
        both.index = other.index if self.index is None else self.index
        return both

    def label(self, values: Floats) -> Any:
        """Return one value for each instrument, labelled if the payoffs were a frame."""
        if self._labels is None:
            return values
        return self._labels.label(values, (0,), None, "quantities")

    def read_each(self, name: str, given: Any, default: float | Floats | None = None) -> Floats:
        """Return one number for each instrument, from a number, a sequence, a series or a mapping by name.

        Instruments that a mapping leaves out have the default; without a default it names all.
        """
        if isinstance(given, Mapping):
            given = self._in_order(name, given, default)
        values, labels = _arguments.read_samples(name, given)
        if labels is not None and self._labels is not None and values.ndim == 1:
            values = align(name, values, labels, [self._labels.along(1)])
        if values.ndim > 1 or (values.ndim == 1 and len(values) != len(self)):
            raise ValueError(
                f"{name} must be one number, or one for each of the {len(self)} instruments, got shape {values.shape}"
            )
        missing = np.isnan(values)
        if missing.any():
            raise ValueError(f"{name} must not be missing (NaN); leave {name} out of a mapping for its default")
        return np.array(np.broadcast_to(values, len(self)), dtype=np.float64)

    def read_flags(self, name: str, given: Any) -> NDArray[np.bool_]:
        """Return True or False for each instrument, from one of them, a sequence, a series or a mapping by name."""
        if isinstance(given, Mapping):
            given = self._in_order(name, given, np.zeros(len(self), dtype=bool))
        elif hasattr(given, "reindex") and self._labels is not None and self._labels.has_index:
            given = given.reindex(self._labels.columns)
        flags = np.asarray(given)
        if flags.dtype != np.bool_:
            raise TypeError(
                f"{name} must be True or False, or one of them for each instrument, got {_arguments.shown(given)}"
            )
        if flags.ndim > 1 or (flags.ndim == 1 and len(flags) != len(self)):
            raise ValueError(f"{name} must be one for each of the {len(self)} instruments, got shape {flags.shape}")
        return np.array(np.broadcast_to(flags, len(self)))

    def _in_order(self, name: str, given: Mapping[Any, Any], default: Any) -> list[Any]:
        unknown = [key for key in given if key not in self.names]
        if unknown:
            raise ValueError(f"{name} names {unknown[0]!r}, which is no instrument; the instruments are {self.names}")
        absent = [one for one in self.names if one not in given]
        if absent and default is None:
            raise ValueError(f"{name} must name every instrument; {absent[0]!r} is missing")
        defaults = [None] * len(self) if default is None else np.broadcast_to(default, len(self)).tolist()
        return [given.get(one, other) for one, other in zip(self.names, defaults, strict=True)]


def protective_puts(
    strikes: Any,
    premiums: Any,
    scenarios: Any,
    *,
    time_left: Any = 0.0,
    value: Value | None = None,
    contract_size: float = 1.0,
    name: str = "put",
) -> Menu:
    """Return puts on one underlying, over strikes and expiries.

    Parameters
    ----------
    strikes, premiums : array_like
        Strike and premium of each put, for one of the underlying. They are broadcast together with `time_left`:
        premiums of shape (n_expiries, n_strikes) go with strikes of shape (n_strikes,) and times of (n_expiries, 1).
    scenarios : array_like, shape (n_scenarios,)
        Price of the underlying at the horizon in each scenario.
    time_left : array_like
        Time from the horizon to the expiry of each put, in the unit of `value`; 0 expires at the horizon.
    value : callable, optional
        ``value(prices, strike, time_left) -> array`` of the value at the horizon of a put that lives on; needed where
        any `time_left` is above 0.
    contract_size : float
        Number of the underlying in one contract; multiplies payoffs and premiums.
    name : str
        First word of the instruments' names, to tell one underlying from another.

    Returns
    -------
    Menu
        Named ``"put 90"``, ``"put 90, 0.25 left"``; they can be bought only.

    Raises
    ------
    ValueError
        Shapes that do not fit, a negative `time_left`, an option that lives on without a value model.
    TypeError
        Data that are no real numbers.

    Examples
    --------
    >>> from cshortfall.optimize.hedging import protective_puts
    >>> menu = protective_puts([90, 100], [1.2, 3.5], scenarios=[80.0, 95.0, 110.0])
    >>> menu.names
    ('put 90', 'put 100')
    >>> menu.payoffs
    array([[10., 20.],
           [ 0.,  5.],
           [ 0.,  0.]])
    """
    legs = [_Leg("strikes", strikes, 1.0, _put_payoff, value)]
    return _options(legs, premiums, scenarios, time_left, contract_size, name)


def protective_calls(
    strikes: Any,
    premiums: Any,
    scenarios: Any,
    *,
    time_left: Any = 0.0,
    value: Value | None = None,
    contract_size: float = 1.0,
    name: str = "call",
) -> Menu:
    """Return calls on one underlying, which protect a book that is short of it.

    Parameters, results and errors are those of `protective_puts`; `value` is of calls.

    Examples
    --------
    >>> from cshortfall.optimize.hedging import protective_calls
    >>> protective_calls([100], [3.5], scenarios=[80.0, 105.0, 110.0]).payoffs.ravel()
    array([ 0.,  5., 10.])
    """
    legs = [_Leg("strikes", strikes, 1.0, _call_payoff, value)]
    return _options(legs, premiums, scenarios, time_left, contract_size, name)


def put_spreads(
    long_strikes: Any,
    short_strikes: Any,
    premiums: Any,
    scenarios: Any,
    *,
    time_left: Any = 0.0,
    value: Value | None = None,
    contract_size: float = 1.0,
    name: str = "put spread",
) -> Menu:
    """Return put spreads: a put bought at a strike and one sold at a lower strike.

    Parameters
    ----------
    long_strikes, short_strikes : array_like
        Strikes of the puts bought and sold; the second below the first.
    premiums : array_like
        Net premium of each spread, for one of the underlying.
    scenarios, time_left, value, contract_size, name
        As for `protective_puts`; strikes and premiums are broadcast together with `time_left`.

    Returns
    -------
    Menu
        Named ``"put spread 95/85"``; they can be bought only.

    Raises
    ------
    ValueError
        A strike of a put sold that is not below that of the put bought; otherwise as for `protective_puts`.
    TypeError
        Data that are no real numbers.

    Examples
    --------
    >>> from cshortfall.optimize.hedging import put_spreads
    >>> put_spreads([95], [85], [2.0], scenarios=[80.0, 90.0, 100.0]).payoffs.ravel()
    array([10.,  5.,  0.])
    """
    legs = [
        _Leg("long_strikes", long_strikes, 1.0, _put_payoff, value),
        _Leg("short_strikes", short_strikes, -1.0, _put_payoff, value),
    ]
    return _options(legs, premiums, scenarios, time_left, contract_size, name, order=np.greater)


def collars(
    put_strikes: Any,
    call_strikes: Any,
    premiums: Any,
    scenarios: Any,
    *,
    time_left: Any = 0.0,
    value: Value | None = None,
    call_value: Value | None = None,
    contract_size: float = 1.0,
    name: str = "collar",
) -> Menu:
    """Return collars: a put bought and a call sold at a strike that is not lower.

    Parameters
    ----------
    put_strikes, call_strikes : array_like
        Strikes of the puts bought and of the calls sold. Equal strikes make a synthetic short future.
    premiums : array_like
        Net premium of each collar, for one of the underlying; negative if the call brings in more than the put costs.
    scenarios, time_left, contract_size, name
        As for `protective_puts`; strikes and premiums are broadcast together with `time_left`.
    value, call_value : callable, optional
        Value models of the puts and of the calls, as for `protective_puts`.

    Returns
    -------
    Menu
        Named ``"collar 90/110"``; they can be bought only.

    Raises
    ------
    ValueError
        A call strike below the put strike; otherwise as for `protective_puts`.
    TypeError
        Data that are no real numbers.

    Examples
    --------
    >>> from cshortfall.optimize.hedging import collars
    >>> collars([90], [110], [0.0], scenarios=[80.0, 100.0, 125.0]).payoffs.ravel()
    array([ 10.,   0., -15.])
    """
    legs = [
        _Leg("put_strikes", put_strikes, 1.0, _put_payoff, value),
        _Leg("call_strikes", call_strikes, -1.0, _call_payoff, call_value, "call_value"),
    ]
    return _options(legs, premiums, scenarios, time_left, contract_size, name, order=np.less_equal)


def futures(prices: Any, scenarios: Any, *, contract_size: float = 1.0, name: str = "future") -> Menu:
    """Return futures or forwards: nothing is paid today, and they can be sold as well as bought.

    Parameters
    ----------
    prices : array_like, shape (n_futures,) or float
        Price agreed today.
    scenarios : array_like, shape (n_scenarios,)
        Price at the horizon in each scenario: of the underlying, or of the future itself if it expires later.
    contract_size, name
        As for `protective_puts`.

    Returns
    -------
    Menu
        Named ``"future 100"``; one bought pays the price at the horizon less the price agreed.

    Raises
    ------
    ValueError, TypeError
        As for `protective_puts`.

    Examples
    --------
    >>> from cshortfall.optimize.hedging import futures
    >>> futures(100.0, scenarios=[80.0, 125.0]).payoffs.ravel()
    array([-20.,  25.])
    """
    spot, labels = _read_prices(scenarios)
    agreed = _read_numbers("prices", prices).ravel()
    size = _read_size(contract_size)
    payoffs = size * (spot[:, np.newaxis] - agreed)
    return _menu(payoffs, np.zeros(agreed.size), [f"{name} {price:.10g}" for price in agreed], True, labels)


class _Leg:
    """One option of each instrument of a menu: bought (sign 1) or sold (-1) at its strikes."""

    def __init__(
        self,
        argument: str,
        strikes: Any,
        sign: float,
        payoff: Callable[[Floats, float], Floats],
        value: Value | None,
        model: str = "value",
    ) -> None:
        self.argument = argument
        self.strikes = _read_numbers(argument, strikes)
        self.sign = sign
        self.payoff = payoff
        self.value = value
        self.model = model

    def worth(self, prices: Floats, strike: float, time_left: float) -> Floats:
        """Return what the option bought is worth at the horizon."""
        if time_left == 0.0:
            return self.payoff(prices, strike)
        if self.value is None:
            raise ValueError(
                f"{self.model} is needed for options that live on after the horizon (time_left={time_left:.10g}); "
                f"pass {self.model}=f with f(prices, strike, time_left) -> values, or time_left=0"
            )
        worth, _ = _arguments.read_samples(self.model, self.value(prices, strike, time_left))
        if worth.shape != prices.shape:
            raise ValueError(
                f"{self.model} must return one value for each price, shape {prices.shape}, got shape {worth.shape}"
            )
        _arguments.check_finite(self.model, worth)
        return worth.astype(np.float64, copy=False)


def _put_payoff(prices: Floats, strike: float) -> Floats:
    return np.maximum(strike - prices, 0.0)


def _call_payoff(prices: Floats, strike: float) -> Floats:
    return np.maximum(prices - strike, 0.0)


def _options(
    legs: list[_Leg],
    premiums: Any,
    scenarios: Any,
    time_left: Any,
    contract_size: float,
    name: str,
    order: Callable[[Floats, Floats], NDArray[np.bool_]] | None = None,
) -> Menu:
    """Return a menu of options with one or two legs, whose strikes stand in the given order."""
    prices, labels = _read_prices(scenarios)
    size = _read_size(contract_size)
    cost, times = _read_numbers("premiums", premiums), _read_numbers("time_left", time_left)
    shapes = {"premiums": cost.shape, "time_left": times.shape, **{leg.argument: leg.strikes.shape for leg in legs}}
    try:
        shape = np.broadcast_shapes((1,), *shapes.values())
    except ValueError as error:
        listed = ", ".join(f"{argument} {one}" for argument, one in shapes.items())
        raise ValueError(f"strikes, premiums and time_left must broadcast together, got shapes {listed}") from error
    if (times < 0).any():
        raise ValueError(
            f"time_left must not be negative, got {times.min():.10g}: the option expires before the horizon"
        )
    strikes = [np.broadcast_to(leg.strikes, shape).ravel() for leg in legs]
    if order is not None and not order(*strikes).all():
        wrong = int(np.argmin(order(*strikes)))
        relation = "above" if order is np.greater else "at most"
        raise ValueError(
            f"{legs[0].argument} must be {relation} {legs[1].argument}, "
            f"got {strikes[0][wrong]:.10g} and {strikes[1][wrong]:.10g}"
        )
    times = np.broadcast_to(times, shape).ravel()
    payoffs = np.zeros((prices.size, times.size), order="F")
    names = []
    for column, left in enumerate(times.tolist()):
        for leg, own in zip(legs, strikes, strict=True):
            payoffs[:, column] += size * leg.sign * leg.worth(prices, float(own[column]), left)
        listed = "/".join(f"{own[column]:.10g}" for own in strikes)
        names.append(f"{name} {listed}" + (f", {left:.4g} left" if left > 0 else ""))
    return _menu(payoffs, size * np.broadcast_to(cost, shape).ravel(), names, False, labels)


def _menu(payoffs: Floats, premiums: Floats, names: list[str], sellable: bool, labels: Labels | None) -> Menu:
    menu = Menu(payoffs, premiums, names, sellable)
    menu.index = None if labels is None else labels.along(0)
    return menu


def _read_prices(scenarios: Any) -> tuple[Floats, Labels | None]:
    prices, labels = _arguments.read_samples("scenarios", scenarios)
    if prices.ndim != 1 or prices.size == 0:
        raise ValueError(
            "scenarios must be the price of the underlying in each scenario, one dimension and not empty, "
            f"got shape {prices.shape}"
        )
    _arguments.check_finite("scenarios", prices)
    return prices.astype(np.float64, copy=False), labels


def _read_numbers(name: str, given: Any) -> Floats:
    values, _ = _arguments.read_samples(name, given)
    if values.size == 0:
        raise ValueError(f"{name} is empty; at least one instrument is needed")
    _arguments.check_finite(name, values)
    return np.atleast_1d(values.astype(np.float64, copy=False))


def _read_size(contract_size: Any) -> float:
    size = _read_numbers("contract_size", contract_size)
    if size.size != 1 or size.item() <= 0:
        raise ValueError(f"contract_size must be one positive number, got {contract_size!r}")
    return size.item()


def read_menu(instruments: Any, premiums: Any) -> Menu:
    """Return the menu that `instruments` is, or that a matrix of payoffs and the premiums make."""
    if isinstance(instruments, Menu):
        if premiums is not None:
            raise ValueError("premiums are those of the menu; leave premiums out, or pass menu.payoffs as instruments")
        return instruments
    if premiums is None:
        raise ValueError(
            "premiums are needed with a matrix of instruments: one for each column, or 0 for futures; "
            "a Menu has its own"
        )
    return Menu(instruments, premiums)


def read_rows(name: str, given: Any, menu: Menu) -> Samples:
    """Return one number for each scenario of the menu, a pandas series in the order of the menu's rows."""
    values, labels = _arguments.read_samples(name, given)
    if values.ndim != 1 or len(values) != len(menu.payoffs):
        raise ValueError(
            f"{name} must have one number for each of the {len(menu.payoffs)} scenarios of the instruments, "
            f"got shape {values.shape}"
        )
    if labels is not None:
        values = align(name, values, labels, [menu.index])
    _arguments.check_finite(name, values)
    return values
