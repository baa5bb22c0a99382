"""``redact`` in runs of the operator: its key, what the manifest and the receipt say, and objects that stand for something else."""

from __future__ import annotations

import json

import pytest
from export.support import manifest_name
from operators.support import ALL, export_task, fails, instance, make_dag, names_in, receipt_of, rendered_fields, run
from redaction.support import hashed

pytestmark = pytest.mark.usefixtures("airflow_db")

KEY = "canary-of-the-redaction-key"
RULE = {"inputRequest": {"customer": "hash"}, "webhookId": "drop", "key": {"variable": "capillary_redaction_secret"}}


def exported(uri, rule, **options):
    with make_dag() as dag:
        export_task(uri, redact=rule, **ALL, **options)
    return run(dag)


def lines(folder, name="x.jsonl"):
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def manifest(folder, name="x.jsonl"):
    return json.loads((folder / manifest_name(name)).read_text())


def test_an_export_is_redacted_and_the_manifest_says_how(api_of, tmp_path, monkeypatch, logged):
    monkeypatch.setenv("AIRFLOW_VAR_CAPILLARY_REDACTION_SECRET", f" {KEY}\n")
    api = api_of()
    dag_run = exported(f"{tmp_path}/x.jsonl", RULE)
    assert dag_run.state == "success"
    made, sent = lines(tmp_path), {record["id"]: record for record in api.records}
    assert len(made) == 10
    assert [record for record in made if "webhookId" in record] == []
    for record in made:
        before, after = (json.loads(each["inputRequest"]) for each in (sent[record["id"]], record))
        if before.get("customer"):
            assert after == before | {"customer": hashed(before["customer"], KEY)}
        else:
            assert after == before
    assert manifest(tmp_path)["stands_for"]["redact"] == {
        "version": 1,
        "fields": {"webhookid": "drop"},
        "keys": {"customer": "hash"},
        "detect": {},
        "key_fingerprint": hashed("\0fingerprint of the key", KEY)[:8],
    }
    assert rendered_fields(dag_run)["redact"] == RULE
    left = logged() + json.dumps(receipt_of(dag_run)) + (tmp_path / manifest_name("x.jsonl")).read_text()
    assert KEY not in left
    assert hashed("919148574269", KEY) not in left


