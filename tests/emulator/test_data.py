"""The records of the emulator."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from airflow_provider_capillary.emulator import FakeApi, documented_records, synthetic_records
from airflow_provider_capillary.emulator.dates import epoch_ms

# Of the example on the documentation's page, computed from the page itself: keys sorted, no spaces.
PUBLISHED_SHA256 = "fd10772082c19a1c71c1eecdff41719775d35a3aefa0f742c720029bfc102a14"


def test_the_ten_documented_records_are_as_published():
    text = json.dumps(documented_records(), sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(text.encode()).hexdigest() == PUBLISHED_SHA256


def test_an_undated_request_gives_the_ten_as_published_in_their_order():
    status, envelope = FakeApi(reversed(documented_records())).answer({})
    assert status == 200
    assert envelope == {"data": documented_records(), "warnings": [], "errors": []}
    assert [("status" in record, "eventName" in record) for record in envelope["data"]].count((True, True)) == 8
    assert "eventName" not in envelope["data"][3]
    assert "status" not in envelope["data"][9]


def test_changing_the_documented_records_changes_only_the_copy():
    documented_records()[0].clear()
    assert documented_records()[0]["startTime"] == 1758171830945


def test_synthetic_records_have_the_documented_shape_and_nobody_in_them():
    shape = {name: type(value) for name, value in documented_records()[0].items()}
    records = synthetic_records(3000, seed=1)
    assert len({record["id"] for record in records}) == 3000
    statuses = Counter(record.get("status", "NO_STATUS") for record in records)
    assert 0.85 < statuses["EVENT_SUCCESS"] / 3000 < 0.95
    assert set(statuses) == {
        "EVENT_SUCCESS",
        "EMF_PROCESSOR_FAILED",
        "NO_CUSTOMER_DETAILS_PASSED",
        "INVALID_EVENT_NAME",
        "INVALID_META_TRANSFORMER_MAPPINGS",
        "INVALID_GROUP_IDENTIFIER_PASSED",
        "NO_STATUS",
    }
    invalid = 0
    for record in records:
        assert {name: type(value) for name, value in record.items()}.items() <= shape.items()
        assert set(shape) - set(record) in (set(), {"status"}, {"eventName"})
        try:
            request = json.loads(record["inputRequest"])
        except ValueError:
            invalid += 1
        else:
            assert request["customer"].endswith("@example.invalid")
    assert 0 < invalid < 30


def test_synthetic_records_keep_to_their_interval_with_ties_and_bursts():
    start, end = datetime(2025, 9, 18, tzinfo=UTC), datetime(2025, 9, 19, tzinfo=UTC)
    moments = sorted(record["startTime"] for record in synthetic_records(5000, start=start, end=end))
    assert epoch_ms(start) <= moments[0]
    assert moments[-1] < epoch_ms(end)
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert 60 < gaps.count(0) < 200
    assert sum(0 < gap < 2000 for gap in gaps) > 400


def test_the_same_seed_makes_the_same_records():
    assert synthetic_records(20, seed=3) == synthetic_records(20, seed=3)
    assert synthetic_records(20, seed=3) != synthetic_records(20, seed=4)


# Impossible arguments, and what the error names.
@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"count": -1}, "count=-1"),
        ({"count": 1, "start": datetime(2025, 9, 18)}, "start=2025-09-18T00:00:00"),  # noqa: DTZ001  # the naive one is the subject
        ({"count": 1, "end": datetime(2020, 1, 1, tzinfo=UTC)}, "exchange"),
    ],
)
def test_impossible_arguments_are_refused(arguments, word):
    with pytest.raises(ValueError, match=word):
        synthetic_records(**arguments)
