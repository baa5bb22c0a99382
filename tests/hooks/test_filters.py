"""What is said where filters keep nothing of what was read."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hooks.support import hook_of, read

from airflow_provider_capillary.api.event_logs import EventLogs
from airflow_provider_capillary.emulator import Emulator
from airflow_provider_capillary.hooks._filters import Tally, name_is_unknown
from airflow_provider_capillary.hooks.capillary import CapillaryHook


def record(name, status, **fields):
    return {"id": "a", "startTime": 1, "eventName": name, "status": status} | fields


READ = [
    *[record("Transaction_Add", "EVENT_SUCCESS", inputRequest="private")] * 3,
    record("Customer_Update", "EMF_PROCESSOR_FAILED", message="private"),
    record(None, None),
    record(["private"], {"x": 1}),
]
NAMES = "the names were 'Transaction_Add' (3), '(no eventName)' (2), 'Customer_Update' (1)"
STATUSES = "the statuses were 'EVENT_SUCCESS' (3), 'EMF_PROCESSOR_FAILED' (1), 'NO_STATUS' (1), '{\"x\":1}' (1)"

# The filters, how many records they keep, and what is said.
FILTERS = {
    "a name misspelt": ("Transaction_Ad", None, 0, f"event_name='Transaction_Ad'; {NAMES} (did you mean 'Transaction_Add'?)."),
    "a name in another case": ("customer_UPDATE", None, 0, f"{NAMES} (did you mean 'Customer_Update'?)."),
    "a name like none": ("Points_Redeemed", None, 0, f"event_name='Points_Redeemed'; {NAMES}."),
    "a status misspelt": (None, {"EMF_PROCESOR_FAILED"}, 0, f"{STATUSES} (did you mean 'EMF_PROCESSOR_FAILED'?)."),
    "a status in another case": (None, {"event_success", "Z"}, 0, f"statuses=['Z', 'event_success']; {STATUSES} (did you mean 'EVENT_"),
    "a status that was not there": (None, {"PARTNER_TIMEOUT"}, 0, f"statuses=['PARTNER_TIMEOUT']; {STATUSES}."),
    "both there, and never together": (
        "Customer_Update",
        {"EVENT_SUCCESS"},
        0,
        f"{NAMES}. And for statuses=['EVENT_SUCCESS']; {STATUSES}.",
    ),
    "something was kept": ("Transaction_Add", {"EVENT_SUCCESS", "NONE"}, 3, None),
    "no filter": (None, None, 6, None),
}


@pytest.mark.parametrize("name", FILTERS)
def test_where_nothing_was_kept_it_is_said_what_there_was(name):
    event_name, statuses, kept, said = FILTERS[name]
    tally = Tally(event_name, statuses)
    assert len(tally.kept_of(EventLogs.of(READ))) == tally.kept == kept
    assert tally.read == 6
    why = tally.why_nothing_was_kept()
    if said is None:
        assert why is None
        return
    assert why.startswith("None of 6 event logs was kept. Asked for ")
    assert said in why
    assert "private" not in why


def test_nothing_is_said_where_nothing_was_read():
    assert Tally("x", {"y"}).why_nothing_was_kept() is None


def test_what_is_said_is_bounded_whatever_a_server_writes_into_the_fields():
    tally = Tally("x\n" * 1_000, {"y" * 1_000 + str(number) for number in range(50)})
    for number in range(10_000):
        tally.kept_of(EventLogs.of([record(f"{number}\n" * 500, f"{number}-" + "\u202e" * 500)]))
    why = tally.why_nothing_was_kept()
    assert len(why) < 2_500
    assert why.isascii()
    assert why.isprintable()
    assert "and 190 more" in why
    assert len(tally._names) == len(tally._statuses) == 200


def test_a_name_that_the_newest_event_logs_lack_is_named_with_theirs():
    why = name_is_unknown("Transaction_Ad", READ)
    assert "event_name='Transaction_Ad', and none of its newest 6 has that name: theirs are 'Transaction_Add' (3)" in why
    assert why.endswith(" (did you mean 'Transaction_Add'?).")
    assert name_is_unknown("Customer_Update", READ) is None
    assert name_is_unknown("Customer_Update", []) is None


def test_an_unknown_name_costs_one_request_even_where_the_limit_is_refused(monkeypatch, clock):
    warned = []
    log = SimpleNamespace(info=lambda *_: None, warning=lambda text, *values: warned.append(text % values))
    monkeypatch.setattr(CapillaryHook, "log", log)
    with Emulator(events=600, limit_cap=50, over_limit="refuse") as api:
        assert read(hook_of(monkeypatch, api), event_name="Transaction_Ad").error is None
        last = [dict(request.params) for request in api.requests][-2:]
    assert "from_date" in last[0]
    assert last[1] == {"limit": "50"}
    assert "none of its newest 50 has that name" in "".join(warned)
