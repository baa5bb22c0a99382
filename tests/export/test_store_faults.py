"""Faults of a store and of the network: the old object or the new one is there, whole, nothing else is left, and the next run works.

Each case is one line of a table: a fault, at one call of S3, once or for ever, for an object that travels in one piece or in parts, over
the object of an earlier run; two faults also over nothing and over somebody else's. :func:`check` plays it through a proxy in front of
a real S3 server: the run with the fault, what it left, and the run after it.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import tempfile
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest
from export.faulty_proxy import FaultyProxy, Rule
from export.support import export, make_records, manifest_name

from airflow_provider_capillary.api.backoff import Backoff
from airflow_provider_capillary.errors import PublishError
from airflow_provider_capillary.export import object_store

NAME = "x.jsonl"
MANIFEST = manifest_name(NAME)
SECRET = "testing-secret"
PART = 64 * 1024
SIZES = {"small": 60, "parts": 600}  # records; in parts, four of them

FAULTS = ("429", "500", "reset", "lost", "hang")
EARLIER_RUN = "an earlier run's"
BEFORE = ("nothing", EARLIER_RUN, "somebody else's")
ONCE, FOR_EVER = 1, None

FOREIGN = b"\x00 not of this package\n"
EARLIER = {"seed": 1, "count": 40}

# The log of the next run says one of these where the manifest does not belong to the object.
NAMED = ("stands without a manifest", "does not describe the object beside it", "describes an object that is not there")


class Case(NamedTuple):
    size: str
    call: str
    fault: str
    times: int | None
    before: str

    def __str__(self):
        return f"{self.size}-{self.call}-{self.fault}-{'once' if self.times else 'for ever'}-over {self.before}"

    @property
    def fails(self):
        return self.times is FOR_EVER

    @property
    def replaces(self):
        """Whether the new object is there after the run with the fault: always, unless something before it failed for ever."""
        done_though_unanswered = self.fault == "lost" and self.call in ("put", "complete")
        return not self.fails or self.call == "manifest" or done_though_unanswered


CALLS = [("small", "put"), ("parts", "create"), ("parts", "part"), ("parts", "complete"), ("small", "manifest")]
CALLS_AND_FAULTS = [*itertools.product(CALLS, FAULTS), (("parts", "complete"), "200 error")]
CASES = [
    # A call that is refused and one that is done though unanswered, whatever was there; any other fault ends as one of the two does.
    *(
        Case(*call, fault, FOR_EVER, before)
        for call, fault in CALLS_AND_FAULTS
        for before in BEFORE
        if before == EARLIER_RUN or fault in {"500", "lost"}
    ),
    # A fault that passes ends as if there had been none, whatever was there; over an earlier object, both would show.
    *(Case(*call, fault, ONCE, EARLIER_RUN) for call, fault in CALLS_AND_FAULTS),
]
HANGING = [case for case in CASES if case.fault == "hang"]
ANSWERED = [case for case in CASES if case.fault != "hang"]


@pytest.fixture(scope="module")
def proxy(s3_server):
    """The proxy, an Airflow connection through it, and parts that are small enough for a test."""
    import s3fs
    from moto.s3 import models

    connection = {
        "conn_type": "aws",
        "login": "testing",
        "password": SECRET,
        # Where a user would shorten the patience of the client, too. What it can't be told is how often s3fs itself tries again.
        "extra": {
            "region_name": "us-east-1",
            "config_kwargs": {"read_timeout": 2, "max_pool_connections": 50, "retries": {"max_attempts": 0}},
        },
    }
    with FaultyProxy(s3_server) as running, pytest.MonkeyPatch.context() as patch:
        connection["extra"]["endpoint_url"] = running.endpoint
        patch.setenv("AIRFLOW_CONN_CAPILLARY_TESTS_FAULTY", json.dumps(connection))
        patch.setattr(s3fs.S3FileSystem, "retries", 2)
        patch.setattr(object_store, "_TRIES", 2)
        patch.setattr(object_store, "_BACKOFF", Backoff(first=0.0, longest=0.0))
        patch.setattr(object_store, "_PART", PART)
        patch.setattr(models, "S3_UPLOAD_PART_MIN_SIZE", PART)
        yield running


class Place:
    """A bucket of a case's own: the export goes through the proxy, the checks do not."""

    def __init__(self, proxy, bucket):
        self._proxy, self.bucket = proxy, bucket
        self.uri = f"s3://capillary_tests_faulty@{bucket.name}/{NAME}"
        self.said = []
        self._log = logging.getLogger(f"tests.export.{bucket.name}")
        self._log.setLevel(logging.INFO)
        self._log.addHandler(handler := logging.Handler())
        handler.emit = lambda record: self.said.append(record.getMessage())

    def break_calls(self, *rules):
        self._proxy.break_calls(self.bucket.name, *rules)

    @property
    def calls(self):
        return self._proxy.calls[self.bucket.name]

    def export(self, *, on_vanished="drop", **records):
        self.said.clear()
        return export(make_records(records.pop("count"), **records), self.uri, log=self._log, on_vanished=on_vanished)

    def prepare(self, before):
        if before == "an earlier run's":
            self.export(**EARLIER)
        elif before == "somebody else's":
            self.bucket.write(NAME, FOREIGN)
        return self.bucket.contents()


