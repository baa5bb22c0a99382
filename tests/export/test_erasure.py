"""Erasing one customer's records from published objects, and what later runs do."""

from __future__ import annotations

import hashlib
import json
import logging

import pytest
from export.support import ENDINGS, START_MS, Place, export, manifest_name, unpack
from redaction.support import KEY, NAMED, hashed, redactor

from airflow_provider_capillary.commands import main
from airflow_provider_capillary.erasure.erase import _Erasure, erase
from airflow_provider_capillary.errors import CapillaryError, ConfigurationError, DestinationConflictError, VanishedEventsError
from airflow_provider_capillary.export.manifest import erased_digest
from airflow_provider_capillary.export.target import Target

PHONE = "919800012345"
RULE = {"inputRequest": {"mobile": "hash"}, "detect": {"phone": "hash"}, **NAMED}


def record(number, request, **changes):
    text = request if isinstance(request, str) else json.dumps(request)
    status = {"status": "EVENT_SUCCESS"} if number % 2 else {}
    return {"id": f"r{number}", "startTime": START_MS + number, "x": 1.5, **status, "inputRequest": text, "message": "ok", **changes}


# Each row: an inputRequest or a whole field, and whether --match mobile=... and --match *=... mean it.
ROWS = {
    "under the key": ({"mobile": PHONE}, {}, True, True),
    "spelt otherwise": ({"data": [{"MOBILE": "+91 98000-12345"}]}, {}, True, True),
    "a number": ({"mobile": 919800012345}, {}, True, True),
    "in a list": ({"mobile": ["1", [PHONE]]}, {}, True, True),
    "JSON in a text": ({"a": json.dumps({"b": json.dumps([{"mobile": PHONE}])})}, {}, True, True),
    "a form": (f"mobile={PHONE}&x=1", {}, True, True),
    "broken JSON": (f'{{"mobile":"{PHONE}', {}, True, True),
    "levels": ("[" * 70 + f'{{"mobile":"{PHONE}"}}' + "]" * 70, {}, True, True),
    "under another key": ({"phone": PHONE}, {}, False, True),
    "a key itself": ({PHONE: 1}, {}, False, True),
    "in words": ({"note": f"call {PHONE}."}, {}, False, True),
    "in the message": ({}, {"message": "No customer +91 98000 12345"}, False, True),
    "in an unknown field": ({}, {"other": {"a": [PHONE]}}, False, True),
    "another person": ({"mobile": "919800012346"}, {}, False, False),
    "a longer number": ({"mobile": "9198000123456"}, {}, False, False),
    "nothing": ({}, {}, False, False),
}
RECORDS = [record(number, request, **changes) for number, (request, changes, _, _) in enumerate(ROWS.values())]
MEANT = {
    f"mobile={PHONE}": [f"r{number}" for number, row in enumerate(ROWS.values()) if row[2]],
    "Mobile=+91 98000 12345": [f"r{number}" for number, row in enumerate(ROWS.values()) if row[2]],
    f"*={PHONE}": [f"r{number}" for number, row in enumerate(ROWS.values()) if row[3]],
}


def ids_in(content, ending):
    return [each["id"] for each in unpack(content, ending)]


def manifest_at(place, name):
    return json.loads(place.read(manifest_name(name)))


@pytest.mark.parametrize("match", MEANT)
@pytest.mark.parametrize("ending", ENDINGS)
def test_the_object_becomes_what_it_would_have_been_without_them(tmp_path, ending, match):
    name, meant = f"x{ending}", MEANT[match]
    place = Place(folder=tmp_path)
    export(RECORDS, str(tmp_path / name))
    before = manifest_at(place, name)
    (outcome,) = erase(str(tmp_path), matches=[match])
    assert (outcome.events, outcome.erased, outcome.error, outcome.is_remembered) == (len(RECORDS), len(meant), None, True)
    left = [each for each in RECORDS if each["id"] not in meant]
    (tmp_path / "other").mkdir()
    receipt = export(left, str(tmp_path / "other" / name))
    assert place.read(name) == place.read(f"other/{name}")
    after, expected = manifest_at(place, name), manifest_at(Place(folder=tmp_path / "other"), name)
    assert after["object"] == expected["object"]
    assert after["ids_sha256"] == expected["ids_sha256"]
    assert after["stands_for"] == before["stands_for"]
    kept = {"path", "uri", "manifest"}
    assert {key: value for key, value in after["receipt"].items() if key not in kept} == {
        key: value for key, value in receipt.items() if key not in kept
    }
    assert after["erasures"]["ids"] == sorted(map(erased_digest, meant))
    assert [run["records"] for run in after["erasures"]["runs"]] == [len(meant)]
    assert PHONE not in json.dumps(after)
    assert next(erase(str(tmp_path / name), matches=[match])).erased == 0


