"""The key of the hashes is masked by Airflow's own masker, from a variable and from a connection."""

from __future__ import annotations

import json
import sys

import pytest

from airflow_provider_capillary.redaction.key import load_key
from airflow_provider_capillary.redaction.rules import KeyReference

KEY = "canary-of-the-redaction-key"


@pytest.fixture(autouse=True)
def masker(monkeypatch):
    """Airflow's own, as it is in a process that has just started."""
    from airflow.providers.common.compat import sdk

    modules = [sys.modules[name] for name in (sdk.mask_secret.__module__, sdk.redact.__module__)]
    own = next(module._secrets_masker() for module in modules if hasattr(module, "_secrets_masker"))
    monkeypatch.setattr(own, "patterns", set())
    monkeypatch.setattr(own, "replacer", None)


@pytest.mark.parametrize("kind", ["variable", "connection"])
def test_the_key_is_masked(monkeypatch, kind):
    from airflow.providers.common.compat.sdk import redact

    monkeypatch.setenv("AIRFLOW_VAR_HASHES", f"{KEY}\n")
    monkeypatch.setenv("AIRFLOW_CONN_HASHES", json.dumps({"conn_type": "generic", "password": KEY}))
    assert KEY in str(redact(f"with {KEY}."))
    assert load_key(KeyReference(kind, "hashes")) == KEY.encode()
    assert KEY not in str(redact(f"with {KEY}."))
