"""A server of event logs that costs the measured process nothing: every record is rendered before the first request.

    python tests/benchmarks/export_server.py --events 100000 --page 1000

Prints its port and then answers on loopback, in a process of its own, until its standard input ends. All answers are slices of one file.

======================================================= =====================================================================
path                                                    answer
======================================================= =====================================================================
``/v2/events/logs?from_date=&to_date=&limit=``          the newest event logs of the window, dates in epoch milliseconds
``/pages/7``                                            event logs 7,000 to 7,999 of all, newest first, in pages of 1,000
``/paged?offset=&limit=&count=``                        the same by offset, of the first ``count``, for tools that count for themselves
======================================================= =====================================================================
"""

from __future__ import annotations

import argparse
import json
import mmap
import random
import socketserver
import sys
import tempfile
import threading
from array import array
from bisect import bisect_left, bisect_right
from urllib.parse import parse_qsl, urlsplit

START_MS = 1_758_153_600_000
"""2025-09-18T00:00:00Z."""
SPACING_MS = 86
"""Between two event logs on average: a million in a day."""
STYLES: dict[str, dict[str, object]] = {
    "compact": {"ensure_ascii": False, "separators": (",", ":")},
    "spaces": {"ensure_ascii": False},
    "python": {},
}
"""``python``: with spaces, and escapes for all that is not ASCII."""
HEAD, TAIL = b'{"data":[', b'],"warnings":[],"errors":[]}'

STATUSES = ("EVENT_SUCCESS",) * 16 + ("INVALID_EVENT_NAME", "EMF_PROCESSOR_FAILED", "EVENT_VALIDATION_FAILED", None)
NAMES = ("Asha", "Rahul", "Meera", "Zoë", "नमन", "Chen", "Oluwaseun", "Maria")
EVENTS = ("Group_User_Event", "Transaction_Add", "Points_Redeemed", "Customer_Update", "Coupon_Issued")
MESSAGES = ("Event processed successfully",) * 3 + ("Event processed with warnings: 2 unknown fields were ignored",)


def make_record(rng: random.Random, start_time: int) -> dict[str, object]:
    """One event log of about 460 bytes."""
    name = rng.choice(NAMES) if rng.random() < 0.2 else "Customer"
    asked = {
        "event_name": rng.choice(EVENTS),
        "customer": {"id": rng.randrange(10**9), "name": name, "mobile": f"91{rng.randrange(10**10):010}"},
        "amount": round(rng.random() * 5_000, 2),
        "store": f"store-{rng.randrange(4_000)}",
    }
    if rng.random() < 0.3:
        asked["items"] = [{"sku": f"{rng.randrange(10**8):08}", "qty": rng.randrange(1, 9)} for _ in range(rng.randrange(1, 4))]
    record: dict[str, object] = {
        "startTime": start_time,
        "responseTime": rng.randrange(13, 504),
        "orgId": 100737,
        "status": rng.choice(STATUSES),
        "eventName": asked["event_name"],
        "inputRequest": json.dumps(asked, ensure_ascii=False),
        "id": f"{rng.getrandbits(32):08x}-{rng.getrandbits(16):04x}-4{rng.getrandbits(12):03x}-b956-{rng.getrandbits(48):012x}",
        "webhookId": "67b62dffb7f5337f8a8237970bd0a467",
        "parentOrgId": -1,
        "message": rng.choice(MESSAGES),
    }
    if record["status"] is None:
        del record["status"]
    return record


class Events:
    """All event logs, newest first, as one JSON text in a file without a name, and where each begins in it."""

    def __init__(self, count: int, seed: int, style: str = "compact") -> None:
        rng = random.Random(seed)
        self.times = array("q", sorted(START_MS + rng.randrange(count * SPACING_MS) for _ in range(count)))
        self._begins = array("q", [0])
        encode = json.JSONEncoder(**STYLES[style]).encode
        with tempfile.TemporaryFile() as file:
            for start_time in reversed(self.times):
                text = encode(make_record(rng, start_time)).encode() + b","
                file.write(text)
                self._begins.append(self._begins[-1] + len(text))
            file.flush()
            self._text = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        self.bytes = len(self._text)

    def newest(self, first: int, count: int) -> memoryview:
        """The text of so many event logs, the newest being number 0."""
        last = min(first + count, len(self.times))
        return self._text[self._begins[first] : self._begins[last] - 1] if first < last else memoryview(b"")

    def window(self, from_ms: int, to_ms: int, limit: int) -> memoryview:
        """The text of the newest event logs of ``[from, to]``."""
        low, high = bisect_left(self.times, from_ms), bisect_right(self.times, to_ms)
        return self.newest(len(self.times) - high, min(limit, max(0, high - low)))


class Handler(socketserver.StreamRequestHandler):
    """Answers on one connection until the client closes it."""

    server: Server
    disable_nagle_algorithm = True

    def handle(self) -> None:
        while line := self.rfile.readline():
            while self.rfile.readline() not in (b"\r\n", b"\n", b""):
                pass
            records = self.server.records_of(line.split(b" ")[1].decode())
            size = len(HEAD) + len(records) + len(TAIL)
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n\r\n".encode("ascii")
            self.wfile.write(head + HEAD)
            self.wfile.write(records)
            self.wfile.write(TAIL)


class Server(socketserver.ThreadingTCPServer):
    """Serves slices of :class:`Events`."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, events: Events, page: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self._events, self._page = events, page

    def records_of(self, target: str) -> memoryview:
        """The records that a request asks for."""
        parts = urlsplit(target)
        params = dict(parse_qsl(parts.query))
        limit = min(int(params.get("limit", 10)), self._page)
        if parts.path.startswith("/pages/"):
            return self._events.newest(int(parts.path.rpartition("/")[2]) * self._page, self._page)
        if parts.path == "/paged":
            offset = int(params.get("offset", 0))
            return self._events.newest(offset, min(limit, int(params.get("count", 10**15)) - offset))
        return self._events.window(int(params.get("from_date", 0)), int(params.get("to_date", 10**15)), limit)


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--page", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--style", choices=STYLES, default="compact", help="how the server writes JSON")
    options = parser.parse_args()
    events = Events(options.events, options.seed, options.style)
    server = Server(events, options.page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(json.dumps({"port": server.server_address[1], "json_bytes": events.bytes}) + "\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