def test_by_id_in_a_bucket_and_nothing_else_is_touched(bucket):
    for number in range(3):
        export(RECORDS[number * 5 : number * 5 + 5], bucket.uri(f"logs/dt={number}/x.jsonl.gz"))
    bucket.write("logs/notes.txt", b"r7")
    before = bucket.contents()
    outcomes = list(erase(f"s3://{bucket.name}/logs/", ids=["r7", "r8", "nobody"], object_storage_conn_id=bucket.conn_id))
    assert [(outcome.erased, outcome.error) for outcome in outcomes] == [(0, None), (2, None), (0, None)]
    changed = {name for name, content in bucket.contents().items() if content != before[name]}
    assert changed == {"logs/dt=1/x.jsonl.gz", f"logs/dt=1/{manifest_name('x.jsonl.gz')}"}
    assert ids_in(bucket.read("logs/dt=1/x.jsonl.gz"), ".jsonl.gz") == ["r5", "r6", "r9"]
    assert bucket.unfinished_uploads() == []
    assert export(RECORDS[5:10], bucket.uri("logs/dt=1/x.jsonl.gz"))["events"] == 3


def test_a_dry_run_touches_nothing(place):
    export(RECORDS, place.uri("x.jsonl"))
    before = {name: place.read(name) for name in place.names()}
    (outcome,) = erase(place.uri("x.jsonl"), matches=[f"mobile={PHONE}"], dry_run=True)
    assert outcome.erased == len(MEANT[f"mobile={PHONE}"])
    assert {name: place.read(name) for name in place.names()} == before


@pytest.mark.parametrize("ending", ENDINGS)
def test_hashed_records_are_found_by_the_key(tmp_path, monkeypatch, ending):
    monkeypatch.setenv("AIRFLOW_VAR_CAPILLARY_REDACTION_SECRET", KEY)
    monkeypatch.setenv("AIRFLOW_VAR_ANOTHER", KEY[::-1])
    export(RECORDS, str(tmp_path / f"x{ending}"), apply=redactor(RULE))
    before = (tmp_path / f"x{ending}").read_bytes()
    for key in (None, {"variable": "another"}):
        (outcome,) = erase(str(tmp_path), matches=[f"mobile={PHONE}"], key=key)
        assert isinstance(outcome.error, ConfigurationError)
        assert "fingerprint" in str(outcome.error)
    assert (tmp_path / f"x{ending}").read_bytes() == before
    (outcome,) = erase(str(tmp_path), matches=[f"*={PHONE}"], key=NAMED["key"])
    # What was no JSON, or nested too deeply, is one hash of all of it.
    assert outcome.erased == len(MEANT[f"*={PHONE}"]) - 3
    assert hashed(PHONE).encode() not in json.dumps(unpack((tmp_path / f"x{ending}").read_bytes(), ending), default=str).encode()
    manifest = json.loads((tmp_path / manifest_name(f"x{ending}")).read_text())
    assert manifest["stands_for"]["redact"] == redactor(RULE).to_dict()


LATER = [
    # the options of the run after an erasure
    {},
    {"on_vanished": "keep"},
    {"on_vanished": "drop"},
    {"on_empty": "skip"},
]


@pytest.mark.parametrize("options", LATER)
@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_a_later_run_does_not_bring_them_back(tmp_path, caplog, ending, options):
    caplog.set_level(logging.INFO)
    uri, match = str(tmp_path / f"x{ending}"), f"mobile={PHONE}"
    export(RECORDS, uri)
    list(erase(uri, matches=[match]))
    before = (tmp_path / f"x{ending}").read_bytes()
    for _ in range(2):
        receipt = export(RECORDS, uri, **options)
        assert (receipt["events"], receipt["late_events"], receipt["vanished_events"]) == (len(RECORDS) - len(MEANT[match]), 0, 0)
        assert (tmp_path / f"x{ending}").read_bytes() == before
    assert f"{len(MEANT[match])} records were left out: they were erased from" in caplog.text
    late = record(99, {"mobile": "1"})
    assert export([*RECORDS, late], uri, **options)["late_events"] == 1
    assert len(json.loads((tmp_path / manifest_name(f"x{ending}")).read_text())["erasures"]["ids"]) == len(MEANT[match])


