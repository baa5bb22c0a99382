"""Hundreds of drawn worlds, each read to the end and judged by one checker, and all that were once read wrongly."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_capillary.errors import TieError
from reading.drawing import draw
from reading.shrinking import complaint, kept_worlds, shrink
from reading.worlds import judge

BATCH = 50


@pytest.mark.parametrize("first", range(0, 600, BATCH))
def test_a_kind_world_is_read_in_full_within_the_budget_of_requests(first: int) -> None:
    """Every record once, in at most ceil(N / (p - k)) + 4 requests and those of calibration."""
    for seed in range(first, first + BATCH):
        case = draw(seed, wild=False)
        run, world = case.read()
        if case.crowd >= case.page or case.is_one_instant:
            # More at once than an answer holds: an error is right, and so is all of it.
            assert isinstance(run.error, TieError) or (run.error is None and judge(case, run, world) is None), (case, run.error)
            continue
        assert run.error is None, (case, run.error)
        assert judge(case, run, world) is None, case
        if case.page > 3:
            assert len(run.asked) <= case.most_requests(len(run.ids)) + 1, (case, run.asked)


@pytest.mark.parametrize("first", range(10_000, 10_400, BATCH))
def test_a_kind_world_with_faults_is_read_in_full(first: int) -> None:
    """15 % of the requests fail in a passing way; nothing is lost and nothing comes twice."""
    for seed in range(first, first + BATCH):
        case = draw(seed, wild=False)
        run, world = case.read(faulty=True)
        assert judge(case, run, world) is None, case
        if case.crowd < case.page and not case.is_one_instant:
            assert run.error is None, (case, run.error)


@pytest.mark.parametrize("first", range(20_000, 21_000, BATCH))
def test_a_wild_world_is_read_in_full_or_fails_and_says_why(first: int) -> None:
    """Whatever the server does, there is the exact truth, or an error that names something which this server does."""
    for seed in range(first, first + BATCH):
        case = draw(seed, wild=True)
        _, said = complaint(case)
        assert said is None, (said, case)


@pytest.mark.parametrize("number", range(len(kept_worlds())))
def test_a_world_that_was_read_wrongly_is_not_any_more(number: int) -> None:
    """Found by ``worlds_by_hand.py``, shrunk, and kept; or made by hand for a rule that no drawn world needs."""
    was, case = kept_worlds()[number]
    _, said = complaint(case)
    assert said is None, (was, said, case)


def test_the_judge_condemns() -> None:
    """A record that is lost, handed on twice, or not of the interval, and an error for which there is no cause."""
    case = next(case for case in (draw(seed, wild=False) for seed in range(99)) if len(set(case.read()[0].ids)) > 3)
    run, world = case.read()
    assert judge(case, run, world) is None
    for ids in (run.ids[1:], [*run.ids, run.ids[0]], [*run.ids, "elsewhere"]):
        assert judge(case, replace(run, ids=ids), world) is not None
    assert judge(case, replace(run, error=TieError("")), world) == "the wrong cause: TieError"


def test_a_wrong_world_is_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the records and liberties without which it is not wrong."""
    case = next(case for case in (draw(seed, wild=True) for seed in range(999)) if len(case.records) > 50)
    last = case.records[-1]["id"]
    monkeypatch.setattr("reading.shrinking.judge", lambda case, *_: "bad" if any(r["id"] == last for r in case.records) else None)
    small = shrink(case)
    assert [record["id"] for record in small.records] == [last]
    assert (small.liberties, small.settings, small.event_name) == ({}, {}, None)
