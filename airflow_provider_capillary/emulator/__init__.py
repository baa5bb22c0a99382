"""An emulator of Capillary's ``GET /v2/events/logs``: for the quick start, and for testing DAGs without a Capillary account.

In a test: ``with Emulator(events=500) as api``. From the shell: ``python -m airflow_provider_capillary.emulator``. Without
HTTP: ``FakeApi(records).answer(params)``. It needs neither Airflow nor any extra.

It is no copy of Capillary's server, which the documentation describes only in part. Where the documentation leaves a choice that
a DAG's test may depend on, the choice is an option (:class:`ServerOptions`).
"""

from __future__ import annotations

from airflow_provider_capillary.emulator.api import Emulator
from airflow_provider_capillary.emulator.data import documented_records, synthetic_records
from airflow_provider_capillary.emulator.fake_api import FakeApi, FakeResponse
from airflow_provider_capillary.emulator.faults import FAULTS, FaultRule, FaultSettings
from airflow_provider_capillary.emulator.options import ServerOptions
from airflow_provider_capillary.emulator.server import ReceivedRequest

__all__ = [
    "FAULTS",
    "Emulator",
    "FakeApi",
    "FakeResponse",
    "FaultRule",
    "FaultSettings",
    "ReceivedRequest",
    "ServerOptions",
    "documented_records",
    "synthetic_records",
]
