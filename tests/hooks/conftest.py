"""Fixtures of the hook's tests."""

from __future__ import annotations

import pytest
from hooks.support import Clock


@pytest.fixture
def clock(monkeypatch):
    """The driver's clock, moved by waiting alone."""
    made = Clock()
    monkeypatch.setattr("airflow_provider_capillary.hooks.capillary.time", made)
    return made
