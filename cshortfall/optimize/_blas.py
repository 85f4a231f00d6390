"""One thread for BLAS while an optimiser runs.

NumPy and SciPy may each come with a BLAS of their own, whose threads wait for work by spinning, as those of the passes
over scenarios do: small products then take many times longer on two threads than on one. The passes have the threads.
"""

from __future__ import annotations

from threading import Lock
from typing import Any

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]


class _OneThread:
    """Limits BLAS from the first to enter until the last to leave: optimisers may run in several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._controller: ThreadpoolController | None = None
        self._limit: Any = None
        self._users = 0

    def __enter__(self) -> None:
        with self._lock:
            if self._users == 0:
                # Both libraries are loaded by now, and looking for them takes a while.
                self._controller = self._controller or ThreadpoolController()
                self._limit = self._controller.limit(limits=1, user_api="blas")
            self._users += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._limit.restore_original_limits()
                self._limit = None


one_thread = _OneThread()