def test_where_all_records_were_erased_skip_does_not_forget_it(tmp_path):
    uri = str(tmp_path / "x.jsonl")
    export(RECORDS[:2], uri)
    list(erase(uri, ids=["r0", "r1"]))
    assert (tmp_path / "x.jsonl").read_bytes() == b""
    for _ in range(2):
        assert export(RECORDS[:2], uri, on_empty="skip")["path"] is None
        assert not (tmp_path / "x.jsonl").exists()
    assert export(RECORDS[:3], uri)["events"] == 1


def test_a_run_that_would_forget_the_erasure_fails(tmp_path):
    uri = str(tmp_path / "x.jsonl")
    export(RECORDS, uri)
    list(erase(uri, ids=["r0"]))
    with pytest.raises(DestinationConflictError, match="use manifest=True"):
        export(RECORDS, uri, manifest=False)
    assert "r0" not in ids_in((tmp_path / "x.jsonl").read_bytes(), ".jsonl")


# Where the erasure is broken off: at which of its three writes.
@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
@pytest.mark.parametrize("after", [0, 1, 2])
@pytest.mark.parametrize("is_run_between", [True, False], ids=["a run between", "no run between"])
def test_an_erasure_that_was_broken_off_is_whole_and_can_be_ended(tmp_path, monkeypatch, *, ending, after, is_run_between):
    uri = str(tmp_path / f"x{ending}")
    export(RECORDS, uri)
    old = (tmp_path / f"x{ending}").read_bytes()
    real, writes = Target.publish, []

    def broken(self, source, **options):
        writes.append(self.name)
        if len(writes) > after:
            raise KeyboardInterrupt
        return real(self, source, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Target, "publish", broken)
        with pytest.raises(KeyboardInterrupt):
            list(erase(uri, ids=["r0", "r1"]))
    now = (tmp_path / f"x{ending}").read_bytes()
    assert (now == old) == (after < 2)
    assert ("r0" in ids_in(now, ending)) == (after < 2)
    if after and is_run_between:
        # A run that comes between does not bring them back, and doesn't count them as vanished.
        receipt = export(RECORDS, uri)
        assert (receipt["events"], receipt["late_events"], receipt["vanished_events"]) == (len(RECORDS) - 2, 0, 0)
    (outcome,) = erase(uri, ids=["r0", "r1"])
    assert outcome.error is None
    new = (tmp_path / f"x{ending}").read_bytes()
    assert ids_in(new, ending) == [each["id"] for each in RECORDS[2:]]
    manifest = json.loads((tmp_path / manifest_name(f"x{ending}")).read_text())
    assert manifest["object"]["sha256"] == hashlib.sha256(new).hexdigest()
    assert "pending" not in manifest["erasures"]
    receipt = export(RECORDS, uri)
    assert (receipt["events"], receipt["late_events"], receipt["vanished_events"]) == (len(RECORDS) - 2, 0, 0)


def test_a_manifest_of_another_object_remembers_and_describes_nothing_new(tmp_path):
    uri = str(tmp_path / "x.jsonl")
    export(RECORDS, uri)
    manifest = (tmp_path / manifest_name("x.jsonl")).read_bytes()
    export(RECORDS[:-1], uri, on_vanished="drop")
    (tmp_path / manifest_name("x.jsonl")).write_bytes(manifest)
    (outcome,) = erase(uri, ids=["r0"])
    assert (outcome.erased, outcome.is_remembered) == (1, True)
    after = json.loads((tmp_path / manifest_name("x.jsonl")).read_text())
    assert after["object"] == json.loads(manifest)["object"]
    assert export(RECORDS[:-1], uri)["events"] == len(RECORDS) - 2


def test_an_object_that_another_run_writes_meanwhile_is_left_to_it(tmp_path, monkeypatch):
    uri = str(tmp_path / "x.jsonl")
    export(RECORDS, uri)
    real = _Erasure._read

    def meanwhile(self, copy):
        read = real(self, copy)
        export(RECORDS[:9], uri, on_vanished="drop")
        return read

    monkeypatch.setattr(_Erasure, "_read", meanwhile)
    (outcome,) = erase(uri, ids=["r0"])
    assert "written by somebody else meanwhile" in str(outcome.error)
    assert len(ids_in((tmp_path / "x.jsonl").read_bytes(), ".jsonl")) == 9


