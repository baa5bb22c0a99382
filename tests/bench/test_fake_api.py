"""Each option of the bench through ``FakeApi.answer``; and without them, the package's own behaviour."""

from __future__ import annotations

import random

import pytest

from airflow_provider_capillary.emulator import FakeApi as PackageApi
from airflow_provider_capillary.emulator import documented_records, synthetic_records
from bench import FakeApi, Late, ServerOptions

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
RECORDS[2]["responseTime"] = 20_000  # so `c` is written between `z` and `d`
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


# Options, the parameters of a request, and the ids in its answer or the status of its refusal.
OPTIONS = [
    ({"fractions": "drop"}, {"to_date": f"{FIRST}.700"}, "ba"),
    ({"fractions": "refuse"}, {"to_date": f"{FIRST}.700"}, 400),
    ({"unparsable_date": "ignore"}, {"from_date": "x", "to_date": FIRST}, "ba"),
    ({"unparsable_date": "empty"}, {"from_date": "x"}, ""),
    ({"precision": "s"}, {"from_date": FIRST, "to_date": FIRST}, "cb"),
    ({"precision": "s"}, {"from_date": f"{FIRST}.700", "to_date": FIRST}, "cb"),
    ({"precision": "s", "coarse_bound": "instant"}, {"to_date": f"{FIRST}.700"}, "ba"),
    ({"precision": "s", "from_bound": "exclusive"}, {"from_date": FIRST, "to_date": "2025-09-18T00:00:10"}, "z"),
    (
        {"precision": "s", "coarse_bound": "instant", "from_bound": "exclusive"},
        {"from_date": f"{FIRST}.700", "to_date": "2025-09-18T00:00:10.001"},
        "zc",
    ),
    ({"precision": "minute"}, {"from_date": FIRST, "to_date": FIRST}, "dzcb"),
    ({"precision": "hour"}, {"from_date": "2025-09-18T00:59:59", "to_date": FIRST}, "dzcb"),
    ({"precision": "day"}, {"from_date": "2025-09-18T23:00:00", "to_date": "2025-09-18T01:00:00"}, "fedzcb"),
    ({"precision": "day", "to_bound": "exclusive"}, {"to_date": "2025-09-18T12:00:00"}, "a"),
    ({"precision": "day", "coarse_bound": "instant"}, {"to_date": "2025-09-18T12:00:00"}, "ba"),
    ({"precision": "day", "from_bound": "exclusive"}, {"from_date": "2025-09-18T05:00:00"}, "hg"),
    ({"precision": "day", "from_bound": "exclusive", "coarse_bound": "instant"}, {"from_date": "2025-09-18T05:00:00"}, "hgfedzc"),
    ({"precision": "day", "timezone": "Asia/Kolkata"}, {"from_date": "2025-09-18T12:00:00", "to_date": "2025-09-18T12:00:00"}, "fedzcba"),
    ({"precision": "hour", "timezone": "+05:30"}, {"from_date": "2025-09-18T05:45:00", "to_date": "2025-09-18T05:45:00"}, "dzcba"),
    ({"from_bound": "exclusive"}, THAT_DAY, "gfedzc"),
    ({"to_bound": "exclusive"}, THAT_DAY, "fedzcb"),
    ({"order": "unsorted"}, THAT_DAY, "bcdefgz"),
    ({"order_by": "write_time"}, THAT_DAY, "gfedczb"),
    ({"order_by": "write_time", "order": "oldest"}, {**THAT_DAY, "limit": "3"}, "bzc"),
    ({"order_by": "write_time", "tie_order": "varying"}, {**THAT_DAY, "limit": "5"}, "gfedc"),
    ({"filter_by": "write_time"}, {"from_date": FIRST, "to_date": "2025-09-18T00:00:10"}, "zb"),
    ({"filter_by": "write_time"}, {"from_date": "2025-09-18T00:00:20", "to_date": "2025-09-18T00:00:30"}, "dc"),
    ({"filter_by": "write_time", "order_by": "write_time"}, {"to_date": "2025-09-18T00:00:20.500", "limit": "2"}, "cz"),
    ({"filter_by": "write_time", "cut": "trailing"}, {"to_date": "2025-09-18T00:00:20.500", "limit": "2"}, "ba"),
    ({"filter_by": "write_time", "order": "unsorted"}, {"from_date": "2025-09-18T00:00:10", "to_date": "2025-09-18T00:00:21"}, "cz"),
    ({"filter_by": "write_time", "write_lag": (1000, 1000)}, THAT_DAY, "fedzcba"),
    ({"cut": "trailing"}, {"limit": "2"}, "ba"),
    ({"cut": "trailing", "order": "oldest"}, {"limit": "2"}, "gh"),
    ({"cut": "trailing", "order": "unsorted"}, {**THAT_DAY, "limit": "2"}, "gz"),
    ({"max_span": 3600}, THAT_DAY, 400),
    ({"max_span": 3600, "over_span": "clamp_from"}, THAT_DAY, "g"),
    ({"max_span": 3600, "over_span": "clamp_to"}, THAT_DAY, "edzcb"),
    ({"max_span": 3600, "over_span": "empty"}, THAT_DAY, ""),
    ({"present": MIDNIGHT + HOUR, "future": "refuse"}, THAT_DAY, 400),
    ({"present": MIDNIGHT + HOUR, "future": "empty"}, THAT_DAY, ""),
    ({"present": MIDNIGHT + HOUR, "future": "present"}, THAT_DAY, "edzcb"),
    ({"present": MIDNIGHT + DAY + HOUR, "undated_days": 1}, {}, "hgfe"),
    ({"ignores": ("from_date", "to_date")}, THAT_DAY, "hgfedzcba"),
    ({"ignores": ("from_date", "to_date"), "unparsable_date": "refuse"}, {"from_date": "x"}, "hgfedzcba"),
    ({"ignores": ("event_name",)}, {"event_name": "Other"}, "hgfedzcba"),
    ({"ignores": ("limit",)}, {"limit": "1"}, "hgfedzcba"),
    ({"names": "after"}, {"event_name": "Other", "limit": "2"}, ""),
    ({"named_cap": 2}, {"event_name": ""}, "hg"),
]


