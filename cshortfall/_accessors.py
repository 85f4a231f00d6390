"""Accessors in libraries of data frames, offered where the library is there already and never imported for it."""

import sys
from importlib import import_module


def register_where_loaded() -> None:
    """Register ``shortfall`` in pandas and polars if they have been imported, and completely."""
    for library in ("pandas", "polars"):
        if hasattr(sys.modules.get(library), "api"):
            import_module(f"cshortfall.{library}")
