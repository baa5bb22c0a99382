"""What a full answer in no order shows, against what there is: the records of a window of which it was drawn."""

from __future__ import annotations

import random

import pytest

from airflow_provider_capillary.reading.subsets import Subset, Subsets

CAP = 100


def crowd(rng: random.Random, count: int) -> list[int]:
    """So many times in [0, 10,000), seven tenths of them in [4,000, 4,500)."""
    return sorted(4_000 + rng.randrange(500) if rng.random() < 0.7 else rng.randrange(10_000) for _ in range(count))


def between(times: list[int], low: int, high: int) -> list[int]:
    return [time for time in times if low <= time < high]


def draw(rng: random.Random, times: list[int], low: int, high: int) -> list[int]:
    return sorted(rng.sample(between(times, low, high), CAP))


@pytest.mark.parametrize("count", [200, 1_000, 5_000])
def test_whole_windows_show_how_many_records_one_stands_for_and_so_where_a_stretch_begins(count):
    """Of what is left, and though it is ten times as dense there as what was read."""
    for seed in range(20):
        rng = random.Random(seed)
        times = crowd(rng, count)
        subsets = Subsets()
        subset = subsets.add(0, 10_000, draw(rng, times, 0, 10_000))
        assert subset.weight is None
        subsets.learn_whole(4_400, 10_000, between(times, 3_000, 10_000))
        assert count / CAP / 2 < subset.weight < count / CAP * 2
        wanted = count * 0.3
        held = len(between(times, subset.start_of(4_400, records=wanted), 4_400))
        assert wanted / 2 < held < wanted * 2
        assert subset.start_of(4_400, records=3 * count) == 0


@pytest.mark.parametrize(
    ("low", "records", "contradicts"),
    [(4_000, 400, False), (4_000, 4, True), (8_000, 60, False), (8_000, 1_000, True), (8_000, 0, False)],
)
def test_a_density_is_contradicted_beyond_chance_alone(low, records, contradicts):
    """In a dense stretch and in a thin one, of 500 and 1,000 milliseconds: as dense as it is, and far from it."""
    rng = random.Random(3)
    times = crowd(rng, 1_000)
    subset = Subset(0, 10_000, draw(rng, times, 0, 10_000), counted=300, shown=30)
    assert subset.contradicts(records, low, low + 500 if low < 8_000 else 9_000) is contradicts


def test_the_sample_of_a_window_begins_with_what_the_one_around_it_shows():
    """It is dropped once its window is read, or another subset of as much and more is drawn."""
    rng = random.Random(4)
    times = crowd(rng, 4_000)
    subsets = Subsets()
    outer = subsets.add(0, 10_000, draw(rng, times, 0, 10_000))
    subsets.learn_whole(4_200, 10_000, between(times, 4_200, 10_000))
    inner = subsets.add(3_000, 4_200, draw(rng, times, 3_000, 4_200))
    assert inner.weight == pytest.approx(len(between(times, 3_000, 4_200)) / CAP, rel=0.4)
    assert subsets.innermost(4_200) is inner
    wider = subsets.add(2_000, 4_200, draw(rng, times, 2_000, 4_200))
    assert subsets.innermost(4_200) is wider
    assert subsets.innermost(2_000) is outer


def test_a_copy_learns_by_itself():
    subsets = Subsets()
    subset = subsets.add(0, 100, list(range(0, 100, 10)))
    copied = subsets.copy()
    copied.learn_whole(50, 100, list(range(50, 100)))
    assert copied.innermost(50).weight == 10
    assert subset.weight is None
