"""How much of the budget a reading uses where each answer takes a while. Run by hand:

    python tests/benchmarks/reading_latency.py [--records 60000] [--page 100] [--latency 0.3] [--per-minute 600]

Reads a day from a server in this process, over real connections: once with one request after the other, once with as many side by side as
the package chooses. Prints requests, seconds, the share of the budget that was used, the most requests under way at once, and the digest of
the sorted records. Ends with 1 where the digests differ, or a minute holds more requests than the budget.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import sys
import tempfile
import threading
import time
from pathlib import Path
from unittest.mock import patch

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS)]
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="capillary-latency-"))

from bench.fake_api import FakeApi  # noqa: E402  # found by the path that is set above
from hooks.support import RawServer, answer, connection  # noqa: E402  # found by the path that is set above

from airflow_provider_capillary.api import executor  # noqa: E402  # found by the path that is set above
from airflow_provider_capillary.hooks.capillary import CapillaryHook  # noqa: E402  # found by the path that is set above

START = 1_758_067_200_000
"""2025-09-17T00:00:00Z."""
DAY = 86_400_000


class SlowServer(RawServer):
    """Gives each answer so many seconds after its request, and notes when each request came."""

    def __init__(self, world: FakeApi, latency: float) -> None:
        super().__init__(self._answer)
        self._world, self._latency, self._lock = world, latency, threading.Lock()
        self.times: list[float] = []
        self._under_way = self.most_at_once = 0

    def _answer(self, conn, head, _number):
        due = time.monotonic() + self._latency
        with self._lock:
            self.times.append(time.monotonic())
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
            params = dict(part.split("=", 1) for part in head.split()[1].decode().partition("?")[2].split("&") if part)
            params = {name: value.replace("%3A", ":") for name, value in params.items()}
            status, body = self._world.answer(params)
        raw = answer(json.dumps(body).encode(), status=f"{status} As Asked")
        time.sleep(max(0.0, due - time.monotonic()))
        with self._lock:
            self._under_way -= 1
        conn.sendall(raw)
        return True


def read(options: argparse.Namespace, *, lanes: int | None) -> tuple[str, bool]:
    """Read the day once and print a line; the digest, and whether each minute was inside the budget."""
    rng = random.Random(1)
    records = [{"id": f"r{number}", "startTime": START + rng.randrange(DAY), "responseTime": 0} for number in range(options.records)]
    world = FakeApi(records, limit_cap=options.page, date_format="iso")
    chosen = executor.lanes_for if lanes is None else lambda *_: lanes
    with SlowServer(world, options.latency) as server, patch.object(executor, "lanes_for", chosen):
        extras = {"date_format": "iso", "requests_per_minute": options.per_minute}
        os.environ["AIRFLOW_CONN_CAPILLARY_DEFAULT"] = connection(server.url, **extras)
        begun, hook = time.monotonic(), CapillaryHook()
        lines = sorted(record["id"] for record in hook.iter_event_logs("2025-09-17T00:00:00Z", "2025-09-18T00:00:00Z"))
        took = time.monotonic() - begun
        hook._session.close()
    requests, digest = len(server.times), hashlib.sha256("\n".join(lines).encode()).hexdigest()
    share = requests / (options.per_minute / 60 * took)
    times = sorted(server.times)
    # A request may reach the server a moment later than the one before it.
    is_inside = all(later - first >= 59.5 for first, later in zip(times, times[options.per_minute :], strict=False))
    name = "one after the other" if lanes == 1 else "side by side"
    sys.stdout.write(f"{name:<20}{requests:>9}{took:>9.1f}{share:>9.0%}{server.most_at_once:>9}{len(lines):>9}  {digest[:16]}\n")
    sys.stdout.flush()
    return digest, is_inside


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=60_000)
    parser.add_argument("--page", type=int, default=100)
    parser.add_argument("--latency", type=float, default=0.3)
    parser.add_argument("--per-minute", type=int, default=600)
    options = parser.parse_args()
    sys.stdout.write(f"{'':<20}{'requests':>9}{'seconds':>9}{'budget':>9}{'at once':>9}{'records':>9}  sha256\n")
    runs = [read(options, lanes=lanes) for lanes in (1, None)]
    is_good = len({digest for digest, _ in runs}) == 1 and all(is_inside for _, is_inside in runs)
    sys.stdout.write(
        "the same records, and no minute over the budget\n" if is_good else "WRONG: other records, or a minute over the budget\n"
    )
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
