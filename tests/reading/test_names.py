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
    def _select(self, params: Mapping[str, str]) -> list[str]:
        if "event_name" in params:
            raise RefusedError("no such parameter")
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


def test_an_api_that_refuses_names_is_asked_without() -> None:
    read_both(RefusesNames(records(400, "ab"), date_format="iso", limit_cap=100), "a")


def test_a_full_answer_of_one_name_shows_nothing() -> None:
    """What the limit leaves over of the last hours has one name. Of the hours before, it leaves over two."""
    late = [record | {"startTime": record["startTime"] + DAY // 2} for record in records(300, "a", over=DAY // 2)]
    early = records(600, "ab", seed=2, over=DAY // 2)
    read_both(FakeApi(early + late, date_format="iso", limit_cap=100, names="after"), "b")


def test_rows_that_come_twice_do_not_count_twice() -> None:
    class Repeats(FakeApi):
        def _select(self, params: Mapping[str, str]) -> list[str]:
            return super()._select(params) * (2 if "event_name" in params else 1)

    read_both(Repeats(records(900, "ab"), date_format="iso", limit_cap=100, names="after"), "b")


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
