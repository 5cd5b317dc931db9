"""Certificates and the kubeconfig."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from ansible_collections.vmshift.mtv.controlplane.apiserver import pki
from ansible_collections.vmshift.mtv.controlplane.state import State


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / "state")


def test_the_server_certificate_holds_for_loopback(state: State) -> None:
    made = pki.ensure_pki(state)
    ca = x509.load_pem_x509_certificate(made.ca_cert_path.read_bytes())
    server = x509.load_pem_x509_certificate(made.server_cert_path.read_bytes())
    verifier = PolicyBuilder().store(Store([ca])).build_server_verifier(x509.DNSName("localhost"))
    assert verifier.verify(server, [])[-1] == ca


def test_certificates_stay_until_they_run_out(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    first = pki.ensure_pki(state)
    before = (first.ca_cert_path.read_bytes(), first.server_cert_path.read_bytes())
    again = pki.ensure_pki(state)
    assert (again.ca_cert_path.read_bytes(), again.server_cert_path.read_bytes()) == before

    class Later(datetime):
        @classmethod
        def now(cls, tz: timezone | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(days=350)

    monkeypatch.setattr(pki, "datetime", Later)
    renewed = pki.ensure_pki(state)
    assert renewed.ca_cert_path.read_bytes() == before[0]  # clients go on trusting
    assert renewed.server_cert_path.read_bytes() != before[1]


def test_a_lost_key_is_replaced(state: State) -> None:
    made = pki.ensure_pki(state)
    made.server_key_path.unlink()
    pki.ensure_pki(state).server_context()
    (state.pki / "ca.key").unlink()
    pki.ensure_pki(state).server_context()


def test_everything_is_private(state: State) -> None:
    pki.ensure_pki(state)
    pki.write_kubeconfig(state, "https://127.0.0.1:1", "t")
    for path in (*state.pki.iterdir(), state.kubeconfig, state.root):
        assert path.stat().st_mode & 0o077 == 0, path


def test_the_kubeconfig_stands_alone(state: State) -> None:
    pki.ensure_pki(state)
    os.umask(0o022)
    pki.write_kubeconfig(state, "https://127.0.0.1:6443", "secret")
    config = yaml.safe_load(state.kubeconfig.read_text())
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:6443"
    assert config["users"][0]["user"] == {"token": "secret"}
    assert config["current-context"] == config["contexts"][0]["name"]
    pki.write_kubeconfig(state, "https://127.0.0.1:7", "secret")
    assert "https://127.0.0.1:7" in state.kubeconfig.read_text()