def assert_useful(error, place):
    assert place.uri in str(error) or MANIFEST in str(error)
    assert error.hint
    assert SECRET not in "".join(traceback.format_exception(error)) + "".join(place.said)


def assert_next_run_is_right(place, records, *, late_events):
    """Without faults: object and manifest belong together, nothing else is there, and what did not belong together was named."""
    contents = place.bucket.contents()
    told = json.loads(contents[MANIFEST])["object"]["sha256"] if MANIFEST in contents else None
    there = hashlib.sha256(contents[NAME]).hexdigest() if NAME in contents else None
    place.break_calls()
    receipt = place.export(**records)
    assert any(phrase in message for message in place.said for phrase in NAMED) == (told != there), place.said
    contents = place.bucket.contents()
    assert sorted(contents) == [MANIFEST, NAME]
    manifest = json.loads(contents[MANIFEST])
    assert manifest["receipt"] == receipt
    assert manifest["object"]["sha256"] == receipt["sha256"] == hashlib.sha256(contents[NAME]).hexdigest()
    assert receipt["late_events"] == late_events
    assert place.bucket.unfinished_uploads() == []


def check(case, place, new):
    before = place.prepare(case.before)
    records = {"seed": 2, "count": SIZES[case.size]}
    # The second part: the first one is there, and has to go.
    place.break_calls(Rule(case.fault, case.call, times=case.times, first=2 if case.call == "part" else 1))
    if case.fails:
        with pytest.raises(PublishError) as caught:
            place.export(**records)
        assert_useful(caught.value, place)
        assert ("published whole" in str(caught.value)) == (case.call == "manifest")
    else:
        place.export(**records)
    assert case.call in place.calls, "the fault did not happen"
    after = place.bucket.contents()
    assert set(after) - set(before) <= {MANIFEST, NAME}
    assert after.get(NAME) == (new[case.size] if case.replaces else before.get(NAME))
    if case.fails and not (case.call == "manifest" and case.fault == "lost"):
        assert after.get(MANIFEST) == before.get(MANIFEST)
    else:
        assert json.loads(after[MANIFEST])["object"]["sha256"] == hashlib.sha256(after[NAME]).hexdigest()
    assert place.bucket.unfinished_uploads() == []
    lacking = {"nothing": None, "an earlier run's": records["count"], "somebody else's": None}[case.before]
    assert_next_run_is_right(place, records, late_events=0 if case.replaces else lacking)


@pytest.fixture(scope="module")
def new(tmp_path_factory):
    """The bytes of the new object, by size, as local disk gets them."""
    folder = tmp_path_factory.mktemp("new")
    for size, count in SIZES.items():
        export(make_records(count, seed=2), str(folder / f"{size}.jsonl"))
    assert 3 * PART < (folder / "parts.jsonl").stat().st_size < 4 * PART
    return {size: (folder / f"{size}.jsonl").read_bytes() for size in SIZES}


@pytest.fixture
def place(proxy, bucket):
    return Place(proxy, bucket)


@pytest.mark.parametrize("case", ANSWERED, ids=str)
def test_a_fault_that_is_answered(case, place, new, temporary_directory):
    check(case, place, new)
    assert list(temporary_directory.iterdir()) == []


