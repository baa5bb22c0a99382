"""What the tests of the export share: records, the call with its defaults, and readers that owe nothing to the package."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import logging
import random
import uuid
from datetime import UTC, datetime, timedelta

START = datetime(2025, 9, 18, tzinfo=UTC)
END = START + timedelta(days=1)
START_MS = 1_758_153_600_000
ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")
STATUSES = ("EVENT_SUCCESS", "EVENT_SUCCESS", "INVALID_EVENT_NAME", None)


def manifest_name(name):
    """Where the manifest of an object lies, from the object's own folder."""
    stem = name.removesuffix(next(ending for ending in ENDINGS if name.endswith(ending)))
    return f"_manifests/manifest-of-{stem.replace('.', '_')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def files_in(folder):
    """The files below a folder, their paths from there, hidden ones included."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


class Place:
    """A folder or a bucket, addressed alike."""

    def __init__(self, bucket=None, folder=None):
        self._bucket, self._folder = bucket, folder

    def uri(self, name):
        return self._bucket.uri(name) if self._bucket else f"file://{self._folder}/{name}"

    def read(self, name):
        return self._bucket.read(name) if self._bucket else (self._folder / name).read_bytes()

    def write(self, name, content):
        if self._bucket:
            self._bucket.write(name, content)
        else:
            (self._folder / name).write_bytes(content)

    def remove(self, name):
        if self._bucket:
            self._bucket.client.delete_object(Bucket=self._bucket.name, Key=name)
        else:
            (self._folder / name).unlink()

    def names(self):
        return self._bucket.keys() if self._bucket else files_in(self._folder)


def make_records(count, *, seed=0, size=40):
    """Newest first, as the API is documented to answer; each third shares its timestamp with the one before."""
    rng = random.Random(seed)
    for index in reversed(range(count)):
        record = {
            "startTime": START_MS + (index - index % 3) * 10,
            "responseTime": rng.randrange(13, 504),
            "orgId": 100737,
            "status": rng.choice(STATUSES),
            "eventName": "Group_User_Event",
            "inputRequest": json.dumps({"event_name": "Group_User_Event", "filler": rng.randbytes(size // 2).hex()}),
            "id": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
            "webhookId": "67b62dffb7f5337f8a8237970bd0a467",
            "parentOrgId": -1,
            "message": "Event processed successfully",
        }
        if record["status"] is None:
            del record["status"]
        yield record


def batched(items, size):
    """As many at a time."""
    return [items[begin : begin + size] for begin in range(0, len(items), size)]


def in_order(records):
    return sorted(records, key=lambda record: (record["startTime"], record["id"]))


READ = {
    "events_read": 9,
    "requests": 7,
    "bounds": {"date_format": "iso", "page_size": 1000},
    "proof": {"spans": 1, "longest_answer": 9, "capacity": 10},
}
"""What a reading says about itself, where a test does not care."""


PROVED = {"events_read": 9, "requests": 7, "proof": {"spans": 1, "longest_answer": 9, "capacity": 10, "shown_at": "2025-10-01T00:00:00Z"}}
"""What a reading of some records says of itself."""


def export(
    records,
    destination,
    *,
    pages=(),
    running=None,
    read=None,
    log=None,
    on_empty="write",
    on_vanished="fail",
    manifest=True,
    apply=None,
    **subject,
):
    """One export, as the operator does it, with defaults for what a test does not care about.

    :param apply: what redacts the records.
    :param pages: records as answers hold them, added after the others.
    :param running: a list that gets the export once it is open, so that records and others can stop it.
    """
    from airflow_provider_capillary.export.destination import parse_destination
    from airflow_provider_capillary.export.exporter import open_export
    from airflow_provider_capillary.export.manifest import Subject

    with open_export(
        parse_destination(destination),
        Subject(**({"start": START, "end": END, "redact": apply.to_dict() if apply else None} | subject)),
        log=log or logging.getLogger("tests.export"),
        on_empty=on_empty,
        on_vanished=on_vanished,
        manifest=manifest,
        redact=apply,
    ) as opened:
        if running is not None:
            running.append(opened)
        opened.add_all(records)
        opened.add_pages(pages)
        return opened.publish(**(READ | (read or {})))


def as_sent(record):
    """A record, or its text, as it comes out of an answer."""
    from airflow_provider_capillary.api.event_logs import event_log

    text = record if isinstance(record, str) else json.dumps(record)
    return event_log(json.loads(text), text.encode())


def verify(uri, records, *, redact=None, running=None, killed=lambda: False):
    """One verification, as the operator does it.

    :param running: a list that gets the verification once it is open, so that records and others can stop it.
    """
    from airflow_provider_capillary.api.event_logs import EventLogs
    from airflow_provider_capillary.export.destination import parse_destination
    from airflow_provider_capillary.export.verification import open_verification

    with open_verification(parse_destination(uri), log=logging.getLogger("tests.verify"), killed=killed) as verification:
        if running is not None:
            running.append(verification)
        verification.add_pages([EventLogs.of(map(as_sent, records))], redact=redact)
        receipt = verification.finish(**PROVED)
    assert json.loads(json.dumps(receipt)) == receipt
    return receipt


def counts_of(receipt):
    """The differences that a verification found, by kind."""
    kinds = ("missing", "late", "surplus", "changed")
    return {kind: receipt[f"{kind}_events"] for kind in kinds if receipt[f"{kind}_events"]}


def target_at(uri):
    """The place of an object, as an export opens it."""
    from airflow_provider_capillary.export.destination import parse_destination
    from airflow_provider_capillary.export.filesystems import open_target

    return open_target(parse_destination(uri), log=logging.getLogger("tests.export"))


def unpack(content, ending):
    """The records in the bytes of an object, read by the format's own library."""
    if ending == ".parquet":
        import pyarrow.parquet as pq

        return pq.read_table(io.BytesIO(content)).to_pylist()
    return [json.loads(line) for line in lines_of(content, ending)]


def lines_of(content, ending):
    """The lines in the bytes of an object of JSON lines."""
    if ending == ".jsonl.gz":
        content = gzip.decompress(content)
    elif ending == ".jsonl.zst":
        import zstandard

        content = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(content)).read()
    assert content == b"" or content.endswith(b"\n")
    return content.decode("utf-8").splitlines()
