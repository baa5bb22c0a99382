"""What :mod:`export_cost` measures, each in a process of its own: ``python tests/benchmarks/export_subjects.py SUBJECT ...``.

Prints one line of JSON: CPU seconds of start-up (interpreter and imports) and of the export itself, wall seconds, peak memory, rows, bytes.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import os
import re
import resource
import sys
import time
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

from export_server import SPACING_MS, START_MS  # noqa: E402  # found by the path that is set above


def cpu_seconds() -> float:
    """User and system time of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_mib() -> float:
    """The peak resident set. Not ``ru_maxrss``, which starts from the peak of the process that started this one."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))[1]) / 1024


@contextmanager
def opened(target: Path) -> Iterator[Callable[[bytes], object]]:
    """A bare writer of lines, compressed as the ending says."""
    if target.name.endswith(".gz"):
        with gzip.open(target, "wb", compresslevel=6) as file:
            yield file.write
    elif target.name.endswith(".zst"):
        import zstandard

        with target.open("wb") as raw, zstandard.ZstdCompressor(level=3).stream_writer(raw) as file:
            yield file.write
    else:
        with target.open("wb") as file:
            yield file.write


def run_bare_json(url: str, target: Path, count: int, page: int) -> int:
    """``requests``, ``response.json()``, ``json.dumps`` of each record, a page at a time. Nothing is sorted, deduplicated or proved."""
    import requests

    rows = 0
    with requests.Session() as session, opened(target) as write:
        for number in range(math.ceil(count / page)):
            records = session.get(f"{url}/pages/{number}", timeout=60).json()["data"]
            write("".join([json.dumps(record) + "\n" for record in records]).encode())
            rows += len(records)
    return rows


def run_bare_parquet(url: str, target: Path, count: int, page: int) -> int:
    """``requests``, ``response.json()`` and ``Table.from_pylist``, ten thousand rows to a row group. Otherwise as :func:`run_bare_json`."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    import requests

    types = dict.fromkeys(("status", "eventName", "inputRequest", "id", "webhookId", "message"), pa.string())
    types |= dict.fromkeys(("responseTime", "orgId", "parentOrgId"), pa.int64())
    schema = pa.schema([("startTime", pa.timestamp("ms", tz="UTC")), *types.items()])
    rows, pending = 0, []
    with requests.Session() as session, pq.ParquetWriter(target, schema, compression="snappy") as writer:
        for number in range(math.ceil(count / page)):
            pending += session.get(f"{url}/pages/{number}", timeout=60).json()["data"]
            if len(pending) >= 10_000 or (number + 1) * page >= count:
                writer.write_table(pa.Table.from_pylist(pending, schema=schema))
                rows += len(pending)
                pending = []
    return rows


def run_bare_raw(url: str, target: Path, count: int, page: int) -> int:
    """``requests``, and the bytes between the brackets of ``data`` into ISA-L's gzip. Nothing is parsed; it writes one long line."""
    import requests
    from isal import igzip

    with requests.Session() as session, igzip.open(target, "wb") as file:
        for number in range(math.ceil(count / page)):
            body = session.get(f"{url}/pages/{number}", timeout=60).content
            file.write(body[body.index(b"[") + 1 : body.rindex(b'],"warnings"')])
            file.write(b"\n")
    return count


def run_ours(url: str, target: Path, count: int, page: int, seconds: int | None = None) -> int:
    """The operator, from the connection to the object and its manifest: complete, sorted, each record once.

    :param seconds: of the interval; left out, it is as long as so many event logs lie apart.
    """
    del url, page
    from airflow_provider_capillary.operators.capillary import CapillaryEventLogsToObjectStorageOperator
    from airflow_provider_capillary.timestamps import from_millis

    start, length = from_millis(START_MS), timedelta(seconds=seconds) if seconds else timedelta(milliseconds=count * SPACING_MS)
    operator = CapillaryEventLogsToObjectStorageOperator(
        task_id="export", destination=f"file://{target}", start=start.isoformat(), end=(start + length).isoformat()
    )
    receipt = operator.execute({})
    run_ours.requests = receipt["requests"]
    return receipt["events"]


def warm_up(subject: str, ending: str, url: str, page: int, folder: str) -> None:
    """An export of a few records, so that what is imported and set up once counts as start-up."""
    target = Path(folder, f"warm-up-{subject.replace(' ', '-')}-{os.getpid()}{ending}")
    if subject.startswith("ours"):
        run_ours(url, target, 0, page, seconds=1)
    else:
        runner_of(subject, ending)(url, target, 1, page)


def without_fast() -> None:
    """The export as it is where the packages of the extra ``fast`` are missing."""
    from airflow_provider_capillary import fast

    fast.optional = lambda _name: None


def set_connection(url: str, page: int) -> None:
    """The connection of :func:`run_ours`."""
    extra = {"date_format": "epoch_ms", "page_size": page, "requests_per_minute": 10**9}
    settings = {"conn_type": "capillary", "host": url, "login": "made-up", "password": "0" * 32, "extra": extra}
    os.environ["AIRFLOW_CONN_CAPILLARY_DEFAULT"] = json.dumps(settings)


def runner_of(subject: str, ending: str) -> Callable[[str, Path, int, int], int]:
    """What carries out a subject."""
    if subject.startswith("ours"):
        return run_ours
    if subject == "bare raw":
        return run_bare_raw
    return run_bare_parquet if ending == ".parquet" else run_bare_json


def run_once(subject: str, *, ending: str, url: str, count: int, page: int, folder: str) -> dict[str, float]:
    """One export, measured."""
    target = Path(folder, f"{subject.replace(' ', '-')}-{os.getpid()}-{time.monotonic_ns()}{ending}")
    cpu, wall = cpu_seconds(), time.perf_counter()
    rows = runner_of(subject, ending)(url, target, count, page)
    cpu, wall = cpu_seconds() - cpu, time.perf_counter() - wall
    if rows != count:
        msg = f"{subject} gave {rows} rows of {count}"
        raise AssertionError(msg)
    requests = getattr(run_ours, "requests", 0) if subject.startswith("ours") else math.ceil(count / page)
    return {"cpu": cpu, "wall": wall, "rows": rows, "requests": requests, "bytes": target.stat().st_size}


def main() -> None:
    """Run one subject once, in this process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("subject", choices=["ours plain", "ours fast", "bare json", "bare raw"])
    for name in ("ending", "url", "folder"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("count", "page"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args()
    set_connection(options.url, options.page)
    if options.subject == "ours plain":
        without_fast()
    warm_up(options.subject, options.ending, options.url, options.page, options.folder)
    startup = cpu_seconds()
    found = run_once(**vars(options))
    sys.stdout.write(json.dumps(found | {"startup": startup, "peak": peak_mib()}) + "\n")


if __name__ == "__main__":
    main()
