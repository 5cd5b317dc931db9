"""Mistakes about which the real controllers say nothing (recorded): here each of them has a condition, which says where to look.

That the modules tell them before anything is written is tested in tests/unit/plugins/modules/test_silence.py.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.controllers import conversion_tools
from ansible_collections.vmshift.mtv.controlplane.controllers.host import HostReconciler
from ansible_collections.vmshift.mtv.controlplane.controllers.network_map import NetworkMapReconciler
from ansible_collections.vmshift.mtv.controlplane.controllers.plan import PlanReconciler
from ansible_collections.vmshift.mtv.controlplane.controllers.provider import ProviderReconciler
from ansible_collections.vmshift.mtv.controlplane.controllers.storage_map import StorageMapReconciler

Object = dict[str, Any]

VM = {"id": "vm-1", "name": "app", "uuid": "u", "networks": [], "nics": [], "disks": [], "concerns": []}
SECRET = {"name": "login", "namespace": "mig"}
HOST: Object = {"provider": {"name": "vc", "namespace": "mig"}, "id": "host-1", "ipAddress": "10.0.0.5", "secret": SECRET}
ENDS: Object = {"source": {"name": "src", "namespace": "mig"}, "destination": {"name": "host", "namespace": "konveyor-forklift"}}
MAPS: Object = {"network": {"name": "m", "namespace": "mig"}, "storage": {"name": "m", "namespace": "mig"}}
PLAN: Object = {"provider": ENDS, "map": MAPS, "targetNamespace": "target"}
ABSENT = {"name": "absent", "namespace": "mig"}
HOOK = {"step": "PreHook", "hook": ABSENT}
VCENTER: Object = {"type": "vsphere", "url": "https://vc/sdk", "secret": SECRET}
RECONCILERS = {"Provider": ProviderReconciler, "Host": HostReconciler, "Plan": PlanReconciler}


@pytest.fixture
def look(plane: Any, new_items: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """look(kind, spec) -> the conditions that an object of that spec gets, in a world where all else is well."""
    monkeypatch.setattr(conversion_tools.tools, "missing", lambda names: [])
    plane.namespace("mig", "target")
    plane.create("Secret", "mig", "login", stringData={"password": "x"})
    plane.host()
    plane.provider("mig", "src", "ova", new_items({"vms": [VM]}), url="s:/e")
    plane.provider("mig", "vc", "vsphere", new_items({"hosts": [{"id": "host-1", "name": "esx", "status": "green"}]}))
    for kind, reconciler in (("NetworkMap", NetworkMapReconciler), ("StorageMap", StorageMapReconciler)):
        plane.create(kind, "mig", "m", spec={"provider": ENDS, "map": []})
        asyncio.run(reconciler(plane.context).reconcile("mig", "m"))

    def conditions(kind: str, spec: Object) -> list[Object]:
        plane.create(kind, "mig", "wrong", spec=spec)
        asyncio.run(RECONCILERS[kind](plane.context).reconcile("mig", "wrong"))
        return plane.conditions(kind, "mig", "wrong")

    return conditions


def test_all_else_is_well(look: Any) -> None:
    assert [c["type"] for c in look("Plan", {**PLAN, "vms": [{"name": "app"}]})] == ["Ready"]


@pytest.mark.parametrize(
    ("kind", "spec", "type", "reason", "message", "named"),
    [
        ("Provider", {**VCENTER, "secret": ABSENT}, "SecretNotValid", "NotFound", "The `secret` is not valid.", ""),
        ("Provider", {**VCENTER, "secret": {}}, "SecretNotValid", "NotSet", "The `secret` is not valid.", ""),
        ("Provider", {**VCENTER, "url": "https://[::1"}, "UrlNotValid", "Malformed", "The `url` is malformed: Invalid IPv6 URL", ""),
        ("Host", HOST, "SecretNotValid", "DataErr", "The `secret` missing required data.", "user"),
        ("Host", {**HOST, "provider": ENDS["source"]}, "TypeNotValid", "TypeErr", "Provider type not supported.", ""),
        ("Plan", {**PLAN, "vms": [{"name": "app"}, {"name": "absent"}]}, "VMNotFound", "NotFound", "VM not found.", "name:'absent'"),
        ("Plan", {**PLAN, "vms": [{"name": "app", "hooks": [HOOK]}]}, "HookNotValid", "NotFound", "Hook not found.", "Name:absent"),
    ],
)
def test_each_has_a_condition_here(look: Any, kind: str, spec: Object, type: str, reason: str, message: str, named: str) -> None:
    """`named`: what the items of the condition tell of."""
    found = look(kind, spec)
    assert "Ready" not in [c["type"] for c in found]
    [condition] = [c for c in found if c["type"] == type]
    assert (condition["category"], condition["reason"], condition["message"]) == ("Critical", reason, message)
    assert named in str(condition.get("items", ""))
