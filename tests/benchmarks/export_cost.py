"""What an export costs, beside bare loops over the same answers and beside other tools. Run by hand, or with ``--guard`` by CI:

    python tests/benchmarks/export_cost.py [--events 100000] [--pages 1000] [--rounds 3] [--style python]
        [--endings .jsonl.gz ...] [--peers] [--plot FILE]

The whole table, with its plot, is ``--pages 100 1000 10000 --peers --plot export_cost.svg``; it takes half an hour.

Every subject reads the same event logs from a server that has rendered them beforehand (:mod:`export_server`), in a process of its own
that nothing else is counted in. Subjects take turns, round after round; the table holds medians, and the ratio to the bare loop of the
same format in the same run: above 1 is less CPU than the bare loop.

=========== ==========================================================================================================================
subject     what it does
=========== ==========================================================================================================================
ours plain  the operator without the packages of the extra ``fast``: complete, sorted, each record once, manifest
ours fast   the operator with them
bare json   ``requests``, ``json``, a line a record, compressed (gzip level 6, zstd 3), or a table of pyarrow; neither sorts nor dedupes
bare raw    ``requests``, and the bytes of the list into ISA-L's gzip; parses nothing, proves nothing
dlt ...     with ``--peers``: other tools, installed into environments of their own (:mod:`export_peers`)
=========== ==========================================================================================================================

``--one-process`` runs ours and the bare loops in this process, for a machine that has other work: each starts once. It measures no memory,
no disk and no start-up.

CPU is user and system time of the process, without start-up. Start-up is the interpreter, imports and an export of a few records. Disk is
the most that the files held which the process had open below the temporary directory, deleted ones included, looked at ten times a second.

``--guard`` compares in one process, in less than 20 s, and ends with 1 where ours has become slower than :data:`GUARD` allows.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import export_peers  # noqa: E402  # found by the line above
import export_plot  # noqa: E402  # found by the path that is set above
import export_server  # noqa: E402  # found by the path that is set above
import export_subjects  # noqa: E402  # found by the path that is set above

ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")
GUARD = {"ours plain": ("bare json", 0.5), "ours fast": ("bare json", 0.85)}
"""The bare loop that a subject is compared with, and the least ratio; loose, for machines that do other things meanwhile."""
GUARD_EVENTS, GUARD_ROUNDS = 8_000, 2
MIB = 2**20


@contextlib.contextmanager
def serving(events: int, page: int, seed: int, style: str = "compact"):
    """A server in a process of its own: its address, and the bytes of its records as JSON."""
    command = [sys.executable, str(HERE / "export_server.py"), "--events", str(events), "--page", str(page), "--seed", str(seed)]
    command += ["--style", style]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            said = json.loads(server.stdout.readline())
            yield f"http://127.0.0.1:{said['port']}", said["json_bytes"]
        finally:
            server.stdin.close()
            server.wait()


def open_bytes(pid: int, below: str) -> int:
    """What the files hold that a process has open below a folder."""
    files: dict[int, int] = {}
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if os.readlink(link).startswith(below):  # noqa: PTH115  # of a deleted file, too
                    found = link.stat()
                    files[found.st_ino] = found.st_blocks * 512
    return sum(files.values())


def measure(command: list[str], environment: dict[str, str], folder: str) -> dict[str, float]:
    """Run one subject; what it printed, and the most disk that it had open."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment) as process:
        most = 0
        while process.poll() is None:
            most = max(most, open_bytes(process.pid, folder))
            time.sleep(0.1)
        said = process.stdout.read()
    if process.returncode:
        msg = f"{' '.join(command)} ended with {process.returncode}"
        raise RuntimeError(msg)
    return json.loads(said.splitlines()[-1]) | {"disk": most}


def subjects_of(endings: list[str]) -> list[tuple[str, str]]:
    """Format and name of ours and of the bare loops."""
    subjects = [(ending, name) for ending in endings for name in ("bare json", "ours plain", "ours fast")]
    return subjects + [(".jsonl.gz", "bare raw")] * (".jsonl.gz" in endings)


def rows_of(options: argparse.Namespace, page: int, folder: str, peers: dict[str, export_peers.Peer]) -> list[dict[str, object]]:
    """The table for one size of pages."""
    environment = os.environ | {"AIRFLOW_HOME": folder, "TMPDIR": folder, "PYTHONWARNINGS": "ignore"}
    subjects = subjects_of(options.endings)
    found: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
    of_peers: dict[tuple[str, int], list[dict[str, float]]] = defaultdict(list)
    few = options.events // 10
    with serving(options.events, page, options.seed, options.style) as (url, json_bytes):
        if options.one_process:
            warm_up_here(subjects, url=url, page=page, folder=folder)
        for peer in peers.values():
            peer.measure(url, few, page, folder, measure)
        for _ in range(options.rounds):
            for ending, name in subjects:
                if options.one_process:
                    found[ending, name].append(measure_here(name, ending=ending, url=url, count=options.events, page=page, folder=folder))
                    continue
                command = [sys.executable, str(HERE / "export_subjects.py"), name, "--ending", ending, "--url", url, "--folder", folder]
                command += ["--count", str(options.events), "--page", str(page)]
                found[ending, name].append(measure(command, environment, folder))
            for name, peer in peers.items():
                for count in (few, options.events):
                    of_peers[name, count].append(peer.measure(url, count, page, folder, measure))
    for name in peers:
        found["its own", name] = [export_peers.medians_of(of_peers[name, few], of_peers[name, options.events])]
    rows = []
    for (ending, name), runs in found.items():
        medians = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        bare = statistics.median(run["cpu"] for run in found.get((ending, "bare json")) or found[".jsonl.gz", "bare json"])
        row = {"page": page, "format": ending, "subject": name, "us": 1e6 * medians["cpu"] / options.events, "ratio": bare / medians["cpu"]}
        rows.append(row | medians | {"disk": medians["disk"] / json_bytes, "bytes": medians["bytes"] / json_bytes})
    return rows