def test_a_store_that_dies_half_way_leaves_parts_which_the_next_run_names_and_aborts(place, new):
    before = place.prepare("an earlier run's")
    place.break_calls(Rule("500", "part", first=2), Rule("500", "abort"), Rule("500", "uploads"))
    with pytest.raises(PublishError) as caught:
        place.export(seed=2, count=SIZES["parts"])
    assert_useful(caught.value, place)
    assert place.bucket.contents() == before
    left = len(place.bucket.unfinished_uploads())
    assert left == place.calls.count("create") == 2
    # The object of the next run is so small that it needs no parts itself.
    assert_next_run_is_right(place, {"seed": 3, "count": SIZES["small"]}, late_events=SIZES["small"])
    assert any(message.startswith(f"Aborted {left} unfinished uploads") for message in place.said)


def test_uploads_to_other_objects_are_nobody_else_s_business(place):
    others = [NAME + ".gz", "deep/" + NAME, "a" + NAME]
    for key in [*others, NAME]:
        place.bucket.client.create_multipart_upload(Bucket=place.bucket.name, Key=key)
    place.export(seed=2, count=SIZES["small"])
    assert sorted(upload["Key"] for upload in place.bucket.unfinished_uploads()) == sorted(others)


@pytest.mark.parametrize("call", ["uploads", "abort"])
def test_a_credential_that_may_not_clean_up_still_exports(place, call):
    place.bucket.client.create_multipart_upload(Bucket=place.bucket.name, Key=NAME)
    place.break_calls(Rule("403", call))
    place.export(seed=2, count=SIZES["parts"])
    assert sorted(place.bucket.contents()) == [MANIFEST, NAME]
    assert any("unfinished uploads" in message and "unknown" in message for message in place.said)
    assert len(place.bucket.unfinished_uploads()) == 1


def test_an_object_that_cannot_be_looked_at_afterwards_is_said_to_be_there(place, new):
    # Looked at with both places of its manifest before reading; right before publishing; and the fifth time, after.
    place.break_calls(Rule("500", "head", first=5))
    with pytest.raises(PublishError, match="was written whole") as caught:
        place.export(seed=2, count=SIZES["small"])
    assert_useful(caught.value, place)
    assert place.bucket.contents() == {NAME: new["small"]}
    assert_next_run_is_right(place, {"seed": 2, "count": SIZES["small"]}, late_events=0)


@pytest.mark.parametrize("fault", ["500", "reset", "lost"])
@pytest.mark.parametrize("call", ["head", "get"])
def test_what_cannot_be_read_of_an_earlier_run_is_unknown_and_never_guessed(place, call, fault):
    before = place.prepare("an earlier run's")
    place.break_calls(Rule(fault, call))
    records = {"seed": 2, "count": SIZES["small"]}
    if call == "head":  # nothing at all can be told; nothing is read from the API
        with pytest.raises(PublishError) as caught:
            place.export(**records)
        assert_useful(caught.value, place)
        assert place.bucket.contents() == before
        assert_next_run_is_right(place, records, late_events=records["count"])
    else:
        for on_vanished in ("fail", "keep"):
            with pytest.raises(PublishError, match="could not be read") as caught:
                place.export(**records, on_vanished=on_vanished)
            assert_useful(caught.value, place)
            assert place.bucket.contents() == before
        assert place.export(**records)["late_events"] is None
        assert any("late_events is unknown" in message for message in place.said)
        assert_next_run_is_right(place, records, late_events=0)


def test_a_server_that_sends_the_checksum_of_the_whole_with_a_range_is_read_all_the_same(place, proxy):
    place.export(seed=2, count=5_000)
    assert len(place.bucket.read(NAME)) > 2**20
    place.break_calls(Rule("checksum of the whole", "get"))
    before = proxy.ranges[place.bucket.name]  # the first run asked for one byte, to see what the store refuses
    assert place.export(seed=2, count=5_010, on_vanished="drop")["late_events"] is not None
    assert "get" in place.calls
    assert proxy.ranges[place.bucket.name] == before


@pytest.fixture(scope="module")
def waiting_together(proxy, new, new_bucket, tmp_path_factory):
    """Every case that waits for a time-out, begun at once, so that they wait once; each has a result of its own."""
    folder = tmp_path_factory.mktemp("tmpdir")
    places = [Place(proxy, new_bucket()) for _ in HANGING]
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(len(HANGING)) as pool:
        patch.setattr(tempfile, "tempdir", str(folder))
        futures = {case: pool.submit(check, case, place, new) for case, place in zip(HANGING, places, strict=True)}
        pool.shutdown(wait=True)
    return futures, list(folder.iterdir())


@pytest.mark.parametrize("case", HANGING, ids=str)
def test_a_call_that_is_never_answered(case, waiting_together):
    futures, left = waiting_together
    futures[case].result()
    assert left == []
