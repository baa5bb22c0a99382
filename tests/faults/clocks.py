"""An event loop on which time passes only while nothing is under way, and the task's clock beside it: nothing here waits in earnest."""

from __future__ import annotations

import asyncio
import selectors
from datetime import datetime

NOW = 1_760_000_000.0
"""Seconds since the epoch; the wall clock stands still, so that equal runs ask for equal windows."""
BEGIN, LONGEST = 1_000_000.0, 4 * 3600.0
"""Seconds of the monotonic clock: where it begins, and how much of it a run may use."""


class Today(datetime):
    """Stands in for ``datetime`` in the sensor."""

    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(NOW, tz)


class Clock:
    """Stands in for ``time`` in both drivers. Pauses are noted, and take no time."""

    def __init__(self):
        self.now, self.pauses = BEGIN, []

    def monotonic(self):
        return self.now

    def time(self):
        return NOW

    def sleep(self, seconds):
        self.note(seconds)
        self.forward(seconds)

    def note(self, seconds):
        """Take note of a pause between two tries."""
        self.pauses.append(seconds)

    def forward(self, seconds):
        """Let time pass; what waits for ever fails in place of hanging."""
        self.now += seconds
        assert self.now < BEGIN + LONGEST, "it waits for ever"


class QuietLoop(asyncio.SelectorEventLoop):
    """Its time is the clock's. Where all that is left to do is to wait, the clock is put forward to the end of the waiting.

    What is under way in a thread takes no time by this clock.
    """

    def __init__(self, clock):
        self._clock, self._under_way = clock, 0
        super().__init__(_Selector(self))

    def time(self):
        return self._clock.now

    def run_in_executor(self, *args):
        running = super().run_in_executor(*args)
        self._under_way += 1
        running.add_done_callback(self._ended)
        return running

    def _ended(self, _running):
        self._under_way -= 1

    def skip(self, seconds):
        """Put the clock forward, unless something is under way."""
        if self._under_way:
            return False
        self._clock.forward(seconds)
        return True


class _Selector(selectors.DefaultSelector):
    def __init__(self, loop):
        super().__init__()
        self._loop = loop

    def select(self, timeout=None):
        if timeout is not None and timeout > 0 and self._loop.skip(timeout):
            timeout = 0
        return super().select(timeout)
