"""Peak memory and time of the operator itself, over HTTP, for few records and for many. Run by hand:

    python tests/benchmarks/whole_export.py [few] [many]

Each export is a process of its own and so is the emulator that it reads from, so that neither counts for the other.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXPORT = """
import json, resource, sys, time
from airflow_provider_capillary.operators.capillary import CapillaryEventLogsToObjectStorageOperator

operator = CapillaryEventLogsToObjectStorageOperator(
    task_id="export", destination="file://" + sys.argv[1], start="2025-01-01T00:00:00Z", end="2026-01-01T00:00:00Z"
)
began = time.perf_counter()
receipt = operator.execute({})
seconds = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"peak": peak, "seconds": seconds, "events": receipt["events"], "requests": receipt["requests"]}))
"""


def measure(events: int) -> dict[str, float]:
    """Export so many synthetic records, and the ten documented ones, in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "airflow_provider_capillary.emulator", "--port", "0", "--events", str(events)]
    command += ["--start", "2025-01-01T00:00:00Z", "--end", "2026-01-01T00:00:00Z", "--date-format", "epoch_ms"]
    with tempfile.TemporaryDirectory() as folder, subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        try:
            connection = ""
            while "AIRFLOW_CONN" not in connection:
                connection = server.stdout.readline()
            settings = json.loads(connection.partition("=")[2].strip().strip("'"))
            settings["extra"] = {**settings.get("extra", {}), "requests_per_minute": 1_000_000}
            environment |= {"AIRFLOW_HOME": folder, "AIRFLOW_CONN_CAPILLARY_DEFAULT": json.dumps(settings)}
            argv = [sys.executable, "-c", EXPORT, str(Path(folder, "events.jsonl.gz"))]
            done = subprocess.run(argv, capture_output=True, text=True, check=True, env=environment)
        finally:
            server.terminate()
            server.communicate()
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    few, many = (int(number) for number in (sys.argv[1:3] or ("1000", "1000000")))
    results = {events: measure(events) for events in (few, many)}
    for found in results.values():
        sys.stdout.write("{events:>9,.0f} records  peak {peak:7.1f} MiB  {seconds:7.1f} s  {requests:,.0f} requests\n".format(**found))
    sys.stdout.write(f"difference of the peaks: {results[many]['peak'] - results[few]['peak']:.1f} MiB\n")


if __name__ == "__main__":
    main()
