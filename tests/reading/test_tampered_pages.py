"""Answers that are wrong in one place only, far from the first page: each must be noticed where it happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from bench.fake_api import FakeApi, Late

from airflow_provider_capillary.errors import CalibrationError, CapillaryError, ContinuityError, ParametersRefusedError, TieError
from reading.driving import drive, make_reader, truth

if TYPE_CHECKING:
    from collections.abc import Callable

DAY = 86_400_000
BASE = 1_758_067_200_000
APART = 200_000
RECORDS = [{"id": f"r{index:04}", "startTime": BASE + index * APART} for index in range(-90, DAY // APART)]
PAGE = 30
"""Records at once, so that a day takes some fifteen answers; more of both shows nothing more."""


class Tampered(FakeApi):
    """A world whose answers from the n-th request on are changed; never, where n is 0."""

    def __init__(self, number: int, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]], **options: Any) -> None:
        super().__init__(RECORDS, date_format="iso", limit_cap=PAGE, **options)
        self._number, self._change = number, change

    def answer(self, params: Any) -> tuple[int, Any]:
        status, envelope = super().answer(params)
        if 0 < self._number <= self.request_count and envelope["data"]:
            envelope = envelope | {"data": self._change(envelope["data"])}
        return status, envelope


class Vanishing:
    """A record in the midst of the first changed answer is not shown again."""

    def __init__(self) -> None:
        self._gone: str | None = None

    def __call__(self, page: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if self._gone is None:
            self._gone = page[len(page) // 2]["id"]
            return page
        return [record for record in page if record["id"] != self._gone]


def with_one_from_far_below(page: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [*page[:-1], {"id": "stray", "startTime": BASE - 30 * DAY}]


def with_one_from_far_above(page: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"id": "stray", "startTime": BASE + 30 * DAY}, *page[:-1]]


def with_another_time(page: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [page[0], page[1] | {"id": page[0]["id"]}, *page[2:]]


# What becomes of the answers from the fourth on, where the third is full; the error that notices, and its words.
CHANGES = [
    (Vanishing, ContinuityError, "in none that holds all"),
    (lambda: with_one_from_far_below, CalibrationError, "far outside"),
    (lambda: with_one_from_far_above, CalibrationError, "far outside"),
    (lambda: with_another_time, ContinuityError, "two times"),
]


@pytest.mark.parametrize("order", ["newest", "oldest", "shuffled"])
@pytest.mark.parametrize(("make_change", "error", "words"), CHANGES)
def test_a_wrong_answer_is_noticed(make_change: Any, error: type[CapillaryError], words: str, order: str) -> None:
    """An untouched world is read in full, so it is the change that fails."""
    sound = Tampered(0, make_change(), order=order)
    run = drive(make_reader(), sound, BASE, BASE + DAY)
    assert sorted(run.ids) == sorted(truth(sound, BASE, BASE + DAY))
    run = drive(make_reader(), Tampered(3, make_change(), order=order), BASE, BASE + DAY)
    assert isinstance(run.error, error), run.error
    assert words in str(run.error)


def swapped(page: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [*page[:15], *reversed(page[15:17]), *page[17:]]


def repeated(page: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first of them comes twice where there is room."""
    return [page[0], *page] if len(page) < PAGE else page


@pytest.mark.parametrize("change", [swapped, repeated])
@pytest.mark.parametrize("number", [3, 8])
def test_an_answer_that_is_odd_and_true_is_read(number: int, change: Any) -> None:
    """Nothing is concluded from order, and a record counts once."""
    world = Tampered(number, change)
    run = drive(make_reader(), world, BASE, BASE + DAY)
    assert run.error is None
    assert sorted(run.ids) == sorted(truth(world, BASE, BASE + DAY))


@pytest.mark.parametrize("order", ["newest", "oldest", "shuffled"])
@pytest.mark.parametrize("number", range(3, 30))
def test_a_cap_that_falls_hides_nothing(number: int, order: str) -> None:
    """From thirty at once to less than what was taken for whole before: at any request, the last included."""
    for later in (29, 27, 18, 12):
        world = FakeApi(RECORDS, date_format="epoch_ms", limit_cap=PAGE, limit_cap_later=(number, later), order=order)
        run = drive(make_reader(), world, BASE, BASE + DAY)
        assert run.error is None, (later, run.error)
        assert sorted(run.ids) == sorted(truth(world, BASE, BASE + DAY)), later


@pytest.mark.parametrize("cap", [10, 11])
def test_a_cap_lowered_to_the_last_ties_hides_none_of_them(cap: int) -> None:
    """The last instant has one more record than the cap that the API has come to."""
    last = [{"id": f"t{index}", "startTime": BASE} for index in range(cap + 1)]
    others = [{"id": f"o{index}", "startTime": BASE + 1000 * (index + 1)} for index in range(20)]
    failed = 0
    for after in range(2, 12):
        for first_cap in range(cap + 2, 22):
            world = FakeApi([*last, *others], date_format="epoch_ms", limit_cap=first_cap, limit_cap_later=(after, cap))
            run = drive(make_reader(), world, BASE - DAY, BASE + DAY)
            failed += run.error is not None
            if run.error is None:
                assert sorted(run.ids) == sorted(truth(world, BASE - DAY, BASE + DAY)), (after, first_cap)
            else:
                assert isinstance(run.error, TieError), (after, first_cap, run.error)
    assert failed


