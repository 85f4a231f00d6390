"""What this build of the package is, and where C and Cython users find it."""

import os
from typing import Any, Literal, overload

from cshortfall._core import openmp, tail

__all__ = ["get_include", "get_library_dir", "show_config"]


def get_include() -> str:
    """Return the folder that holds the C header ``cshortfall.h``.

    Returns
    -------
    str
        Absolute path, for the compiler's ``-I``.

    Examples
    --------
    >>> import cshortfall, os
    >>> os.listdir(cshortfall.get_include())
    ['cshortfall.h']
    """
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "include")


def get_library_dir() -> str:
    """Return the folder that holds the static C library, ``libcshortfall.a`` (``cshortfall.lib`` on Windows).

    Returns
    -------
    str
        Absolute path, for the linker's ``-L`` (then ``-lcshortfall -lm``).

    Examples
    --------
    >>> import cshortfall, os
    >>> len(os.listdir(cshortfall.get_library_dir()))
    1
    """
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib")


@overload
def show_config(mode: Literal["stdout"] = "stdout") -> None: ...
@overload
def show_config(mode: Literal["dicts"]) -> dict[str, Any]: ...
def show_config(mode: str = "stdout") -> dict[str, Any] | None:
    """Show the version, the instruction set in use, OpenMP and the number of threads.

    Parameters
    ----------
    mode : {"stdout", "dicts"}
        Print one line per fact, or return them.

    Returns
    -------
    dict or None
        With ``mode="dicts"``: ``version``; ``isa``, the instruction set chosen at import; ``isas_available``, all
        that this build holds and this processor runs, best first; ``openmp``, whether calls can use threads;
        ``threads``, what a call on large data would use now; ``include`` and ``library_dir``, the folders for C.

    Raises
    ------
    ValueError
        If `mode` is neither.

    Examples
    --------
    >>> import cshortfall
    >>> cshortfall.show_config(mode="dicts")["isa"] in ("baseline", "avx2", "avx512", "neon")
    True
    """
    from cshortfall import __version__

    config = {
        "version": __version__,
        "isa": tail.isa(),
        "isas_available": list(tail.available_isas()),
        "openmp": openmp.has_openmp(),
        "threads": openmp.get_num_threads(),
        "include": get_include(),
        "library_dir": get_library_dir(),
    }
    if mode == "dicts":
        return config
    if mode != "stdout":
        raise ValueError(f'mode must be "stdout" or "dicts", got {mode!r}')
    for name, value in config.items():
        print(f"{name + ':':<16}{', '.join(value) if isinstance(value, list) else value}")
    return None
