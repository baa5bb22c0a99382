# ruff: noqa: T201  # a command prints
"""How much more memory 1,000,000 records take than 1,000, for each format; run by hand.

    python tests/benchmarks/export_memory.py [--s3]

Each export runs in a process of its own and reports its peak resident set. With ``--s3`` the object goes to a server on loopback, in this
process, through an Airflow connection. The difference has to stay below 64 MiB.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")
FEW, MANY = 1_000, 1_000_000
ROOM = 64 * 1024  # KiB
START = datetime(2025, 9, 18, tzinfo=UTC)


def records(count):
    """Newest first, 86 ms apart, about 500 bytes each."""
    first = int(START.timestamp() * 1000)
    for index in reversed(range(count)):
        yield {
            "startTime": first + index * 86,
            "responseTime": index % 500,
            "orgId": 100737,
            "status": "EVENT_SUCCESS" if index % 7 else "INVALID_EVENT_NAME",
            "eventName": "Group_User_Event",
            "inputRequest": json.dumps({"event_name": "Group_User_Event", "customer": str(index), "filler": os.urandom(40).hex()}),
            "id": f"{index * 2654435761 % 2**32:08x}-9c47-4fdd-b956-{index:012x}",
            "webhookId": "67b62dffb7f5337f8a8237970bd0a467",
            "parentOrgId": -1,
            "message": "Event processed successfully",
        }


def run_one(destination, count):
    from airflow_provider_capillary.export.destination import parse_destination
    from airflow_provider_capillary.export.exporter import open_export
    from airflow_provider_capillary.export.manifest import Subject

    began = time.monotonic()
    subject = Subject(start=START, end=START + timedelta(days=1))
    with open_export(parse_destination(destination), subject, log=logging.getLogger("benchmark")) as export:
        export.add_all(records(count))
        receipt = export.publish(events_read=0, requests=0, bounds={}, proof={})
    assert receipt["events"] == count
    # Not ru_maxrss, which starts from the peak of the process that started this one.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])
    print(json.dumps({"peak": peak, "seconds": time.monotonic() - began, "bytes": receipt["bytes"]}))


def measure(destination, count):
    done = subprocess.run(
        [sys.executable, __file__, "--one", destination, "--count", str(count)],
        check=True,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
    )
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--s3", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, default=MANY)
    parser.add_argument("--endings", nargs="*", default=ENDINGS)
    options = parser.parse_args()
    if options.one:
        run_one(options.one, options.count)
        return 0
    with tempfile.TemporaryDirectory() as home:
        os.environ.setdefault("AIRFLOW_HOME", home)
        base, server = f"file://{home}", None
        if options.s3:
            from moto.server import ThreadedMotoServer

            server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
            server.start()
            host, port = server.get_host_and_port()
            extra = {"endpoint_url": f"http://{host}:{port}", "region_name": "us-east-1"}
            os.environ["AIRFLOW_CONN_BENCHMARK_S3"] = json.dumps(
                {"conn_type": "aws", "login": "made-up", "password": "made-up-too", "extra": extra}
            )
            import boto3

            boto3.client("s3", **extra, aws_access_key_id="made-up", aws_secret_access_key="made-up-too").create_bucket(Bucket="benchmark")
            base = "s3://benchmark_s3@benchmark"
        try:
            return compare(base, options)
        finally:
            if server is not None:
                server.stop()


def compare(base, options):
    worst = 0
    for ending in options.endings:
        few, many = (measure(f"{base}/{count}{ending}", count) for count in (FEW, options.count))
        difference = many["peak"] - few["peak"]
        worst = max(worst, difference)
        print(
            f"{ending:11} {FEW:>9,}: {few['peak'] / 1024:6.1f} MiB   {options.count:>9,}: {many['peak'] / 1024:6.1f} MiB   "
            f"difference {difference / 1024:5.1f} MiB   {many['seconds']:5.1f} s, {many['bytes'] / 2**20:.0f} MiB written",
            flush=True,
        )
        if base.startswith("file://"):
            Path(base.removeprefix("file://"), f"{options.count}{ending}").unlink()
    print(f"worst {worst / 1024:.1f} MiB of {ROOM // 1024} MiB")
    return int(worst > ROOM)


if __name__ == "__main__":
    sys.exit(main())
