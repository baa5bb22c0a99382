"""Fixtures of the hook's tests."""

from __future__ import annotations

import ssl
import subprocess

import pytest
from hooks.support import Clock


@pytest.fixture
def clock(monkeypatch):
    """The driver's clock, moved by waiting alone."""
    made = Clock()
    for module in ("_driver", "capillary"):
        monkeypatch.setattr(f"airflow_provider_capillary.hooks.{module}.time", made)
    return made


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 and nobody else, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=test",
    ]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context, str(cert)
