"""The host module through a proxy that loses answers and breaks connections, at each of its requests.

The other modules are tried so against a whole control plane (tests/integration/test_api_faults.py), which has no ESXi hosts.
"""

from __future__ import annotations

from pathlib import Path

import fault_proxy
import pytest
from fault_proxy import WRITES, PlaneProxy

from ansible_collections.vmshift.mtv.plugins.module_utils import connection

ESX = {"id": "host-23", "name": "esx1", "path": "/DC/host/C/esx1", "networkAdapters": [{"name": "M", "ipAddress": "10.0.0.1"}]}
GIVEN = {"provider": "vc", "hosts": [{"name": "esx1"}], "secret": {"user": "root", "password": "hush-hush"}, "wait": False}
FAULTS = {
    "429": fault_proxy.busy,
    "500": fault_proxy.internal_error,
    "reset": fault_proxy.reset_before,
    "500 after acting": fault_proxy.internal_error_after,
    "reset after acting": fault_proxy.reset_after,
    "reset in the answer": fault_proxy.reset_midway,
}


@pytest.fixture
def proxy(plane, tmp_path, monkeypatch):
    monkeypatch.setattr(connection.time, "sleep", lambda seconds: None)
    kubeconfig = Path(plane.kubeconfig)
    with PlaneProxy(kubeconfig, kubeconfig.parent / "pki", tmp_path) as found:
        yield found


@pytest.fixture
def namespace(plane, conditions_of_status):
    """A function that makes a namespace with a vCenter that is ready."""
    made = []

    def make():
        name = f"n{len(made)}"
        made.append(name)
        plane.make("Namespace", name, "", "v1")
        plane.make("Secret", "vc", name, "v1", data={"user": "dQ==", "password": "cA==", "insecureSkipVerify": "dHJ1ZQ=="})
        provider = plane.provider("vc", "vsphere", name, url="https://vc/sdk", secret={"name": "vc", "namespace": name})
        plane.do("update_status", {**provider, "status": conditions_of_status(provider, "Ready")})
        plane.inventory[f"providers/vsphere/{provider['metadata']['uid']}/hosts"] = [ESX]
        return name

    return make


def shown(plane, name):
    found = [(kind, obj) for kind in ("Host", "Secret") for obj in plane.do("list", kind, name)]
    return [(kind, obj["metadata"]["name"], str(obj.get("spec") or obj.get("data")).replace(name, "ns")) for kind, obj in found]


@pytest.mark.parametrize("state", ["present", "absent"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_any_request_is_weathered(fault, state, plane, run, proxy, namespace):
    def task(name):
        if state == "absent":
            assert run("host", namespace=name, **GIVEN)["changed"]
        return lambda: run("host", namespace=name, kubeconfig=str(proxy.kubeconfig), **{**GIVEN, "state": state})

    undisturbed = namespace()
    ready = task(undisturbed)
    proxy.disarm()
    assert ready()["changed"]
    requests, expected = proxy.seen, shown(plane, undisturbed)
    assert any(request.method in WRITES for request in requests)
    for at in range(len(requests)):
        name = namespace()
        ready = task(name)
        proxy.arm(FAULTS[fault], at)
        result = ready()
        assert proxy.faulted
        assert result.get("changed"), (at, proxy.seen, result)
        assert shown(plane, name) == expected
        proxy.disarm()