def warm_up_here(subjects: list[tuple[str, str]], *, url: str, page: int, folder: str) -> None:
    """Import and set up in this process what the subjects need."""
    os.environ.setdefault("AIRFLOW_HOME", folder)
    os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "ERROR")
    export_subjects.set_connection(url, page)
    for ending, name in subjects:
        with packages_of(name):
            export_subjects.warm_up(name, ending, url, page, folder)


def measure_here(name: str, **options: object) -> dict[str, float]:
    """As :func:`measure`, in this process."""
    with packages_of(name):
        run = export_subjects.run_once(name, **options)
    return run | dict.fromkeys(("startup", "peak", "disk"), float("nan"))


@contextlib.contextmanager
def packages_of(name: str):
    """Without those of the extra ``fast`` for ``ours plain``."""
    from airflow_provider_capillary import fast

    real = fast.optional
    fast.optional = (lambda _name: None) if name == "ours plain" else real
    try:
        yield
    finally:
        fast.optional = real


def table_of(rows: list[dict[str, object]], *, with_head: bool) -> str:
    """The rows as text."""
    head = f"{'page':>6} {'format':<10} {'subject':<12} {'µs/record':>9} {'ratio':>6} {'wall s':>7} {'start s':>7} {'MiB':>6} "
    lines = [head + f"{'disk/JSON':>9} {'object/JSON':>11} {'requests':>8} {'rows':>9}"] * with_head
    lines += [
        f"{row['page']:>6} {row['format']:<10} {row['subject']:<12} {row['us']:>9.1f} {row['ratio']:>6.2f} {row['wall']:>7.1f} "
        f"{row['startup']:>7.1f} {row['peak']:>6.0f} {row['disk']:>9.2f} {row['bytes']:>11.2f} {row['requests']:>8.0f} {row['rows']:>9.0f}"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def guard() -> int:
    """One process, one format, bare and ours in turn; 1 where ours has become too slow."""
    page, used = 1_000, defaultdict(list)
    with tempfile.TemporaryDirectory() as folder, serving(GUARD_EVENTS, page, 1) as (url, _):
        os.environ |= {"AIRFLOW_HOME": folder}
        warm_up_here([(".jsonl.gz", "bare json"), (".jsonl.gz", "ours fast")], url=url, page=page, folder=folder)
        for _ in range(GUARD_ROUNDS):
            for name in ("bare json", *GUARD):
                run = measure_here(name, ending=".jsonl.gz", url=url, count=GUARD_EVENTS, page=page, folder=folder)
                used[name].append(run["cpu"])
    is_slow = False
    for name, (beside, least) in GUARD.items():
        ours, bare = min(used[name]), min(used[beside])
        is_slow |= bare / ours < least
        figures = f"{1e6 * ours / GUARD_EVENTS:.1f} µs a record, {beside} {1e6 * bare / GUARD_EVENTS:.1f}"
        sys.stdout.write(f"{name}: {figures}, ratio {bare / ours:.2f}, at least {least}\n")
    return int(is_slow)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--pages", type=int, nargs="+", default=[1_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--endings", nargs="+", choices=ENDINGS, default=ENDINGS)
    parser.add_argument("--seed", type=int, default=1, help="of the records; another one draws others")
    parser.add_argument("--style", choices=export_server.STYLES, default="compact", help="how the server writes JSON")
    parser.add_argument("--one-process", action="store_true", help="without memory, disk and start-up, in a fraction of the time")
    parser.add_argument("--peers", action="store_true", help="with dlt, a Singer tap and an Airbyte source; installs them")
    parser.add_argument("--plot", metavar="FILE", help="write the CPU of each as an SVG")
    parser.add_argument("--guard", action="store_true", help="end with 1 where ours has become much slower beside the bare loop")
    options = parser.parse_args()
    if options.guard:
        return guard()
    rows = []
    with tempfile.TemporaryDirectory() as home:
        peers = export_peers.install(home) if options.peers else {}
        for page in options.pages:
            with tempfile.TemporaryDirectory() as folder:
                found = rows_of(options, page, folder, peers)
            sys.stdout.write(table_of(found, with_head=not rows))
            sys.stdout.flush()
            rows += found
    if options.plot:
        Path(options.plot).write_text(export_plot.svg_of(rows), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
