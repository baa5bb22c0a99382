"""What a rerun learns from the manifest of an earlier run, whatever state it is in; and runs without records."""

from __future__ import annotations

import json
import logging

import pytest
from export.support import ENDINGS, export, make_records, manifest_name, target_at

from airflow_provider_capillary import __version__
from airflow_provider_capillary.errors import CapillaryError
from airflow_provider_capillary.export import previous_export

RECORDS = list(make_records(200))
MANIFEST = manifest_name("x.jsonl")


def test_the_manifest_says_what_stands_beside_it(place):
    receipt = export(RECORDS, place.uri("x.jsonl"))
    manifest = json.loads(place.read(MANIFEST))
    assert manifest["receipt"] == receipt
    assert manifest["stands_for"] == {
        "start": "2025-09-18T00:00:00.000Z",
        "end": "2025-09-19T00:00:00.000Z",
        "event_name": None,
        "statuses": None,
        "redact": None,
        "capillary_conn_id": None,
    }
    assert manifest["bounds"] == {"date_format": "iso", "page_size": 1000}
    assert manifest["provider_version"] == __version__
    assert {name: manifest["object"][name] for name in ("name", "bytes", "sha256")} == {
        "name": "x.jsonl",
        "bytes": receipt["bytes"],
        "sha256": receipt["sha256"],
    }


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("counts", [(150, 200, 50), (200, 200, 0), (200, 150, 0), (0, 200, 200), (200, 0, 0)])
def test_late_events_are_what_the_earlier_object_lacked(tmp_path, caplog, ending, counts):
    first, second, late = counts
    uri = str(tmp_path / f"x{ending}")
    assert export(RECORDS[:first], uri)["late_events"] is None
    assert export(RECORDS[:second], uri, on_vanished="drop")["late_events"] == late
    assert (f"{late} of {second} records are late: the object of the earlier run lacks them ({uri})" in caplog.text) == (late > 0)


def test_equal_digests_are_believed_without_reading_the_object(place, monkeypatch):
    export(RECORDS, place.uri("x.jsonl"))
    monkeypatch.setattr(previous_export, "read_pairs", None)
    assert export(RECORDS, place.uri("x.jsonl"))["late_events"] == 0


def other_content(place):
    """Another object that this package could have written: what a run at the same time leaves."""
    export(RECORDS[:120], place.uri("other.jsonl"), manifest=False)
    place.write("x.jsonl", place.read("other.jsonl"))
    place.remove("other.jsonl")


def same_size(place):
    """As many bytes, other records."""
    content = place.read("x.jsonl")
    swapped = content.replace(b'"id":"', b'"id":"!', 1).replace(b'"message":"Event', b'"message":"vent', 1)
    assert len(swapped) == len(content)
    place.write("x.jsonl", swapped)


def break_manifest(**changes):
    def change(place):
        manifest = json.loads(place.read(MANIFEST))
        place.write(MANIFEST, json.dumps(manifest | changes).encode())

    return change


# Each row: a change after a run with 150 of 200 records, the late events of the next run, and words of its log.
STATES = {
    "another object": (other_content, 80, "does not describe the object"),
    "as many bytes of other records": (same_size, 51, "does not describe the object"),
    "a foreign object": (lambda place: place.write("x.jsonl", b"a,b\n1,2\n"), None, "cannot be read as an object"),
    "half an object": (lambda place: place.write("x.jsonl", place.read("x.jsonl")[:-10]), None, "cannot be read as an object"),
    "no manifest": (lambda place: place.remove(MANIFEST), 50, "without a manifest"),
    "no object": (lambda place: place.remove("x.jsonl"), None, "not there"),
    "a manifest cut off": (lambda place: place.write(MANIFEST, b'{"receipt":'), 50, "cannot be read as a manifest"),
    "a manifest that is a list": (lambda place: place.write(MANIFEST, b"[]"), 50, "cannot be read as a manifest"),
    "a huge manifest": (lambda place: place.write(MANIFEST, b" " * 2**21), 50, "cannot be read as a manifest"),
    "a later version": (break_manifest(manifest_version=9), 50, "cannot be read as a manifest"),
    "a digest of another type": (break_manifest(ids_sha256=5), 50, "cannot be read as a manifest"),
}


@pytest.mark.parametrize("state", STATES)
def test_what_an_earlier_run_left_is_noticed_and_put_right(place, caplog, state):
    apply_fault, late, said = STATES[state]
    export(RECORDS[:150], place.uri("x.jsonl"))
    apply_fault(place)
    with caplog.at_level(logging.WARNING):
        receipt = export(RECORDS, place.uri("x.jsonl"), on_vanished="drop")
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert any(said in warning and "x.jsonl" in warning for warning in warnings), warnings
    assert receipt["late_events"] == late
    caplog.clear()
    assert export(RECORDS, place.uri("x.jsonl"))["late_events"] == 0
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_without_a_manifest_none_is_written_and_a_stale_one_goes(place):
    export(RECORDS[:150], place.uri("x.jsonl"))
    receipt = export(RECORDS, place.uri("x.jsonl"), manifest=False)
    assert (receipt["manifest"], receipt["late_events"]) == (None, 50)
    assert place.names() == ["x.jsonl"]


def test_an_object_of_another_agent_is_seen_although_the_folder_was_listed_before(bucket):
    uri = bucket.uri("x.jsonl")
    export(RECORDS[:150], bucket.uri("y.jsonl"))
    target_at(uri)._fs.ls(bucket.name)  # fills the cache of the filesystem
    bucket.write("x.jsonl", bucket.read("y.jsonl"))
    assert export(RECORDS, uri)["late_events"] == 50


@pytest.mark.parametrize("earlier", [True, False], ids=["after a run with records", "first"])
def test_skip_leaves_no_object_and_nothing_that_speaks_of_one(place, caplog, earlier):
    if earlier:
        export(RECORDS, place.uri("x.jsonl"))
    with caplog.at_level(logging.INFO):
        receipt = export([], place.uri("x.jsonl"), on_empty="skip", on_vanished="drop")
    assert place.names() == []
    assert {receipt[name] for name in ("path", "uri", "bytes", "sha256", "manifest")} == {None}
    assert receipt["events"] == 0
    assert ("removed" in caplog.text) == earlier


def test_fail_says_the_interval_and_leaves_everything(place):
    export(RECORDS, place.uri("x.jsonl"))
    before = {name: place.read(name) for name in place.names()}
    with pytest.raises(CapillaryError, match="2025-09-18T00:00:00Z"):
        export([], place.uri("x.jsonl"), on_empty="fail")
    assert {name: place.read(name) for name in place.names()} == before


def test_write_replaces_by_an_object_without_records(place):
    export(RECORDS, place.uri("x.jsonl"))
    assert export([], place.uri("x.jsonl"), on_empty="write", on_vanished="drop")["bytes"] == 0
    assert place.read("x.jsonl") == b""
    assert json.loads(place.read(MANIFEST))["receipt"]["events"] == 0
