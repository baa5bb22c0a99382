"""The operator that verifies, over exports of the real operator and against the emulator: what it finds, refuses and says."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from export.support import ENDINGS, Place, manifest_name
from operators.support import export_task, verify_task

from airflow_provider_capillary.errors import (
    CapillaryError,
    ConfigurationError,
    DestinationError,
    IntervalError,
    UnverifiableError,
    VerificationError,
)
from airflow_provider_capillary.export import published_object

pytestmark = pytest.mark.usefixtures("airflow_db")

START = datetime(2025, 9, 17, tzinfo=UTC)
INTERVAL = {"start": "2025-09-17T00:00:00Z", "end": "2025-09-18T00:00:00Z"}
KEY = {"variable": "capillary_redaction_secret"}
REDACT = {"inputRequest": {"mobile": "hash"}, "message": "drop", "key": KEY}
CANARY = "919800012345"


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(published_object, "_PAUSES", (0.01,))
    monkeypatch.setenv("AIRFLOW_VAR_CAPILLARY_REDACTION_SECRET", "a key of the tests, longer than it need be")
    monkeypatch.setenv("AIRFLOW_VAR_ANOTHER", "another key of the tests, as long")


def record(number, **fields):
    model = {
        "status": "EVENT_SUCCESS",
        "eventName": "order",
        "inputRequest": json.dumps({"mobile": CANARY, "n": number}),
        "message": CANARY,
    }
    return {"id": f"r{number:02d}", "startTime": int(START.timestamp() * 1000) + number * 1000, **model, **fields}


RECORDS = [record(number, **({"eventName": "other", "status": "EMF_PROCESSOR_FAILED"} if number % 3 else {})) for number in range(12)]
LATER = [record(4, message="other"), *RECORDS[5:], record(99, eventName="other")]
"""The same API later: four records are gone, one has changed, one is late."""


def error_of(task):
    """The error that a task raises; the cause of Airflow's own, where there is one."""
    from airflow.providers.common.compat.sdk import AirflowFailException

    with pytest.raises((CapillaryError, AirflowFailException)) as caught:
        task.execute({})
    return caught.value if isinstance(caught.value, CapillaryError) else caught.value.__cause__


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_difference_in_every_format(api_of, tmp_path, ending, logged):
    api = api_of(records=RECORDS, documented=False)
    exported = export_task(tmp_path / f"x{ending}", **INTERVAL).execute({})
    place = Place(folder=tmp_path)
    before = {name: place.read(name) for name in place.names()}
    asked = len(api.requests)
    receipt = verify_task(tmp_path / f"x{ending}").execute({})
    assert receipt["is_equal"]
    assert receipt["requests"] == len(api.requests) - asked
    assert receipt["exported_at"] == exported["proof"]["shown_at"] <= receipt["proof"]["shown_at"]
    assert "Verified, no difference: 12 event logs in the object, 12 in the API" in logged()
    api.stop()

    api_of(records=LATER, documented=False)
    receipt = verify_task(tmp_path / f"x{ending}", on_difference="report").execute({})
    assert receipt["ids"] == {"late": ["r99"], "surplus": ["r00", "r01", "r02", "r03"], "changed": ["r04"]}
    assert (receipt["events"], receipt["events_in_api"], receipt["events_read"]) == (12, 9, 9)
    assert (receipt["start"], receipt["end"]) == (exported["start"], exported["end"])
    assert "1 late, 4 surplus, 1 changed: 12 event logs in the object, 9 in the API" in logged()
    error = error_of(verify_task(tmp_path / f"x{ending}"))
    assert type(error) is VerificationError
    assert error.counts == {"missing": 0, "late": 1, "surplus": 4, "changed": 1}
    assert "late 'r99'; surplus 'r00', 'r01', 'r02'; changed 'r04'" in str(error)
    assert {name: place.read(name) for name in place.names()} == before
    assert CANARY not in json.dumps(receipt) + str(error) + logged()


def test_in_a_bucket_whose_path_the_interval_fills_in(api_of, s3_bucket):
    api_of(records=RECORDS, documented=False)
    place = {"destination": "s3://events/dt={interval_start:%Y-%m-%d}/x.parquet", "object_storage_conn_id": "operator_tests_s3"}
    export_task(**place, **INTERVAL).execute({})
    receipt = verify_task(**place, **INTERVAL).execute({})
    assert receipt["is_equal"]
    assert receipt["path"] == "s3://operator_tests_s3@events/dt=2025-09-17/x.parquet"


# Each row: the filters of an export, and how many records they keep.
FILTERS = [
    ({"event_name": "other"}, 8),
    ({"statuses": ["EVENT_SUCCESS"]}, 4),
    ({"redact": REDACT}, 12),
    ({"redact": {"message": "drop"}}, 12),
]