def test_without_a_manifest_it_says_that_nothing_remembers(tmp_path, capsys):
    export(RECORDS, str(tmp_path / "x.jsonl"), manifest=False)
    assert main(["erase", str(tmp_path), "--id", "r0"]) == 0
    assert "no manifest, so a later run for its interval brings them back" in capsys.readouterr().out
    assert "r0" not in ids_in((tmp_path / "x.jsonl").read_bytes(), ".jsonl")


def test_an_object_that_can_not_be_read_is_an_error_and_the_others_are_done(tmp_path, capsys):
    for name in ("a", "c"):
        export(RECORDS, str(tmp_path / f"{name}.jsonl"))
    (tmp_path / "b.jsonl").write_text("a,b\n")
    assert main(["erase", f"file://{tmp_path}", "--id", "r0"]) == 1
    out = capsys.readouterr().out
    assert out.count("erased 1 of 16 records") == 2
    assert f"FAILED  {tmp_path}/b.jsonl" in out.replace("file://", "")
    assert "2 records erased, 3 objects looked into, 1 failed" in out


def test_the_command_names_the_objects_and_no_value(tmp_path, capsys, caplog):
    caplog.set_level("DEBUG")
    export(RECORDS, str(tmp_path / "x.jsonl"))
    matches = tmp_path / "matches"
    matches.write_text(f"mobile={PHONE}\n\n")
    (tmp_path / "ids").write_text("r15\n")
    files = ["--match-file", str(matches), "--id-file", str(tmp_path / "ids")]
    assert main(["erase", str(tmp_path), *files, "--dry-run"]) == 0
    out = capsys.readouterr().out
    count = len(MEANT[f"mobile={PHONE}"]) + 1
    assert f"would erase {count} of 16 records: " in out
    assert main(["erase", str(tmp_path), *files, "--json"]) == 0
    line = json.loads(capsys.readouterr().out)
    assert (line["erased"], line["events"], line["remembered"], line["error"]) == (count, 16, True, None)
    assert PHONE not in out + json.dumps(line) + caplog.text


# Each row: arguments that are wrong, and words of the error.
WRONG = [
    ([], "at least one --id or --match"),
    (["--match", "15550001111"], "Match 1 is not KEY=VALUE"),
    (["--match", "mobile="], "Match 1 is not KEY=VALUE"),
    (["--match", "*=12345"], "shorter than 6 characters"),
    (["--match-file", "/nowhere/matches"], "The file /nowhere/matches can't be read"),
    (["--id", "a", "--key-variable", "a", "--key-connection", "b"], "one variable or one connection"),
    (["--id", "a", "--key-variable", "nobody"], "no Airflow variable 'nobody'"),
]


@pytest.mark.parametrize(("arguments", "words"), WRONG)
def test_a_wrong_command_line_is_one_error(tmp_path, capsys, arguments, words):
    export(RECORDS, str(tmp_path / "x.jsonl"))
    assert main(["erase", str(tmp_path), *arguments]) == 1
    out = capsys.readouterr().out
    assert words in out
    assert "15550001111" not in out


@pytest.mark.parametrize("prefix", ["{}/nowhere", "{}/empty", "relative/path", "{}/x.csv/"])
def test_a_prefix_without_objects_is_an_error(tmp_path, prefix):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CapillaryError):
        erase(prefix.format(tmp_path), ids=["a"])


def test_vanished_records_still_count(tmp_path):
    uri = str(tmp_path / "x.jsonl")
    export(RECORDS, uri)
    list(erase(uri, ids=["r0"]))
    with pytest.raises(VanishedEventsError) as caught:
        export(RECORDS[:-2], uri)
    assert caught.value.vanished == 2


def test_a_short_number_is_found_however_it_is_spelt(tmp_path):
    uri = str(tmp_path / "x.jsonl")
    export([record(0, {"externalId": "1234-5678"}), record(1, {"externalId": "1234-5679"})], uri)
    (outcome,) = erase(uri, matches=["external_id=12345678"])
    assert outcome.erased == 1
    assert ids_in((tmp_path / "x.jsonl").read_bytes(), ".jsonl") == ["r1"]
