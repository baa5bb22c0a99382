"""Hundreds of drawn worlds, each read to the end and judged by one checker."""

from __future__ import annotations

import pytest

from airflow_provider_capillary.errors import TieError
from reading.worlds import draw, judge

BATCH = 50


@pytest.mark.parametrize("first", range(0, 600, BATCH))
def test_a_kind_world_is_read_in_full_within_the_budget_of_requests(first: int) -> None:
    """Every record once, in at most ceil(N / (p - k)) + 4 requests and those of calibration."""
    for seed in range(first, first + BATCH):
        case = draw(seed, wild=False)
        run, world = case.read()
        assert judge(case, run, world) is None, case
        if case.crowd >= case.page or case.is_one_instant:
            # More at once than an answer holds: an error is right, and so is all of it.
            assert run.error is None or isinstance(run.error, TieError), (case, run.error)
            continue
        assert run.error is None, (case, run.error)
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
def test_a_wild_world_is_read_in_full_or_fails(first: int) -> None:
    """Whatever the server does, there is the exact truth or an error of this package."""
    for seed in range(first, first + BATCH):
        case = draw(seed, wild=True)
        run, world = case.read()
        assert judge(case, run, world) is None, case
