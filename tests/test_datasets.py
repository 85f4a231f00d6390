from importlib.resources import files

import numpy as np

from cshortfall.datasets import load_equity_returns


def test_equity_returns_have_one_row_for_each_day_and_one_column_for_each_share():
    dates, names, returns = load_equity_returns()
    assert returns.shape == (len(dates), len(names)) == (3270, 20)
    assert returns.dtype == np.float64
    assert dates.dtype == np.dtype("datetime64[D]")
    assert len(set(names)) == len(names)


def test_equity_returns_are_complete_and_in_the_order_of_time():
    dates, _, returns = load_equity_returns()
    assert np.isfinite(returns).all()
    assert (returns > -1).all()
    assert (np.diff(dates) > np.timedelta64(0, "D")).all()


def test_equity_returns_hold_the_known_worst_day():
    dates, names, returns = load_equity_returns()
    assert str(dates[returns.mean(axis=1).argmin()]) == "2020-03-16"
    assert returns[0, names.index("AAPL")] == 0.01548


def test_each_call_gives_arrays_of_its_own():
    load_equity_returns().returns[:] = 0.0
    assert load_equity_returns().returns.any()


def test_a_notice_names_origin_and_licence_of_every_file():
    folder = files("cshortfall.datasets")
    notice = folder.joinpath("NOTICE").read_text(encoding="utf-8")
    data = [item.name for item in folder.iterdir() if item.name.endswith(".gz")]
    assert data == ["equity_returns.csv.gz"]
    assert all(name in notice for name in data)
    assert "BSD 3-Clause License" in notice
