"""Runs an iterator off the main thread, so that the controls stay alive while it works."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any


def headless() -> bool:
    """Whether nobody is there to press a button: MACROKIT_HEADLESS=1, or a test is running."""
    return os.environ.get("MACROKIT_HEADLESS") == "1" or "PYTEST_CURRENT_TEST" in os.environ


class Worker:
    """Takes items from an iterator until it ends, or until `stop`.

    - `show`: called with an item at most every `interval` seconds, and with the last one.
    - `done`: called once at the end, with the exception or None. Both run in the worker's thread.

    Headless, `start` does all the work itself and raises what the iterator raises.
    """

    def __init__(
        self,
        show: Callable[[Any], None],
        done: Callable[[BaseException | None], None],
        interval: float = 0.2,
    ):
        self.show, self.done, self.interval = show, done, interval
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._error: BaseException | None = None

    @property
    def running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def start(self, items: Callable[[], Iterator[Any]]) -> bool:
        """Begin to work through `items()`. Does nothing, and says so, when work is under way."""
        if self.running:
            return False
        self._stop.clear()
        self._error = None
        if headless():
            self._work(items)
            self.wait()
        else:
            self._thread = threading.Thread(target=self._work, args=(items,), daemon=True)
            self._thread.start()
        return True

    def stop(self) -> None:
        """Ask the work to end after the present item; returns at once."""
        self._stop.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the work has ended, and re-raise what it raised, once.

        Returns whether it has ended. At once where nothing was started.
        """
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)
            if self._thread.is_alive():
                return False
        error, self._error = self._error, None
        if error is not None:
            raise error
        return True

    def _work(self, items: Callable[[], Iterator[Any]]) -> None:
        nothing = object()
        last, unseen, shown = nothing, False, -self.interval
        error: BaseException | None = None
        try:
            for last in items():
                unseen = True
                if time.monotonic() - shown >= self.interval:
                    self.show(last)
                    unseen, shown = False, time.monotonic()
                if self._stop.is_set():
                    break
        except BaseException as raised:
            error = raised
        try:
            if unseen:
                self.show(last)
        except BaseException as raised:
            error = error or raised
        self._error = error
        try:
            self.done(error)
        except BaseException as raised:
            self._error = self._error or raised
