"""Records and options through ``FakeApi.answer``, without HTTP."""

from __future__ import annotations

import pytest

from airflow_provider_capillary.emulator import FakeApi, ServerOptions

MIDNIGHT = 1_758_153_600_000  # 2025-09-18T00:00:00Z
HOUR = 3_600_000
DAY = 24 * HOUR
TIMES = {
    "a": -1,
    "b": 0,
    "c": 500,
    "z": 10_000,
    "d": 30_000,
    "e": HOUR,
    "f": 12 * HOUR,
    "g": DAY,
    "h": DAY + 1,
}
RECORDS = [{"id": ident, "startTime": MIDNIGHT + offset, "eventName": "Other" if ident == "f" else ""} for ident, offset in TIMES.items()]
RECORDS[0].pop("eventName")
THAT_DAY = {"from_date": "2025-09-18T00:00:00", "to_date": "2025-09-19T00:00:00"}
FIRST = "2025-09-18T00:00:00"


def ids_of(fake_api: FakeApi, params: dict[str, str]) -> str | int:
    """Return the ids of an answer as one word, or the status of a refusal; anything but the exact shape fails."""
    status, envelope = fake_api.answer(params)
    if status != 200:
        assert set(envelope) == {"warnings", "errors"}
        (item,) = envelope["errors"]
        assert item["code"] == status
        return status
    assert list(envelope) == ["data", "warnings", "errors"]
    assert envelope["errors"] == []
    for record in envelope["data"]:
        assert record in RECORDS
    return "".join(record["id"] for record in envelope["data"])


# The parameters of a request, and the ids in its answer or the status of its refusal.
@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, "hgfedzcba"),
        (THAT_DAY, "gfedzcb"),
        ({**THAT_DAY, "limit": "3"}, "gfe"),
        ({"from_date": "2025-09-18T00:00:00.500", "to_date": "2025-09-18T00:00:10"}, "zc"),
        ({"from_date": "2025-09-19T00:00:00"}, "hg"),
        ({"to_date": "2025-09-17T23:59:59.999"}, "a"),
        ({"from_date": THAT_DAY["to_date"], "to_date": THAT_DAY["from_date"]}, ""),
        ({"event_name": "Other"}, "f"),
        ({"event_name": "other"}, ""),
        ({"event_name": ""}, "hgedzcb"),
        ({"event_name": "", "limit": "2"}, "hg"),
        ({"limit": "0"}, 400),
        ({"limit": "-1"}, 400),
        ({"limit": "many"}, 400),
        ({"limit": "²"}, 400),
        ({"from_date": "yesterday"}, 400),
        ({"to_date": ""}, 400),
        ({"page": "2"}, "hgfedzcba"),
    ],
)
def test_without_options_it_behaves_as_the_published_examples_do(params, expected):
    assert ids_of(FakeApi(RECORDS), params) == expected


# Options, the parameters of a request, and the ids in its answer or the status of its refusal.
OPTIONS = [
    ({"date_format": "epoch_ms"}, {"from_date": str(MIDNIGHT + DAY)}, "hg"),
    ({"date_format": "iso_z"}, THAT_DAY, 400),
    ({"date_format": "iso_z"}, {"to_date": "2025-09-18T05:30:00+05:30"}, "ba"),
    ({"date_format": ("date", "datetime")}, {"from_date": "2025-09-18", "to_date": "2025-09-18 00:00:10"}, "zcb"),
    ({"date_format": "%d/%m/%Y"}, {"to_date": "18/09/2025"}, "ba"),
    ({"timezone": "+05:30"}, {"to_date": "2025-09-18T05:30:00"}, "ba"),
    ({"timezone": "Asia/Kolkata"}, {"to_date": "2025-09-18T05:30:00"}, "ba"),
    ({"timezone": "America/New_York"}, {"to_date": "2025-09-17T20:00:00"}, "ba"),
    ({"order": "oldest"}, THAT_DAY, "bczdefg"),
    ({"order": "oldest"}, {"limit": "2"}, "ab"),
    ({"limit_cap": 2}, {"limit": "1000"}, "hg"),
    ({"limit_cap": 2}, {}, "hg"),
    ({"limit_cap": 2, "over_limit": "refuse"}, {"limit": "3"}, 400),
    ({"limit_cap": 2, "over_limit": "refuse"}, {}, "hg"),
]