@pytest.mark.parametrize(("options", "params", "expected"), OPTIONS)
def test_an_option_changes_the_answer_as_it_says(options, params, expected):
    assert ids_of(FakeApi(RECORDS), params) != expected, "the case would pass without the option"
    assert ids_of(FakeApi(RECORDS, **options), params) == expected


def test_a_record_is_written_after_its_response_time_or_a_lag_drawn_by_its_id():
    records = [{"id": f"{number:03d}", "startTime": 1000, "responseTime": number} for number in range(200)]
    by_response = FakeApi(records)
    assert [by_response.write_time(record["id"]) for record in records] == [1000 + number for number in range(200)]
    assert FakeApi([{"id": "x", "startTime": 7, "responseTime": "soon"}]).write_time("x") == 7
    drawn = [[FakeApi(records, write_lag=(10, 60_000), seed=seed).write_time(record["id"]) for record in records] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert 1010 <= min(drawn[0]) < 1100
    assert 45_000 < max(drawn[0]) <= 61_000
    assert sum(time < 10_000 for time in drawn[0]) > 80
    with pytest.raises(KeyError):
        by_response.write_time("x")


@pytest.mark.parametrize("by_filter", ["start_time", "write_time"])
@pytest.mark.parametrize("by_order", ["start_time", "write_time"])
@pytest.mark.parametrize("cut", ["leading", "trailing", "sample", "sample_random"])
@pytest.mark.parametrize("order", ["newest", "oldest", "unsorted", "shuffled"])
def test_an_answer_holds_what_a_plain_search_finds(by_filter, by_order, cut, order):
    chance = random.Random(f"{by_filter} {by_order} {cut} {order}")
    records = [
        {"id": f"{chance.randrange(10**9):09d}", "startTime": chance.randrange(300), "responseTime": chance.choice([0, 3, 90])}
        for _ in range(150)
    ]
    ties = chance.choice(["stable", "varying"])
    fake_api = FakeApi(records[:100], filter_by=by_filter, order_by=by_order, cut=cut, order=order, date_format="epoch_ms", tie_order=ties)
    for record in records[100:]:
        fake_api.add(record)

    def time(record, by):
        return record["startTime"] + (record["responseTime"] if by == "write_time" else 0)

    for _ in range(30):
        low, limit = chance.randrange(400), chance.choice([1, 5, 40])
        high = low + chance.choice([0, 10, 100, 400])
        data = fake_api.answer({"from_date": str(low), "to_date": str(high), "limit": str(limit)})[1]["data"]
        matches = [record for record in records if low <= time(record, by_filter) <= high]
        assert len(data) == min(limit, len(matches))
        assert all(record in matches for record in data)
        assert len({record["id"] for record in data}) == len(data)
        times = [time(record, by_order) for record in data]
        if order in {"newest", "oldest"}:
            assert times == sorted(times, reverse=order == "newest")
            if cut in {"leading", "trailing"}:
                every = sorted((time(record, by_order) for record in matches), reverse=order == "newest")
                assert times == (every[:limit] if cut == "leading" else every[-limit:])
        elif order == "unsorted":
            assert data == sorted(data, key=lambda record: record["id"])


def test_a_span_within_its_limit_and_a_single_date_are_free():
    fake_api = FakeApi(RECORDS, max_span=86_400, over_span="refuse")
    assert ids_of(fake_api, THAT_DAY) == "gfedzcb"
    assert ids_of(fake_api, {"from_date": "2020-01-01T00:00:00"}) == "hgfedzcba"


def test_the_cap_is_lowered_after_the_given_request():
    fake_api = FakeApi(RECORDS, limit_cap=4, limit_cap_later=(2, 1))
    assert [ids_of(fake_api, {"limit": "9"}) for _ in range(3)] == ["hgfe", "hgfe", "h"]


def test_shuffled_answers_hold_the_same_records_in_another_order_each_time():
    answers = [ids_of(FakeApi(RECORDS, order="shuffled", seed=seed), THAT_DAY) for seed in range(5)]
    fake_api = FakeApi(RECORDS, order="shuffled")
    answers += [ids_of(fake_api, THAT_DAY) for _ in range(5)]
    assert {"".join(sorted(answer)) for answer in answers} == {"bcdefgz"}
    assert len(set(answers)) > 5


def test_equal_fake_apis_give_equal_answers():
    first, second = (FakeApi(RECORDS, order="shuffled", cut="sample_random", seed=7) for _ in range(2))
    assert [ids_of(first, {"limit": "4"}) for _ in range(6)] == [ids_of(second, {"limit": "4"}) for _ in range(6)]


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_ties_vary_between_requests_only_where_asked_for(order):
    tied = [{"id": ident, "startTime": 5 if ident in "bcde" else ord(ident)} for ident in "abcdef"]

    def heads(**options):
        fake_api = FakeApi(tied, order=order, **options)
        return {"".join(record["id"] for record in fake_api.answer({"limit": "4"})[1]["data"]) for _ in range(40)}

    assert len(heads()) == 1
    varied = heads(tie_order="varying")
    assert len(varied) > 3
    if order == "newest":
        assert {head[:2] for head in varied} == {"fa"}
    else:
        assert {"".join(sorted(head)) for head in varied} == {"bcde"}


def test_a_sample_is_sorted_has_holes_and_is_fixed_or_new_each_time():
    many = [{"id": f"{number:02d}", "startTime": number} for number in range(30)]

    def pages(cut):
        fake_api = FakeApi(many, cut=cut, order="oldest")
        return [[record["startTime"] for record in fake_api.answer({"limit": "10"})[1]["data"]] for _ in range(5)]

    fixed, fresh = pages("sample"), pages("sample_random")
    for page in [*fixed, *fresh]:
        assert len(page) == 10
        assert page == sorted(page)
        assert page[-1] - page[0] > 9
    assert all(page == fixed[0] for page in fixed)
    assert any(page != fresh[0] for page in fresh)
    assert [len(FakeApi(many, cut="sample").answer({"limit": "40"})[1]["data"])] == [30]


def test_strays_come_from_outside_of_the_window_and_count_towards_the_limit():
    fake_api = FakeApi(RECORDS, strays=2)
    seen = set()
    for _ in range(20):
        answer = ids_of(fake_api, {**THAT_DAY, "limit": "5"})
        inside = "".join(ident for ident in answer if ident not in "ah")
        assert inside == "gfe"
        assert len(answer) == 5
        seen.update(answer)
    assert seen == set("ahgfe")
    assert ids_of(fake_api, {}) == "hgfedzcba"


def test_a_late_record_shows_from_its_request_on():
    fake_api = FakeApi(RECORDS, late={"g": Late(request=3)})
    assert [ids_of(fake_api, {"limit": "2"}) for _ in range(4)] == ["hf", "hf", "hg", "hg"]


def test_a_late_record_shows_after_its_seconds():
    now = [1000.0]
    fake_api = FakeApi(RECORDS[:1], clock=lambda: now[0])
    fake_api.add(RECORDS[1], late=Late(seconds=5))
    assert ids_of(fake_api, {}) == "a"
    now[0] += 4.9
    assert ids_of(fake_api, {}) == "a"
    assert [record["id"] for record in fake_api.records] == ["a", "b"]
    now[0] += 0.1
    assert ids_of(fake_api, {}) == "ba"


def test_a_share_of_the_records_shows_late():
    many = [{"id": f"{number:03d}", "startTime": number} for number in range(400)]
    fake_api = FakeApi(many, late_share=0.25, late_request=3)
    first, second, third = (len(fake_api.answer({"limit": "1000"})[1]["data"]) for _ in range(3))
    assert 250 < first < 350
    assert (second, third) == (first, 400)


# Impossible options, and what the error says.
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"order": "newst"}, ["order='newst'", "newest"]),
        ({"ignores": ("until",)}, ["ignores='until'", "to_date"]),
        ({"limit_cap_later": (3,)}, ["limit_cap_later=(3,)", "two numbers"]),
        ({"max_span": -1}, ["max_span=-1", "from 0"]),
        ({"write_lag": (5, 4)}, ["write_lag=(5, 4)", "the least and the most"]),
        ({"write_lag": (5,)}, ["write_lag=(5,)", "two numbers"]),
        ({"late": {"a": Late(seconds=1)}, "records": RECORDS}, ["clock=None", "time.time"]),
        ({"late_share": 2}, ["late_share=2", "between 0 and 1"]),
    ],
)
def test_an_impossible_option_is_refused_with_name_value_and_hint(options, words):
    with pytest.raises(ValueError, match=r".") as raised:
        FakeApi(**options)
    for word in words:
        assert word in str(raised.value)