def test_a_rerun_is_the_same_object_byte_for_byte(api_of, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_HASHES", json.dumps({"conn_type": "generic", "password": KEY}))
    api_of()
    receipts = [receipt_of(exported(f"{tmp_path}/x.parquet", RULE | {"key": {"connection": "hashes"}})) for _ in range(2)]
    assert receipts[0]["sha256"] == receipts[1]["sha256"]
    assert (receipts[1]["late_events"], receipts[1]["vanished_events"]) == (0, 0)


# Each row: how the key is named, what Airflow holds, and words of the error.
NO_KEY = [
    ({"variable": "capillary_redaction_secret"}, {}, "There is no Airflow variable 'capillary_redaction_secret'"),
    ({"connection": "nobody"}, {}, "There is no Airflow connection 'nobody'"),
    ({"variable": "short"}, {"AIRFLOW_VAR_SHORT": "s3cret-s3cret"}, "a key of 13 characters"),
    ({"variable": "blank"}, {"AIRFLOW_VAR_BLANK": "  "}, "holds no key"),
    ({"connection": "no_password"}, {"AIRFLOW_CONN_NO_PASSWORD": "generic://host"}, "holds no key"),
]


@pytest.mark.parametrize(("key", "environment", "words"), NO_KEY)
def test_without_a_key_the_task_fails_at_once_before_any_request(api_of, tmp_path, monkeypatch, logged, *, key, environment, words):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    api = api_of()
    dag_run = exported(f"{tmp_path}/x.jsonl", RULE | {"key": key}, retries=3)
    fails(dag_run, logged, tries=1, saying=[words, "openssl rand -hex 32"])
    assert api.requests == []
    assert names_in(tmp_path) == []


# Each row: the rule of the first run, that of the second, and the key of the second.
@pytest.mark.parametrize(
    ("first", "second", "key"),
    [
        (None, RULE, KEY),
        (RULE, None, KEY),
        (RULE, RULE, "another-key-of-the-redaction"),
        (RULE, RULE | {"message": "drop"}, KEY),
    ],
    ids=["then redacted", "then not", "another key", "another rule"],
)
def test_an_object_of_another_rule_or_key_is_not_touched(api_of, tmp_path, monkeypatch, logged, *, first, second, key):
    monkeypatch.setenv("AIRFLOW_VAR_CAPILLARY_REDACTION_SECRET", KEY)
    api = api_of()
    assert exported(f"{tmp_path}/x.jsonl", first).state == "success"
    before, requests = (tmp_path / "x.jsonl").read_bytes(), len(api.requests)
    monkeypatch.setenv("AIRFLOW_VAR_CAPILLARY_REDACTION_SECRET", key)
    fails(
        exported(f"{tmp_path}/x.jsonl", second, retries=3),
        logged,
        tries=1,
        saying=["stands for something else", "redact=", "key_fingerprint"],
    )
    assert (tmp_path / "x.jsonl").read_bytes() == before
    assert len(api.requests) == requests


# What the manifests of earlier versions say of redaction: null, or nothing.
@pytest.mark.parametrize("change", ["null", "nothing", "version 1"])
def test_a_manifest_from_before_redaction_says_that_nothing_was_redacted(api_of, tmp_path, monkeypatch, logged, change):
    monkeypatch.setenv("AIRFLOW_VAR_CAPILLARY_REDACTION_SECRET", KEY)
    api_of()
    assert exported(f"{tmp_path}/x.jsonl", None).state == "success"
    content = manifest(tmp_path)
    assert content["stands_for"]["redact"] is None
    if change != "null":
        del content["stands_for"]["redact"]
    if change == "version 1":
        del content["stands_for"]
        content["manifest_version"] = 1
    (tmp_path / manifest_name("x.jsonl")).write_text(json.dumps(content))
    fails(exported(f"{tmp_path}/x.jsonl", RULE), logged, tries=1, saying=["stands for something else", "redact=None"])
    assert exported(f"{tmp_path}/x.jsonl", None).state == "success"


def test_vanished_records_of_unknown_redaction_are_not_kept(api_of, tmp_path, monkeypatch, logged):
    monkeypatch.setenv("AIRFLOW_VAR_CAPILLARY_REDACTION_SECRET", KEY)
    api_of()
    assert exported(f"{tmp_path}/x.jsonl", None, manifest=False).state == "success"
    api_of(documented=False, records=[json.loads((tmp_path / "x.jsonl").read_text().splitlines()[0])])
    before = (tmp_path / "x.jsonl").read_bytes()
    fails(
        exported(f"{tmp_path}/x.jsonl", RULE, on_vanished="keep"),
        logged,
        tries=1,
        saying=["how its records were redacted", "on_vanished='drop'"],
    )
    assert (tmp_path / "x.jsonl").read_bytes() == before
    assert exported(f"{tmp_path}/x.jsonl", RULE, on_vanished="drop").state == "success"
    assert len(lines(tmp_path)) == 1


def test_vanished_records_are_kept_as_they_were_redacted(api_of, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW_VAR_CAPILLARY_REDACTION_SECRET", KEY)
    api = api_of()
    assert exported(f"{tmp_path}/x.jsonl", RULE).state == "success"
    before = (tmp_path / "x.jsonl").read_bytes()
    api_of(documented=False, records=api.records[:4])
    assert exported(f"{tmp_path}/x.jsonl", RULE, on_vanished="keep").state == "success"
    assert (tmp_path / "x.jsonl").read_bytes() == before


def test_a_templated_action_and_a_mapped_rule(api_of, tmp_path, logged):
    from airflow_provider_capillary.operators.capillary import CapillaryEventLogsToObjectStorageOperator

    api_of()
    with make_dag(params={"action": "drop", "wrong": "hide"}) as dag:
        export_task(f"{tmp_path}/a.jsonl", redact={"message": "{{ params.action }}"}, **ALL)
        export_task(f"{tmp_path}/b.jsonl", task_id="wrong", redact={"message": "{{ params.wrong }}"}, **ALL)
        CapillaryEventLogsToObjectStorageOperator.partial(task_id="mapped", **ALL).expand_kwargs(
            [{"redact": {"webhookId": "drop"}, "destination": f"{tmp_path}/c.jsonl"}, {"redact": 5, "destination": f"{tmp_path}/d.jsonl"}]
        )
    dag_run = run(dag)
    assert [record for record in lines(tmp_path, "a.jsonl") if "message" in record] == []
    assert [record for record in lines(tmp_path, "c.jsonl") if "webhookId" in record] == []
    assert instance(dag_run, "wrong").state == "failed"
    out = logged()
    for words in ("redact['message']='hide' is not known", "redact=5 (of type int) is not a dict"):
        assert words in out
    assert names_in(tmp_path) == sorted(["a.jsonl", "c.jsonl", manifest_name("a.jsonl"), manifest_name("c.jsonl")])