@pytest.mark.parametrize(("filters", "kept"), FILTERS, ids=[str(sorted(row)) + str(kept) for row, kept in FILTERS])
def test_the_manifest_says_what_to_compare_with(api_of, tmp_path, filters, kept):
    api = api_of(records=RECORDS, documented=False)
    export_task(tmp_path / "x.jsonl", **INTERVAL, **filters).execute({})
    receipt = verify_task(tmp_path / "x.jsonl", redact_key=KEY).execute({})
    assert (receipt["is_equal"], receipt["events"], receipt["events_in_api"]) == (True, kept, kept)
    api.add(record(50, eventName="other"))
    assert verify_task(tmp_path / "x.jsonl", redact_key=KEY, on_difference="report").execute({})["late_events"] == 1


# Each row: what the verification of a redacted object is given, the reason of the refusal, and a part of its text.
REFUSED = {
    "no key": ({}, "key", "and this task has no key"),
    "another key": ({"redact_key": {"variable": "another"}}, "key", "and the key of redact_key has"),
    "a key that is not there": (
        {"redact_key": {"variable": "nobody_s"}},
        None,
        "There is no Airflow variable 'nobody_s', which redact_key names",
    ),
    "another connection": (
        {"redact_key": KEY, "capillary_conn_id": "capillary_other"},
        "another connection",
        "write capillary_conn_id='capillary_default'",
    ),
    "no object": ({"destination": "{folder}/nobody.jsonl"}, "no object", "There is no object"),
    "no interval": ({"destination": "{folder}/{{interval_start:%Y-%m-%d}}.jsonl"}, None, "has no data interval"),
}


@pytest.mark.parametrize("row", REFUSED)
def test_what_is_refused_before_the_first_request(api_of, tmp_path, row):
    options, reason, said = REFUSED[row]
    api = api_of(records=RECORDS, documented=False)
    api_of(conn_id="capillary_other")
    export_task(tmp_path / "x.jsonl", **INTERVAL, redact=REDACT).execute({})
    asked = len(api.requests)
    options = {"destination": str(tmp_path / "x.jsonl"), "on_difference": "report"} | options
    error = error_of(verify_task(**options | {"destination": options["destination"].format(folder=tmp_path)}))
    assert said in str(error)
    assert getattr(error, "reason", None) == reason
    assert len(api.requests) == asked


def test_a_rule_of_another_version_is_refused(api_of, tmp_path):
    api_of(records=RECORDS, documented=False)
    export_task(tmp_path / "x.jsonl", **INTERVAL, redact=REDACT).execute({})
    manifest = tmp_path / manifest_name("x.jsonl")
    content = json.loads(manifest.read_bytes())
    content["stands_for"]["redact"]["version"] = 2
    manifest.write_text(json.dumps(content))
    error = error_of(verify_task(tmp_path / "x.jsonl", redact_key=KEY))
    assert isinstance(error, UnverifiableError)
    assert "redacted by a rule that this version of the package does not know" in str(error)


def test_without_an_object_the_task_may_be_skipped(api_of, tmp_path):
    from airflow.providers.common.compat.sdk import AirflowSkipException

    api = api_of(records=RECORDS, documented=False)
    with pytest.raises(AirflowSkipException, match="There is no object"):
        verify_task(tmp_path / "x.jsonl", on_no_object="skip").execute({})
    export_task(tmp_path / "x.jsonl", **INTERVAL).execute({})
    asked = len(api.requests)
    (tmp_path / "x.jsonl").unlink()
    assert "is not there any more" in str(error_of(verify_task(tmp_path / "x.jsonl", on_no_object="skip")))
    assert len(api.requests) == asked