def test_every_choice_of_an_option_is_in_the_tables():
    tried = {(name, value) for options, _params, _expected in OPTIONS for name, value in options.items() if isinstance(value, str)}
    tried |= {("cut", "sample"), ("cut", "sample_random"), ("order", "shuffled"), ("tie_order", "varying")}
    of_the_package = PackageApi.options_class.__dataclass_fields__
    for item in ServerOptions.__dataclass_fields__.values():
        for choice in item.metadata["choices"]:
            inherited = choice in of_the_package[item.name].metadata["choices"] if item.name in of_the_package else False
            assert choice == item.default or inherited or (item.name, choice) in tried


# Options of the package, under which the bench without its own answers as the package does, whatever is asked.
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"order": "oldest"},
        {"limit_cap": 7},
        {"limit_cap": 7, "over_limit": "refuse"},
        {"date_format": ("iso_z", "epoch_ms"), "timezone": "Asia/Kolkata"},
        {"rate_limit": 20},
    ],
)
def test_without_its_own_options_it_answers_as_the_package_does(options):
    chance = random.Random(str(options))
    records = [*documented_records(), *synthetic_records(200, seed=3), *RECORDS]
    pair = [kind(records[:150], clock=lambda: 0.0, **options) for kind in (PackageApi, FakeApi)]
    for each in pair:
        for record in records[150:]:
            each.add(record)
    dates = ["2025-09-18T00:00:00", "2025-09-18T00:00:00.5", "2025-09-10T12:00:00", "2025-09-10T12:00:00Z", "1758153600000", "soon", ""]
    for _ in range(60):
        params = {name: chance.choice(dates) for name in ("from_date", "to_date") if chance.random() < 0.7}
        params |= {"limit": chance.choice(["0", "3", "10", "1000"])} if chance.random() < 0.7 else {}
        params |= {"event_name": chance.choice(["", "Other", "Store_Visit"])} if chance.random() < 0.3 else {}
        first, second = (each.respond(params) for each in pair)
        assert first == second
    assert pair[0].records == pair[1].records
