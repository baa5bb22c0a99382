"""Which failed poll is repeated at once, and that the sensor and the shared poller both do what the table says."""

from __future__ import annotations

import asyncio
import time

import pytest
from triggers.support import now

from airflow_provider_capillary import errors
from airflow_provider_capillary.polling import failed_poll
from airflow_provider_capillary.polling.failed_poll import NextStep, next_step
from airflow_provider_capillary.polling.filters import EventFilter
from airflow_provider_capillary.polling.poll_state import PollState
from airflow_provider_capillary.polling.watermark import Watermark
from airflow_provider_capillary.sensors.capillary import CapillaryEventStatusSensor
from airflow_provider_capillary.triggers import _shared_poller

# Each row: an error, and what happens when the same poll raises it for the first time, the second time and the third time.
RECALIBRATE, REPEAT, RAISE = NextStep
TABLE = {
    errors.CalibrationError: [RECALIBRATE, RAISE, RAISE],
    errors.TieError: [RECALIBRATE, RAISE, RAISE],
    errors.ContinuityError: [REPEAT, REPEAT, RAISE],
    errors.ServerError: [RAISE, RAISE, RAISE],
    errors.ThrottledError: [RAISE, RAISE, RAISE],
    errors.TransportError: [RAISE, RAISE, RAISE],
    errors.MalformedAnswerError: [RAISE, RAISE, RAISE],
    errors.AuthenticationError: [RAISE, RAISE, RAISE],
    errors.ConnectionSettingsError: [RAISE, RAISE, RAISE],
    errors.ReadingStoppedError: [RAISE, RAISE, RAISE],
}


@pytest.mark.parametrize("kind", TABLE)
def test_what_happens_after_a_failed_poll(kind):
    assert [next_step(kind("no"), repeats) for repeats in range(3)] == TABLE[kind]


class FailingHook:
    """A hook whose every read raises an error."""

    def __init__(self, error):
        self.error, self.reads, self.recalibrations = error, 0, 0

    def recalibrate(self):
        self.recalibrations += 1

    def iter_event_logs(self, *_args, **_options):
        self.reads += 1
        raise self.error

    async def read(self, *_args, **_options):
        self.iter_event_logs()
        yield []


def poll_of_sensor(hook, state):
    sensor = CapillaryEventStatusSensor(task_id="wait")
    sensor.__dict__["hook"] = hook
    sensor._poll(state)


def poll_of_poller(hook, state):
    asyncio.run(_shared_poller._poll_together(hook, [state]))


@pytest.mark.parametrize("driver", [poll_of_sensor, poll_of_poller])
@pytest.mark.parametrize("kind", TABLE)
def test_both_drivers_do_what_the_table_says(monkeypatch, driver, kind):
    monkeypatch.setattr(failed_poll, "REPEAT_DELAY", 0.05)
    hook, began = FailingHook(kind("no")), time.monotonic()
    state = PollState.begin(EventFilter(), Watermark.starting_at(now() - 1000))
    with pytest.raises(kind):
        driver(hook, state)
    before_the_last = TABLE[kind][: TABLE[kind].index(RAISE)]
    assert (hook.reads, hook.recalibrations) == (1 + len(before_the_last), before_the_last.count(RECALIBRATE))
    assert time.monotonic() - began >= 0.05 * len(before_the_last)