def test_a_late_record_in_a_second_that_is_read_twice_hides_none_that_was_there() -> None:
    """It lies where two windows overlap: it is among those that were read or not, and all others are, once."""
    records = [{"id": f"r{index:04}", "startTime": BASE + index * 700} for index in range(400)]
    caught = []
    for index in range(20, 300, 7):
        late = {"id": "late", "startTime": BASE + index * 700 + 350}
        world = FakeApi([*records, late], date_format="iso", limit_cap=20, late={"late": Late(request=30)})
        run = drive(make_reader(), world, BASE, BASE + DAY)
        assert run.error is None
        caught.append(run.ids.count("late"))
        assert sorted({*run.ids} - {"late"}) == [record["id"] for record in records]
        assert len(run.ids) == len(records) + caught[-1]
    # Where the reading had passed by, it can't be seen; where it had not, it is simply there.
    assert set(caught) == {0, 1}


@pytest.mark.parametrize("order", ["newest", "oldest", "shuffled"])
@pytest.mark.parametrize("number", range(1, 24))
def test_a_window_that_is_refused_once_hands_nothing_on_twice(number: int, order: str) -> None:
    """A 400 that comes from nowhere: all of it, each once, or an error."""

    class Refusing(FakeApi):
        def answer(self, params: Any) -> tuple[int, Any]:
            status, envelope = super().answer(params)
            return (400, {}) if self.request_count == number else (status, envelope)

    world = Refusing(RECORDS, date_format="epoch_ms", limit_cap=PAGE, order=order)
    run = drive(make_reader(), world, BASE, BASE + DAY)
    assert len(set(run.ids)) == len(run.ids)
    if run.error is None:
        assert sorted(run.ids) == sorted(truth(world, BASE, BASE + DAY))
    else:
        assert isinstance(run.error, (ParametersRefusedError, CalibrationError))
        assert number <= 8


@pytest.mark.parametrize("order", ["newest", "oldest", "shuffled"])
@pytest.mark.parametrize("number", range(1, 24))
def test_an_answer_that_is_empty_once_empties_nothing(number: int, order: str) -> None:
    """A 200 without records that comes from nowhere: all of it, or an error."""

    class Absent(FakeApi):
        def answer(self, params: Any) -> tuple[int, Any]:
            status, envelope = super().answer(params)
            return status, envelope | {"data": []} if self.request_count == number and "data" in envelope else envelope

    for start, end in [(BASE, BASE + DAY), (BASE + DAY // 2, BASE + DAY // 2 + 10 * APART)]:
        world = Absent(RECORDS, date_format="iso", limit_cap=PAGE, order=order, unparsable_date="empty")
        run = drive(make_reader(), world, start, end)
        if run.error is None:
            assert sorted(run.ids) == sorted(truth(world, start, end))
        else:
            # Only while dates are found out is an empty answer what an API says to a date that it can't read.
            assert isinstance(run.error, CalibrationError)
            assert number <= 8


@pytest.mark.parametrize("shown", ["010", "0100", "00", "1", "0101010"])
def test_a_record_that_an_answer_held_is_yielded(shown: str) -> None:
    """The only one of its day, which only some answers hold. What none held is beyond knowing."""
    answers = iter(shown)

    class Flickering(FakeApi):
        def answer(self, params: Any) -> tuple[int, Any]:
            status, envelope = super().answer(params)
            if "from_date" in params and any(record["id"] == "only" for record in envelope["data"]) and next(answers, shown[-1]) == "0":
                return status, envelope | {"data": [record for record in envelope["data"] if record["id"] != "only"]}
            return status, envelope

    others = [{"id": f"o{index}", "startTime": BASE - 5 * DAY + 977_000 * index} for index in range(PAGE)]
    world = Flickering([*others, {"id": "only", "startTime": BASE + DAY // 2}], date_format="iso", limit_cap=PAGE, order="oldest")
    run = drive(make_reader(), world, BASE, BASE + DAY)
    assert run.error is None
    assert run.ids == ["only"] * ("1" in shown[:2])


@pytest.mark.parametrize("order", ["newest", "oldest", "shuffled"])
def test_a_record_of_a_full_answer_that_no_whole_one_holds_is_noticed(order: str) -> None:
    """An API whose short answers are not whole: one record shows in full answers only."""
    hidden = {"newest": "r0420", "oldest": "r0015", "shuffled": "r0410"}[order]
    showed = []

    class Hiding(FakeApi):
        def answer(self, params: Any) -> tuple[int, Any]:
            status, envelope = super().answer(params)
            data = [record for record in envelope["data"] if record["id"] != hidden or len(envelope["data"]) == PAGE]
            showed.append(len(data) == PAGE and any(record["id"] == hidden for record in data))
            return status, envelope | {"data": data}

    seen = noticed = 0
    for seed in range(12):
        showed.clear()
        world = Hiding(RECORDS, date_format="iso", limit_cap=PAGE, order=order, seed=seed)
        run = drive(make_reader(), world, BASE, BASE + DAY)
        # Whatever the answers never showed is beyond knowing; what one of them did is not, unless its window had been read by then.
        seen += any(showed)
        noticed += isinstance(run.error, ContinuityError)
        assert any(showed) or run.error is None, seed
        if order != "shuffled":
            break
    assert seen - 1 <= noticed
    assert noticed
