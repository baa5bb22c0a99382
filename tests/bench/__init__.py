"""The emulator of the package, with everything else that a server may do: for the tests of this project alone.

``FakeApi`` and ``Emulator`` take all options of the package's own, behave as those do without further options, and add what only a
reader of the API has to survive: dates that are read coarsely or with exclusive ends, ties in a new order each time, answers that are
samples, records from outside of a window, records that show late, caps that fall, tokens that are revoked.
"""

from __future__ import annotations

from bench.emulator import Emulator
from bench.fake_api import FakeApi, Late
from bench.options import ServerOptions

__all__ = ["Emulator", "FakeApi", "Late", "ServerOptions"]
