"""A server of any kind that fails 15 % of its requests, now in this way, now in that, is read in full through either driver."""

from __future__ import annotations

import random

import pytest
from faults.bench import DRIVERS, Bench
from faults.checker import check_end

KINDS = ["http_500", "http_502", "http_503", "throttled_seconds", "throttled_absent", "reset_before_headers", "reset_in_headers"]
KINDS += ["reset_in_body", "cut_json", "truncated_gzip", "length_too_long"]


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("seed", range(40))
def test_an_unreliable_server_is_read_in_full(monkeypatch, store, caplog, seed, driver):
    chance = random.Random(seed)

    def fault(number, _params):
        lot = random.Random(f"{seed}/{number}")
        return lot.choice(KINDS) if lot.random() < 0.15 else None

    world = {
        "events": chance.randrange(0, 120),
        "seed": seed,
        "limit_cap": chance.choice([None, 20, 40]),
        "over_limit": chance.choice(["clamp", "refuse"]),
        "precision": chance.choice(["ms", "s"]),
        "faults": fault,
    }
    seen = Bench(monkeypatch, store, driver=driver, world=world, date_format=chance.choice(["auto", "iso"])).run()
    failed = [each.fault for each in seen.arrived if each.fault]
    assert failed == [fault(number, {}) for number in range(1, len(seen.arrived) + 1) if fault(number, {})]
    seen.log = caplog.text
    check_end(seen, survives=True, writes=driver == "task")
