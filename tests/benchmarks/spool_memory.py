"""Peak memory and disk of the spool and its writer, for few records and for many: ``python tests/benchmarks/spool_memory.py [ENDING ...]``.

Event logs come newest first, a thousand at a time, as the reader gives them; no API is read and no Airflow imported. Each size is a
process of its own. Ends with 1 where ten times the event logs take more than a tenth more memory.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")
ROOM = 1.1


def event_logs(count: int):
    """So many, newest first, of about 460 bytes; all but time and id are those of some thousand records."""
    import export_server

    from airflow_provider_capillary.api.event_logs import EventLog

    rng = random.Random(1)
    patterns = []
    for _ in range(1_000):
        record = export_server.make_record(rng, 0)
        text = json.dumps(record | {"startTime": "TIME", "id": "ID"}, ensure_ascii=False, separators=(",", ":"))
        patterns.append((record, text.encode().replace(b'"TIME"', b"%d").replace(b'"ID"', b'"%s"')))
    for number in reversed(range(count)):
        record, pattern = patterns[number % 1_000]
        start_time, record_id = export_server.START_MS + number * 86, f"{rng.getrandbits(128):032x}"
        log = EventLog(record, startTime=start_time, id=record_id)
        # `%` in the pattern is doubled nowhere: the patterns hold none.
        log.raw = pattern % (
            (start_time, record_id.encode()) if pattern.index(b"%d") < pattern.index(b"%s") else (record_id.encode(), start_time)
        )
        yield log


def run_one(ending: str, count: int) -> None:
    """Spool and write so many."""
    from airflow_provider_capillary.api.event_logs import EventLogs
    from airflow_provider_capillary.export.formats import block_form, write_object
    from airflow_provider_capillary.export.spool import Spool
    from airflow_provider_capillary.export.tempdir import open_tempdir

    with open_tempdir() as tempdir:
        spool = Spool(tempdir, stop=lambda: False, form=block_form(ending))
        logs = event_logs(count)
        text = disk = 0
        while page := list(islice(logs, 1_000)):
            text += sum(len(log.raw) + 1 for log in page)
            spool.add_page(EventLogs.of(page))
        assert spool.events == count
        built = tempdir.file()

        def drained() -> Iterator[bytes]:
            nonlocal disk
            for block in spool.drain():
                disk = max(disk, os.fstat(spool._file._file).st_size + built.stat().st_size)
                yield block

        write_object(drained(), built, ending=ending)
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))[1]) / 1024
    sys.stdout.write(json.dumps({"peak": peak, "disk": disk / text}) + "\n")


def main() -> int:
    """Print a line for each format."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("endings", nargs="*", default=ENDINGS)
    parser.add_argument("--count", type=int, default=2_000_000)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        run_one(options.endings[0], options.count)
        return 0
    is_over = False
    for ending in options.endings:
        found = []
        with tempfile.TemporaryDirectory() as folder:
            for count in (options.count // 10, options.count):
                command = [sys.executable, __file__, ending, "--one", "--count", str(count)]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=os.environ | {"TMPDIR": folder})
                found.append(json.loads(done.stdout.splitlines()[-1]))
        few, many = found
        is_over |= many["peak"] > few["peak"] * ROOM
        sys.stdout.write(
            f"{ending:11} {options.count // 10:>10,}: {few['peak']:6.1f} MiB   {options.count:>10,}: {many['peak']:6.1f} MiB   "
            f"{many['peak'] / few['peak'] - 1:+.1%}   spool and object {many['disk']:.2f} of the JSON\n"
        )
        sys.stdout.flush()
    return int(is_over)


if __name__ == "__main__":
    sys.exit(main())