@pytest.mark.parametrize(("options", "params", "expected"), OPTIONS)
def test_an_option_changes_the_answer_as_it_says(options, params, expected):
    assert ids_of(FakeApi(RECORDS), params) != expected, "the case would pass without the option"
    assert ids_of(FakeApi(RECORDS, **options), params) == expected


def test_shuffled_answers_hold_any_of_the_matches_in_a_new_order_each_time():
    fake_api = FakeApi(RECORDS, order="shuffled")
    answers = [ids_of(FakeApi(RECORDS, order="shuffled", seed=seed), THAT_DAY) for seed in range(5)]
    answers += [ids_of(fake_api, THAT_DAY) for _ in range(5)]
    assert {"".join(sorted(answer)) for answer in answers} == {"bcdefgz"}
    assert len(set(answers)) > 5
    assert len({"".join(sorted(ids_of(fake_api, {"limit": "3"}))) for _ in range(10)}) > 3
    again = [FakeApi(RECORDS, order="shuffled", seed=7) for _ in range(2)]
    assert [ids_of(again[0], {}) for _ in range(4)] == [ids_of(again[1], {}) for _ in range(4)]


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_a_record_that_is_added_shows_in_its_place(order):
    fake_api = FakeApi(RECORDS[:3] + RECORDS[4:], order=order)
    fake_api.add(RECORDS[3])
    assert ids_of(fake_api, {}) == ids_of(FakeApi(RECORDS, order=order), {})
    assert [record["id"] for record in fake_api.records] == list("abczdefgh")
    assert fake_api.request_count == 1


def test_the_rate_limit_refuses_until_a_minute_has_passed():
    now = [1_758_153_600.0]
    fake_api = FakeApi(RECORDS, rate_limit=2, clock=lambda: now[0])
    assert ids_of(fake_api, {}) == ids_of(fake_api, {}) == "hgfedzcba"
    now[0] += 20
    status, _body, headers = fake_api.respond({})
    assert (status, headers) == (429, {"Retry-After": "41"})
    now[0] += 40
    assert ids_of(fake_api, {}) == "hgfedzcba"


def test_changing_an_answer_does_not_change_the_records():
    fake_api = FakeApi(RECORDS)
    fake_api.answer({})[1]["data"][0].clear()
    fake_api.records[0].clear()
    assert ids_of(fake_api, {}) == "hgfedzcba"


# Impossible arguments, and what the error says.
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"order": "newst"}, ["order='newst'", "newest"]),
        ({"date_format": "ISO"}, ["date_format='ISO'", "iso"]),
        ({"date_format": ()}, ["date_format=()", "at least one"]),
        ({"timezone": "Mars/Olympus"}, ["timezone='Mars/Olympus'", "+05:30"]),
        ({"limit_cap": 0}, ["limit_cap=0", "from 1"]),
        ({"rate_limit": 1}, ["clock=None", "time.time"]),
        ({"records": [{"id": 1, "startTime": 1}]}, ["id=1", "give a text"]),
        ({"records": [*RECORDS, RECORDS[0]]}, ["id='a'", "already"]),
    ],
)
def test_an_impossible_argument_is_refused_with_name_value_and_hint(options, words):
    with pytest.raises(ValueError, match=r".") as raised:
        FakeApi(**options)
    for word in words:
        assert word in str(raised.value)


def test_every_choice_of_an_option_is_in_the_table():
    tried = {(name, value) for options, _params, _expected in OPTIONS for name, value in options.items() if isinstance(value, str)}
    tried.add(("order", "shuffled"))
    for item in ServerOptions.__dataclass_fields__.values():
        for choice in item.metadata["choices"]:
            assert choice == item.default or (item.name, choice) in tried
