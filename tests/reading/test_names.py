"""An event name is sent to the API only where that leaves nothing out."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from bench.fake_api import FakeApi

from airflow_provider_capillary.emulator.fake_api import RefusedError
from reading.driving import drive, make_reader, truth

if TYPE_CHECKING:
    from collections.abc import Mapping

DAY = 86_400_000
BASE = 1_758_067_200_000
"""2025-09-17T00:00:00Z."""


class RefusesNames(FakeApi):
    def __init__(self, records: list[dict[str, Any]], name: str, **options: Any) -> None:
        super().__init__(records, **options)
        self.refused = name

    def _select(self, params: Mapping[str, str]) -> list[str]:
        if params.get("event_name") == self.refused:
            raise RefusedError("no such name")
        return super()._select(params)


def records(count: int, names: str, *, seed: int = 1, over: int = DAY) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    return [{"id": f"{seed}{index:04}", "startTime": BASE + rng.randrange(over), "eventName": rng.choice(names)} for index in range(count)]


def read_both(world: FakeApi, name: str) -> int:
    """Read the day twice, by one reader; how many requests the second reading took."""
    reader = make_reader()
    for _ in range(2):
        run = drive(reader, world, BASE, BASE + DAY, event_name=name)
        assert run.error is None
        assert sorted(run.ids) == sorted(truth(world, BASE, BASE + DAY, name))
    return len(run.asked)


@pytest.mark.parametrize("name", ["a", "b", "rare"])
@pytest.mark.parametrize(
    "answers",
    [{}, {"order": "oldest"}, {"order": "unsorted"}, {"order": "shuffled", "cut": "sample_random"}],
    ids=str,
)
@pytest.mark.parametrize("does", [{"names": "after"}, {"named_cap": 40}, {"ignores": ("event_name",)}, {}], ids=str)
def test_every_record_of_the_name_is_found_whatever_the_api_makes_of_names(does: Any, answers: Any, name: str) -> None:
    rare = [record | {"eventName": "rare"} for record in records(40, "a", seed=2)]
    read_both(FakeApi([*records(1000, "aaab"), *rare], date_format="iso", limit_cap=100, **does, **answers), name)


@pytest.mark.parametrize("refused", ["a", "b"])
def test_where_the_api_refuses_a_name_it_is_asked_without(refused: str) -> None:
    """Be it the name that is looked for, or the one that most records have."""
    read_both(RefusesNames(records(1000, "aab"), refused, date_format="iso", limit_cap=100), "b")


def test_a_full_answer_of_one_name_shows_nothing() -> None:
    """What the limit leaves over of the last hours has one name. Of the hours before, it leaves over two."""
    late = [record | {"startTime": record["startTime"] + DAY // 2} for record in records(300, "a", over=DAY // 2)]
    early = records(600, "ab", seed=2, over=DAY // 2)
    read_both(FakeApi(early + late, date_format="iso", limit_cap=100, names="after"), "b")


def test_rows_that_come_twice_do_not_count_twice() -> None:
    class Repeats(FakeApi):
        def _select(self, params: Mapping[str, str]) -> list[str]:
            return super()._select(params) * (2 if params.get("event_name") == "b" else 1)

    in_turns = [{"id": f"{index:03}", "startTime": BASE + 60_000 * index, "eventName": "ab"[index % 2]} for index in range(900)]
    read_both(Repeats(in_turns, date_format="iso", limit_cap=100, names="after"), "a")


def test_the_name_is_sent_where_it_saves_requests() -> None:
    """Once the API has shown that it looks for names in whole windows, later readings name theirs at once."""
    rare = [record | {"eventName": "rare"} for record in records(40, "a", seed=2)]
    world = FakeApi([*records(1000, "aaab"), *rare], date_format="iso", limit_cap=100)
    assert read_both(world, "rare") == 2
    world = FakeApi([*records(1000, "aaab"), *rare], date_format="iso", limit_cap=100, names="after")
    assert read_both(world, "rare") > 11


def test_no_name_is_sent_where_one_answer_holds_all() -> None:
    reader = make_reader()
    world = FakeApi(records(250, "ab", over=5 * DAY), date_format="iso", limit_cap=100)
    run = drive(reader, world, BASE, BASE + DAY, event_name="a")
    assert run.error is None
    assert not any("event_name" in params for params in run.asked)


@pytest.mark.parametrize("falls_at", range(5, 30))
def test_what_is_read_again_is_looked_for_by_its_name_alone(falls_at: int) -> None:
    """The cap falls to a half: windows that were asked for without the name are asked for again, perhaps with it."""
    world = FakeApi(records(1500, "aab"), date_format="iso", limit_cap=100, limit_cap_later=(falls_at, 50))
    run = drive(make_reader(), world, BASE, BASE + DAY, event_name="b")
    assert run.error is None
    assert sorted(run.ids) == sorted(truth(world, BASE, BASE + DAY, "b"))


@pytest.mark.parametrize("cap", [10, 20])
@pytest.mark.parametrize("share", [0.8, 0.95])
def test_no_chance_makes_a_name_seem_to_be_found(cap: int, share: float) -> None:
    """Of any ten records in no order, all may have the same name."""
    for seed in range(20):
        common = records(int(cap * 8 * share), "a", seed=seed)
        others = records(int(cap * 8 * (1 - share)), "b", seed=seed + 100)
        world = FakeApi(common + others, seed=seed, date_format="iso", limit_cap=cap, names="after", order="shuffled", cut="sample_random")
        read_both(world, "b")


def test_names_that_the_api_takes_for_alike_do_not_fill_an_answer_together() -> None:
    """In the second half of the day there are two names that differ by their case, and the API looks after its limit for both."""

    class IgnoresCase(FakeApi):
        def _select(self, params: Mapping[str, str]) -> list[str]:
            wanted = params.get("event_name", "").lower()
            found = super()._select({name: value for name, value in params.items() if name != "event_name"})
            return [ident for ident in found if self._by_id[ident]["eventName"].lower().startswith(wanted)]

    late = [record | {"startTime": record["startTime"] + DAY // 2} for record in records(300, "aaaAA", over=DAY // 2)]
    read_both(IgnoresCase(records(600, "ab", seed=2, over=DAY // 2) + late, date_format="iso", limit_cap=100), "b")


def test_an_api_that_gives_more_at_once_with_a_name_gives_no_more_without() -> None:
    class GivesMore(FakeApi):
        def _cap(self) -> int | None:
            return 400 if self.is_named else 100

        def _select(self, params: Mapping[str, str]) -> list[str]:
            self.is_named = "event_name" in params
            return super()._select(params)

    read_both(GivesMore(records(2000, "ab"), date_format="iso", limit_cap=100), "a")


def test_what_was_shown_under_a_smaller_limit_does_not_hold_under_a_larger_one() -> None:
    """150 event logs of one millisecond make a reading of all names raise its limit. With a name, the API gives 100 at most."""
    tie = [{"id": f"t{index}", "startTime": BASE + DAY // 3, "eventName": "ab"[index % 2]} for index in range(150)]
    other_days = [record | {"startTime": record["startTime"] + 3 * DAY} for record in records(3000, "ab", seed=2)]
    world = FakeApi([*records(900, "ab"), *tie, *other_days], date_format="epoch_ms", limit_cap=10_000, named_cap=100)
    reader = make_reader(page_size=100)
    for name in ("a", None, "a", "b"):
        run = drive(reader, world, BASE, BASE + DAY, event_name=name)
        assert run.error is None
        assert sorted(run.ids) == sorted(truth(world, BASE, BASE + DAY, name))


def test_a_window_that_is_refused_for_its_length_keeps_its_name() -> None:
    spread = [record | {"eventName": "rare"} for record in records(60, "a", seed=2, over=3 * DAY)]
    world = FakeApi([*records(9000, "ab", over=3 * DAY), *spread], date_format="iso", limit_cap=1000, max_span=1.05 * DAY / 1000)
    reader = make_reader()
    for most in (60, 20):
        run = drive(reader, world, BASE, BASE + 3 * DAY, event_name="rare", most=most)
        assert run.error is None
        assert sorted(run.ids) == sorted(truth(world, BASE, BASE + 3 * DAY, "rare"))


def test_more_records_of_another_name_in_one_second_than_an_answer_holds_are_no_error() -> None:
    """All of the first full answer have that name, so the name that is looked for is tried."""
    burst = [{"id": f"t{index}", "startTime": BASE + DAY - 60_000, "eventName": "a"} for index in range(150)]
    assert read_both(FakeApi([*records(500, "ab", over=DAY // 2), *burst], date_format="iso", limit_cap=100), "b") < 10


def test_dates_that_are_not_read_beside_a_name_show_nothing() -> None:
    class Undated(FakeApi):
        def _select(self, params: Mapping[str, str]) -> list[str]:
            return super()._select({key: value for key, value in params.items() if "event_name" not in params or "date" not in key})

    later = [record | {"startTime": record["startTime"] + 5 * DAY} for record in records(400, "ab", seed=2)]
    read_both(Undated(records(400, "ab") + later, date_format="iso", limit_cap=100), "b")
