# ruff: noqa: T201  # a command prints
"""How long Airflow takes over a DAG file with 100 tasks of this package, beside one with 100 of Airflow's own HTTP provider. Run by hand:

    python tests/benchmarks/parse_time.py [--rounds 30] [--tasks 100] [--guard]

Both files are read by Airflow's ``DagBag``, in turns, round after round, in one process. The table holds the least CPU time of each, and
ours by theirs: below 1, a file of ours costs less.

============ ========================================================================================================================
column       what is measured
============ ========================================================================================================================
parse        the file is read again, with everything imported
first parse  the file is read in a fork of a process that has imported Airflow alone, as the DAG processor forks for each file
serialize    the parsed DAG is turned into what Airflow stores
============ ========================================================================================================================

The last line is the provider info, which every ``airflow`` command asks for: its first import and its call, in a process that has
imported Airflow.
``--guard`` ends with 1 where a ratio of `parse` or `first parse` is above :data:`MOST`, or the provider info takes longer than
:data:`MOST_OF_INFO`.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import logging
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

MOST = 1.25
"""Of ours by theirs; loose, for machines that do other things meanwhile."""
MOST_OF_INFO = 0.005
"""Seconds."""

OURS = "from airflow_provider_capillary.operators.capillary import CapillaryEventLogsToObjectStorageOperator as Task"
THEIRS = "from airflow.providers.http.operators.http import HttpOperator as Task"
OUR_SENSOR = "from airflow_provider_capillary.sensors.capillary import CapillaryEventStatusSensor as Task"
THEIR_SENSOR = "from airflow.providers.http.sensors.http import HttpSensor as Task"
PLACE = "s3://my_conn@bucket/logs-{number}/dt={{interval_start:%Y-%m-%d}}/events.jsonl.gz"

# Each row: a name, then import and arguments of a task of ours, and of theirs with about as many arguments given.
PAIRS = {
    "least": (OURS, f'destination=f"{PLACE}"', THEIRS, 'endpoint=f"logs/{number}"'),
    "usual": (
        OURS,
        (
            f'destination=f"{PLACE}", event_name=f"Event{{number}}", statuses=["EMF_PROCESSOR_FAILED", "NO_STATUS"], '
            'capillary_conn_id="my_capillary", lookback=timedelta(days=1), on_empty="skip"'
        ),
        THEIRS,
        (
            'endpoint=f"logs/{number}", method="GET", http_conn_id="my_http", headers={"Accept": "application/json"}, '
            'data={"event": f"Event{number}"}, response_check=len'
        ),
    ),
    "templates": (
        OURS,
        (
            'destination=f"s3://my_conn@bucket/logs-{number}/dt={{{{ ds }}}}/events.jsonl.gz", start="{{ data_interval_start }}", '
            'end="{{ data_interval_end }}", event_name="{{ params.event }}"'
        ),
        THEIRS,
        (
            'endpoint=f"logs/{number}/{{{{ ds }}}}", data={"from": "{{ data_interval_start }}", "to": "{{ data_interval_end }}"}, '
            'headers={"event": "{{ params.event }}"}'
        ),
    ),
    "sensor": (OUR_SENSOR, 'event_name=f"Event{number}"', THEIR_SENSOR, 'endpoint=f"logs/{number}"'),
}

FILE = """
from datetime import UTC, datetime, timedelta
from airflow.providers.common.compat.sdk import DAG
{line}

with DAG("{name}", start_date=datetime(2025, 1, 1, tzinfo=UTC), schedule=None):
    for number in range({tasks}):
        Task(task_id=f"task_{{number}}", {arguments})
"""

INFO = """
import sys, time
import airflow
from importlib import metadata
for name in [name for name in sys.modules if name.startswith("airflow_provider_capillary")]:
    del sys.modules[name]
