"""Runs an iterator off the main thread, so that the controls stay alive while it works."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Generator

# Of a contest between two looks at the Stop button: optimiser steps of each learner, and seconds.
EVERY, SECONDS = 50, 0.2


def headless() -> bool:
    """Whether nobody is there to press a button: MACROKIT_HEADLESS=1, or a test is running."""
    return os.environ.get("MACROKIT_HEADLESS") == "1" or "PYTEST_CURRENT_TEST" in os.environ


class Watchers:
    """Who wants to be told that there is something new, and how often that is affordable."""

    def __init__(self) -> None:
        self._looks: list[Callable[[], None]] = []
        self._due: dict[int, float] = {}

    def add(self, look: Callable[[], None]) -> None:
        self._looks.append(look)

    def tell(self) -> None:
        """All of them; the next news is for all, too."""
        self._due.clear()
        for look in self._looks:
            look()

    def tell_some(self) -> None:
        """Those for whom it is time: each shall take a fortieth of it, and none waits for more than
        three seconds, because the first look compiles."""
        for number, look in enumerate(self._looks):
            begun = time.monotonic()
            if begun >= self._due.get(number, 0.0):
                look()
                now = time.monotonic()
                self._due[number] = now + min(40 * (now - begun), 3.0)


class Worker:
    """Takes items from a generator until it ends, or until `stop`.

    - `show`: called after an item, at most every `interval` seconds.
    - `done`: called once at the end, with the exception or None. Both run in the worker's thread.

    Headless, `start` does all the work itself and raises what the iterator raises.
    """

    def __init__(
        self,
        show: Callable[[], None],
        done: Callable[[BaseException | None], None],
        interval: float = 0.2,
    ):
        self.show, self.done, self.interval = show, done, interval
        self._thread: threading.Thread | None = None
        self._stop, self._ended = threading.Event(), threading.Event()
        self._error: BaseException | None = None
        self._busy = False

    @property
    def running(self) -> bool:
        return self._busy

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def start(self, items: Callable[[], Generator]) -> bool:
        """Begin to work through `items()`. Does nothing, and says so, when work is under way."""
        if self.running:
            return False
        self._join()  # a worker that has ended may still draw its last picture
        self._stop.clear()
        self._ended.clear()
        self._error, self._busy = None, True
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
        if not self._join(timeout):
            return False
        error, self._error = self._error, None
        if error is not None:
            raise error
        return True

    def _join(self, timeout: float | None = None) -> bool:
        if self._thread is None or self._thread is threading.current_thread():
            return True
        # Not the thread's own `join`: interrupted in Python 3.11, it takes a thread that is still
        # running for one that has ended.
        return self._ended.wait(timeout)

    def _work(self, items: Callable[[], Generator]) -> None:
        due = 0.0
        try:
            with contextlib.closing(items()) as stream:
                for _ in stream:
                    if self._stop.is_set():
                        break
                    begun = time.monotonic()
                    if begun >= due:
                        self.show()
                        # On a busy machine the picture takes a third of the time, not all.
                        spent = time.monotonic() - begun
                        due = time.monotonic() + max(self.interval, 2 * spent)
        except BaseException as raised:
            self._error = raised
        self._busy = False
        try:
            self.done(self._error)
        except BaseException as raised:
            self._error = self._error or raised
        self._ended.set()