# Arguments that are wrong as written, the class of the error, and a part of its text.
WRONG = {
    "ending": ({"destination": "s3://bucket/x.csv"}, DestinationError, "does not say in which format"),
    "scheme": ({"destination": "s3:/bucket/x.jsonl"}, DestinationError, "one slash"),
    "placeholder": ({"destination": "/x/{start}.jsonl"}, DestinationError, "{start}"),
    "zone": ({"path_timezone": "Europe/Lndon"}, ConfigurationError, "Europe/London"),
    "start alone": ({"start": "2025-09-17T00:00:00Z"}, IntervalError, "`end` is not"),
    "naive start": ({"start": "2025-09-17T00:00:00", "end": "2025-09-18T00:00:00Z"}, IntervalError, "without an offset"),
    "lookback": ({"lookback": 1}, IntervalError, "`lookback` is 1"),
    "offset": ({"offset": 7}, IntervalError, "`offset` is 7"),
    "negative offset": ({"offset": timedelta(days=-7)}, IntervalError, "negative"),
    "on_difference": ({"on_difference": "warn"}, ConfigurationError, "use one of fail, report"),
    "on_no_object": ({"on_no_object": "write"}, ConfigurationError, "use one of fail, skip"),
    "the key itself": ({"redact_key": "s3cr3t"}, ConfigurationError, 'redact_key={"variable": "capillary_redaction_secret"}'),
    "a templated key": ({"redact_key": {"variable": "{{ var.value.x }}"}}, ConfigurationError, "redact_key['variable'] is a template"),
    "connection": ({"capillary_conn_id": ""}, ConfigurationError, "capillary_conn_id='' is empty"),
    "store's connection": ({"object_storage_conn_id": 3}, ConfigurationError, "object_storage_conn_id=3"),
}


@pytest.mark.parametrize("row", WRONG)
def test_what_is_wrong_as_written_fails_while_the_dag_is_parsed(row):
    options, kind, said = WRONG[row]
    with pytest.raises(kind) as caught:
        verify_task(**({"destination": "/x/y.jsonl"} | options))
    assert said in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


# Each row: the zone, the run's interval, the offset, and the name of the object.
OFFSETS = [
    ("UTC", ("2025-09-24T00:00:00Z", "2025-09-25T00:00:00Z"), timedelta(days=7), "2025-09-17T0000_2025-09-18T0000"),
    ("UTC", ("2025-09-24T00:00:00Z", "2025-09-25T00:00:00Z"), timedelta(), "2025-09-24T0000_2025-09-25T0000"),
    ("UTC", ("2025-09-24T06:00:00Z", "2025-09-24T07:00:00Z"), timedelta(hours=25), "2025-09-23T0500_2025-09-23T0600"),
    # In London, clocks went forward on 30 March, and back on 26 October.
    ("Europe/London", ("2025-04-04T23:00:00Z", "2025-04-05T23:00:00Z"), timedelta(days=7), "2025-03-29T0000_2025-03-30T0000"),
    ("Europe/London", ("2025-04-05T23:00:00Z", "2025-04-06T23:00:00Z"), timedelta(days=7), "2025-03-30T0000_2025-03-31T0000"),
    ("Europe/London", ("2025-11-02T00:00:00Z", "2025-11-03T00:00:00Z"), timedelta(days=7), "2025-10-26T0000_2025-10-27T0000"),
    ("Europe/London", ("2025-10-26T00:00:00Z", "2025-10-26T01:00:00Z"), timedelta(days=7), "2025-10-19T0100_2025-10-19T0200"),
]


@pytest.mark.parametrize(("zone", "interval", "offset", "name"), OFFSETS)
def test_the_object_of_an_earlier_run_is_named_by_the_offset(zone, interval, offset, name):
    task = verify_task(
        "/x/{interval_start:%Y-%m-%dT%H%M}_{interval_end:%Y-%m-%dT%H%M}.jsonl",
        path_timezone=zone,
        offset=offset,
        start=interval[0],
        end=interval[1],
    )
    task.render_template_fields({})
    assert task.destination == f"/x/{name}.jsonl"


def test_the_run_s_data_interval_names_the_object_and_the_receipt_is_small(api_of, tmp_path):
    api = api_of(records=RECORDS, documented=False)
    export_task(f"{tmp_path}/dt=2025-09-17/x.jsonl.gz", **INTERVAL).execute({})
    for number in range(20, 190):
        api.add(record(number))
    task = verify_task(tmp_path / "dt={interval_start:%Y-%m-%d}/x.jsonl.gz", offset=timedelta(days=7), on_difference="report")
    task.render_template_fields({"data_interval_start": START + timedelta(days=7), "data_interval_end": START + timedelta(days=8)})
    receipt = task.execute({})
    assert receipt["path"].endswith("/dt=2025-09-17/x.jsonl.gz")
    assert receipt["late_events"] == 170
    assert receipt["ids"] == {"late": [f"r{number}" for number in sorted(map(str, range(20, 190)))[:100]]}
    assert len(json.dumps(receipt)) < 2500
    assert CANARY not in json.dumps(receipt)


def test_a_task_that_is_killed_reads_nothing_more(api_of, tmp_path):
    api = api_of(records=RECORDS, documented=False)
    export_task(tmp_path / "x.jsonl", **INTERVAL).execute({})
    asked = len(api.requests)
    task = verify_task(tmp_path / "x.jsonl")
    task.on_kill()
    assert "stopped" in str(error_of(task))
    assert len(api.requests) == asked
