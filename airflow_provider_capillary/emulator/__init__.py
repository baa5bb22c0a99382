"""A stand-in for Capillary's ``GET /v2/events/logs``: for the quick start, and for tests without a Capillary account.

From the shell: ``python -m airflow_provider_capillary.emulator``. In a test: ``with Emulator(events=500) as api``. Without
HTTP: ``FakeApi(records).answer(params)``. It needs neither Airflow nor any extra.

It is no copy of Capillary's server, which the documentation describes only in part. What the documentation says is
fixed; what it leaves open is an option (:class:`ServerOptions`), so that a client can be tried against all of it.
"""

from __future__ import annotations

from airflow_provider_capillary.emulator.api import Emulator
from airflow_provider_capillary.emulator.data import documented_records, synthetic_records
from airflow_provider_capillary.emulator.fake_api import FakeApi, FakeResponse
from airflow_provider_capillary.emulator.faults import FAULTS, FaultRule, FaultSettings
from airflow_provider_capillary.emulator.options import Late, ServerOptions
from airflow_provider_capillary.emulator.server import Seen

__all__ = [
    "FAULTS",
    "Emulator",
    "FakeApi",
    "FakeResponse",
    "FaultRule",
    "FaultSettings",
    "Late",
    "Seen",
    "ServerOptions",
    "documented_records",
    "synthetic_records",
]
