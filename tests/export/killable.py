"""Runs exports in children that can be killed: one job of JSON a line on standard input, its pid and then how it ended on standard output.
A line with a list of jobs runs them at once, and is answered with all pids and then all ends.

Airflow is imported once, and each job is a fork, so that a kill costs milliseconds and not the seconds of an import.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from export.support import export, make_records

from airflow_provider_capillary import _airflow
from airflow_provider_capillary.errors import PublishError
from airflow_provider_capillary.export import exporter, formats, object_store, spool, target, tempdir

PUBLISH_ERROR = 3
"""How a child ends that was refused; any other error is 1."""


RUN_BYTES = 100_000
"""So little that even a small export writes to its spool."""


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def die_while_reading(records):
    for number, record in enumerate(records):
        if number == 50:
            die()
        yield record


def after(calls, method):
    """Let a method run that many times, and die at the call after."""
    count = 0

    def wrapper(*args, **kwargs):
        nonlocal count
        count += 1
        if count > calls:
            die()
        return method(*args, **kwargs)

    return wrapper


def die_half_written(source, target, *_):
    target.write(source.read(1_000))
    target.flush()
    die()


def name_no_file():
    """As on a disk that has no files without a name."""
    tempdir.TempDir.file_in = lambda *_: None


def die_after_replacing(source, target):
    os.replace(source, target)  # noqa: PTH105  # Path.replace is what stands in the way
    die()


def die_at_the_second_part():
    import s3fs

    object_store._PART = 5 * 1024 * 1024  # the smallest that S3 takes, so that a small object has several
    object_store._PARTS_AT_ONCE = 1
    send = s3fs.S3FileSystem._call_s3
    count_part = after(1, lambda: None)

    async def call(self, method, *args, **kwargs):
        if method == "upload_part":
            count_part()
        return await send(self, method, *args, **kwargs)

    s3fs.S3FileSystem._call_s3 = call


AIMS = {
    None: lambda: None,
    "half read": lambda: None,  # by the records themselves
    "half built": lambda: setattr(formats, "_chunks", after_one_chunk),
    "built": lambda: setattr(target.Target, "publish", after(0, target.Target.publish)),
    "half copied": lambda: (name_no_file(), setattr(shutil, "copyfileobj", die_half_written)),
    "before replacing": lambda: setattr(Path, "replace", after(0, Path.replace)),
    "after replacing": lambda: setattr(Path, "replace", die_after_replacing),
    "half uploaded": die_at_the_second_part,
    "before the manifest": lambda: setattr(target.Target, "publish", after(1, target.Target.publish)),
    "manifest made": lambda: setattr(exporter, "manifest_text", after(0, exporter.manifest_text)),
}


def after_one_chunk(lines):
    yield next(iter(lines)) + b"\n"
    die()


def work(job):
    os.environ["TMPDIR"] = job["tmpdir"]
    tempfile.tempdir = None
    AIMS[job.get("die")]()
    object_store._PART = job.get("part", object_store._PART)
    spool._RUN_BYTES = RUN_BYTES
    records = make_records(job["count"], seed=job["seed"], size=job.get("size", 40))
    if job.get("die") == "half read":
        records = die_while_reading(records)
    said = []
    log = logging.getLogger("tests.export.killable")
    log.addHandler(handler := logging.Handler())
    handler.emit = lambda record: said.append(record.getMessage())
    receipt = export(records, job["destination"], log=log, on_vanished="drop")
    Path(job["receipt"]).write_text(json.dumps({"receipt": receipt, "said": said}))


def begin(job):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work(job)
            code = 0
        except PublishError as error:
            sys.stderr.write(f"{error}\n")
            code = PUBLISH_ERROR
        finally:
            os._exit(code)
    return pid


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever Airflow prints belongs to the log
    # What a child would spend its time on, done before the forks; none of it starts a thread or opens a connection.
    import boto3
    import s3fs  # noqa: F401
    from airflow.providers.amazon.aws.fs import s3  # noqa: F401
    from airflow.providers.common.compat.sdk import BaseHook, ObjectStoragePath  # noqa: F401
    from botocore import loaders

    # Each session of botocore reads the same megabytes of JSON; they are kept for all of them here.
    loaders.JSONFileLoader.load_file = functools.cache(loaders.JSONFileLoader.load_file)
    loader_of_all = loaders.JSONFileLoader()
    loaders.JSONFileLoader.__new__ = lambda *_: loader_of_all
    boto3.client("s3", region_name="us-east-1")
    assert _airflow.has_filesystem("s3")
    BaseHook.get_connection("capillary_tests_s3")
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        jobs = json.loads(line)
        pids = [begin(job) for job in (jobs if isinstance(jobs, list) else [jobs])]
        print(*pids, file=answers, flush=True)
        print(*(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids), file=answers, flush=True)


if __name__ == "__main__":
    main()