(entry,) = (e for e in metadata.entry_points(group="apache_airflow_provider") if e.value.startswith("airflow_provider_capillary."))
began = time.process_time()
entry.load()()
print(time.process_time() - began)
"""


def prepare(home: Path):
    """Airflow as the DAG processor has it before it forks: its ``DagBag`` by path, and what serializes a DAG."""
    os.environ |= {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"}
    warnings.simplefilter("ignore")
    if sys.dont_write_bytecode:  # by the environment; modules are compiled once all the same, as in an installation
        sys.dont_write_bytecode, sys.pycache_prefix = False, str(home / "bytecode")
    from airflow.serialization import serialized_objects

    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # Airflow 2
        from airflow.models.dagbag import DagBag
    logging.disable(logging.WARNING)
    serialize = getattr(serialized_objects, "DagSerialization", None) or serialized_objects.SerializedDAG

    def parse(path):
        bag = DagBag(str(path))
        if bag.import_errors:
            sys.exit(str(bag.import_errors))
        (dag,) = bag.dags.values()
        return dag

    return parse, serialize.to_dict


def timed(work, *arguments):
    """The result, and the CPU seconds that it took."""
    began = time.process_time()
    result = work(*arguments)
    return result, time.process_time() - began


def in_fork(work, *arguments):
    """The CPU seconds of work in a fork of this process."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        seconds = None
        try:
            seconds = timed(work, *arguments)[1]
        finally:
            os.write(writer, pickle.dumps(seconds))
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader, "rb") as pipe:
        seconds = pickle.loads(pipe.read())  # noqa: S301  # of our own child
    if seconds is None:
        sys.exit("the file could not be read in a fork")
    return seconds


def measure(rounds: int, tasks: int, home: Path):
    """Each pair's name to each column's two lists of seconds, ours and theirs."""
    parse, serialize = prepare(home)
    times = {name: {column: ([], []) for column in ("parse", "first parse", "serialize")} for name in PAIRS}
    files = {}
    for name, (our_import, our_arguments, their_import, their_arguments) in PAIRS.items():
        both = ((our_import, our_arguments), (their_import, their_arguments))
        files[name] = tuple(home / f"{name}_{side}.py" for side in ("ours", "theirs"))
        for path, (line, arguments) in zip(files[name], both, strict=True):
            path.write_text(FILE.format(line=line, name=path.stem, tasks=tasks, arguments=arguments))
    # Before anything of either package is imported here.
    for _ in range(max(3, rounds // 6)):
        for name, paths in files.items():
            for side, path in enumerate(paths):
                times[name]["first parse"][side].append(in_fork(parse, path))
    for turn in range(rounds):
        for name, paths in files.items():
            for side, path in enumerate(paths):
                dag, parsing = timed(parse, path)
                _, serializing = timed(serialize, dag)
                if turn:  # the first one imports
                    times[name]["parse"][side].append(parsing)
                    times[name]["serialize"][side].append(serializing)
    return times


def provider_info(home: Path) -> float:
    """CPU seconds of the provider info's import and call, the median of three processes, after one that compiles."""
    environment = dict(os.environ)
    if environment.pop("PYTHONDONTWRITEBYTECODE", None):
        environment["PYTHONPYCACHEPREFIX"] = str(home / "bytecode")
    command = [sys.executable, "-W", "ignore", "-c", INFO]
    done = [subprocess.run(command, env=environment, capture_output=True, text=True, check=True) for _ in range(4)]
    return statistics.median(float(each.stdout.splitlines()[-1]) for each in done[1:])


def main() -> int:
    """Print the table.

    :return: the exit status.
    """
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--guard", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        times = measure(options.rounds, options.tasks, Path(home))
        info = provider_info(Path(home))
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("apache-airflow", "apache-airflow-providers-http")]
    print(f"{', '.join(versions)}; {options.tasks} tasks, CPU milliseconds, ours / theirs = ratio\n")
    print(f"{'':10}" + "".join(f"{column:>28}" for column in next(iter(times.values()))))
    worst = 0.0
    for name, columns in times.items():
        line = f"{name:10}"
        for column, both in columns.items():
            ours, theirs = (1000 * min(each) for each in both)
            line += f"{f'{ours:.1f} / {theirs:.1f} = {ours / theirs:.2f}':>28}"
            if column != "serialize":
                worst = max(worst, ours / theirs)
        print(line)
    print(f"\nprovider info: {1000 * info:.2f} ms")
    return int(options.guard and (worst > MOST or info > MOST_OF_INFO))


if __name__ == "__main__":
    sys.exit(main())
