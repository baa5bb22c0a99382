"""Answers that are wrong in one place only, far from the first page: each must be noticed where it happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_capillary.emulator.world import World
from airflow_provider_capillary.errors import CalibrationError, CapillaryError, ContinuityError, ParametersRefusedError, TieError
from reading.driving import drive, make_reader, truth

if TYPE_CHECKING:
    from collections.abc import Callable

DAY = 86_400_000
BASE = 1_758_067_200_000
RECORDS = [{"id": f"r{index:04}", "startTime": BASE + index * 60_000} for index in range(-300, 1440)]


class Tampered(World):
    """A world whose answers from the n-th request on are changed; never, where n is 0."""

    def __init__(self, number: int, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]], **liberties: Any) -> None:
        super().__init__(RECORDS, date_format="epoch_ms", limit_cap=100, **liberties)
        self._number, self._change = number, change

    def answer(self, params: Any) -> tuple[int, Any]:
        status, envelope = super().answer(params)
        if 0 < self._number <= self.asked and envelope["data"]:
            envelope = envelope | {"data": self._change(envelope["data"])}
        return status, envelope


class Vanishing:
    """The record with which the first changed page begins, the seam, is never shown again."""

    def __init__(self) -> None:
        self._gone: str | None = None

    def __call__(self, page: list[dict[str, Any]]) -> list[dict[str, Any]]:
        self._gone = self._gone or page[0]["id"]
        return [record for record in page if record["id"] != self._gone]


def swapped(page: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [*page[:50], page[51], page[50], *page[52:]]


def with_one_from_far_below(page: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [*page[:-1], {"id": "stray", "startTime": BASE - 30 * DAY}]


def with_one_from_above(page: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"id": f"unseen {page[0]['id']}", "startTime": page[0]["startTime"] + 1}, *page[:-1]]


def with_another_time(page: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [page[0], page[1] | {"id": page[0]["id"]}, *page[2:]]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (Vanishing(), ContinuityError),
        (swapped, ContinuityError),
        (with_one_from_far_below, CalibrationError),
        (with_one_from_above, ContinuityError),
        (with_another_time, ContinuityError),
    ],
)
def test_a_wrong_page_in_the_middle_is_noticed(change: Any, error: type[CapillaryError]) -> None:
    """From the eighth answer of some twenty on; the requests stop there, or after looser bounds were tried in vain."""
    world = Tampered(8, change)
    # An untouched world is read in full, so it is the change that fails.
    sound = Tampered(0, change)
    run = drive(make_reader(), sound, BASE, BASE + DAY)
    assert sorted(run.ids) == sorted(truth(sound, BASE, BASE + DAY))
    run = drive(make_reader(), world, BASE, BASE + DAY)
    assert isinstance(run.error, error), run.error
    assert len(run.asked) <= 8 + 8


@pytest.mark.parametrize("cap", [2, 3])
def test_a_cap_lowered_to_the_last_ties_hides_none_of_them(cap: int) -> None:
    """The last instant has one more record than the cap that the API has come to."""
    last = [{"id": f"t{index}", "startTime": BASE} for index in range(cap + 1)]
    others = [{"id": f"o{index}", "startTime": BASE + 1000 * (index + 1)} for index in range(8)]
    for after in range(2, 12):
        for first_cap in range(cap + 1, 13):
            world = World([*last, *others], date_format="epoch_ms", limit_cap=first_cap, limit_cap_later=(after, cap))
            run = drive(make_reader(), world, BASE - DAY, BASE + DAY)
            assert run.error is not None or sorted(run.ids) == sorted(truth(world, BASE - DAY, BASE + DAY)), (after, first_cap)
            assert run.error is None or isinstance(run.error, (TieError, ContinuityError)), run.error


def test_a_late_record_in_a_second_that_is_read_twice_is_noticed() -> None:
    """It lies between the seam and the bound, where everything was known."""
    records = [{"id": f"r{index:04}", "startTime": BASE + index * 700} for index in range(400)]
    for index in range(20, 300, 7):
        late = {"id": "late", "startTime": BASE + index * 700 + 350}
        world = World(records, date_format="iso", limit_cap=20)
        before = drive(make_reader(), world, BASE, BASE + DAY)
        assert before.error is None

        class Late(World):
            def answer(self, params: Any) -> tuple[int, Any]:
                if self.asked == 15:  # used within this round only
                    self.add(late)  # noqa: B023
                return super().answer(params)

        world = Late(records, date_format="iso", limit_cap=20)
        run = drive(make_reader(), world, BASE, BASE + DAY)
        noticed = isinstance(run.error, ContinuityError) or "late" in run.ids
        # Where the walk had passed by, nothing can be seen; where it had not, the record is simply there.
        assert noticed or run.error is None
        assert run.error is not None or set(run.ids) >= {record["id"] for record in records}


@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("number", range(1, 24))
def test_a_window_that_is_refused_once_hands_nothing_on_twice(number: int, order: str) -> None:
    """A 400 that comes from nowhere: all of it, each once, or an error."""

    class Refusing(World):
        def answer(self, params: Any) -> tuple[int, Any]:
            status, envelope = super().answer(params)
            return (400, {}) if self.asked == number else (status, envelope)

    world = Refusing(RECORDS, date_format="epoch_ms", limit_cap=100, order=order)
    run = drive(make_reader(), world, BASE, BASE + DAY)
    assert len(set(run.ids)) == len(run.ids)
    refused = isinstance(run.error, (ParametersRefusedError, CalibrationError))
    assert refused or sorted(run.ids) == sorted(truth(world, BASE, BASE + DAY))


@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("number", range(1, 24))
def test_an_answer_that_is_empty_once_empties_nothing(number: int, order: str) -> None:
    """A 200 without records that comes from nowhere: all of it, or an error."""

    class Absent(World):
        def answer(self, params: Any) -> tuple[int, Any]:
            status, envelope = super().answer(params)
            return status, envelope | {"data": []} if self.asked == number and "data" in envelope else envelope

    for start, end in [(BASE, BASE + DAY), (BASE + DAY // 2, BASE + DAY // 2 + 600_000)]:
        world = Absent(RECORDS, date_format="iso", limit_cap=100, order=order, unparsable_date="empty")
        run = drive(make_reader(), world, start, end)
        assert run.error is not None or sorted(run.ids) == sorted(truth(world, start, end))


def test_a_record_that_the_second_look_does_not_find_is_noticed() -> None:
    """It was in the midst of a page, and is not in the answer to a part of that page's window."""
    looks = []

    class Forgetting(World):
        def answer(self, params: Any) -> tuple[int, Any]:
            status, envelope = super().answer(params)
            data = envelope["data"]
            # The second look: all of a page but its last instant.
            if len(data) == 99:
                looks.append(self.asked)
                envelope = envelope | {"data": [*data[:50], *data[51:]]}
            return status, envelope

    run = drive(make_reader(), Forgetting(RECORDS, date_format="epoch_ms", limit_cap=100), BASE, BASE + DAY)
    assert looks
    assert isinstance(run.error, ContinuityError)
