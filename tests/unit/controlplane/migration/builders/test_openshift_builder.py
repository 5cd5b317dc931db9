from __future__ import annotations

import copy
from types import MappingProxyType
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.migration.builders import openshift as builder

LABELS = {"migration": "m", "vmID": "u"}
POD = MappingProxyType({"type": "pod"})
NAD = MappingProxyType({"type": "multus", "namespace": "tgt", "name": "vlan-7"})


def machine(**guest: Any) -> Any:
    devices = {
        "disks": [{"name": "root", "disk": {"bus": "virtio"}}, {"name": "setup", "disk": {"bus": "virtio"}}],
        "interfaces": [
            {"name": "default", "masquerade": {}, "macAddress": "02:00:00:00:00:01"},
            {"name": "second", "bridge": {}, "macAddress": "02:00:00:00:00:02"},
        ],
    }
    template = {
        "domain": {"cpu": {"cores": 2}, "memory": {"guest": "2Gi"}, "devices": devices},
        "networks": [{"name": "default", "pod": {}}, {"name": "second", "multus": {"networkName": "vlan"}}],
        "volumes": [
            {"name": "root", "dataVolume": {"name": "web-root"}},
            {"name": "setup", "cloudInitNoCloud": {"secretRef": {"name": "setup"}, "networkDataSecretRef": {"name": "nets"}}},
        ],
        **guest,
    }
    made = {"metadata": {"labels": {"app": "web"}, "creationTimestamp": None}, "spec": template}
    return {"metadata": {"name": "web", "namespace": "src"}, "spec": {"runStrategy": "Halted", "template": made}}


def plan(**spec: Any) -> Any:
    return {"spec": {"targetNamespace": "tgt", **spec}}


def build(source: Any = None, status: Any = None, pod: Any = POD, nad: Any = NAD, claims: Any = None, **spec: Any) -> Any:
    return builder.virtual_machine(
        source or machine(),
        plan(**spec),
        {"id": "u", **(status or {})},
        destination=lambda network: pod if "pod" in network else nad,
        claims={"web-root": "web-root"} if claims is None else claims,
        labels=LABELS,
    )


def test_it_is_the_source_vm_with_its_disks_as_claims_and_its_networks_mapped():
    source = machine()
    before = copy.deepcopy(source)
    built = build(source)
    assert source == before
    guest, original = built["spec"]["template"]["spec"], before["spec"]["template"]["spec"]
    assert guest["domain"] == original["domain"]
    assert guest["volumes"] == [{"name": "root", "persistentVolumeClaim": {"claimName": "web-root"}}, original["volumes"][1]]
    assert guest["networks"] == [{"name": "default", "pod": {}}, {"name": "second", "multus": {"networkName": "tgt/vlan-7"}}]
    assert built["metadata"] == {"name": "web", "namespace": "tgt", "labels": LABELS}
    assert built["spec"]["template"]["metadata"] == {"labels": {"app": "web"}}
    assert set(built["spec"]) == {"runStrategy", "template"}


@pytest.mark.parametrize(
    ("wanted", "before", "strategy"), [(None, "On", "Always"), (None, "Off", "Halted"), ("on", "Off", "Always"), ("off", "On", "Halted")]
)
def test_power(wanted, before, strategy):
    assert build(status={"restorePowerState": before, "targetPowerState": wanted})["spec"]["runStrategy"] == strategy


def test_another_name_and_where_it_is_to_run():
    built = build(status={"newName": "shop"}, targetLabels={"tier": "web"}, targetNodeSelector={"zone": "a"})
    assert built["metadata"]["annotations"] == {"openshift.io/display-name": "web", "original-ID": "u"}
    assert built["spec"]["template"]["metadata"]["labels"] == {"app": "web", "tier": "web"}
    assert built["spec"]["template"]["spec"]["nodeSelector"] == {"zone": "a"}


def test_ignored_networks_have_no_nic():
    guest = build(nad={"type": "ignored"})["spec"]["template"]["spec"]
    assert [network["name"] for network in guest["networks"]] == ["default"]
    assert [interface["name"] for interface in guest["domain"]["devices"]["interfaces"]] == ["default"]
    assert builder.dropped(machine(), lambda network: POD if "pod" in network else {"type": "ignored"}) == []


def test_a_nic_that_would_change_its_kind_of_network_is_left_out_and_told_of():
    guest = build(pod=NAD, nad=POD)["spec"]["template"]["spec"]
    assert (guest["networks"], guest["domain"]["devices"]["interfaces"]) == ([], [])
    told = builder.dropped(machine(), lambda network: NAD if "pod" in network else POD)
    assert told == [
        'The NIC "default" is left out: MTV does not map the pod network to the NAD tgt/vlan-7 for VMs of OpenShift.',
        'The NIC "second" is left out: MTV does not map the NAD vlan to the pod network for VMs of OpenShift.',
    ]


def test_what_is_not_mapped_is_an_error():
    with pytest.raises(ValueError, match='no entry for the network "second" \\(the NAD vlan\\)'):
        build(nad=None)
    with pytest.raises(ValueError, match="Disk web-root has no PersistentVolumeClaim"):
        build(claims={})


def test_a_preference_stays_and_an_instance_type_of_the_plan_wins():
    source = machine()
    source["spec"]["preference"] = {"name": "fedora"}
    built = builder.virtual_machine(
        source,
        plan(),
        {"id": "u"},
        destination=lambda network: POD if "pod" in network else NAD,
        claims={"web-root": "x"},
        labels=LABELS,
        instance_type={"kind": "VirtualMachineClusterInstancetype", "name": "large"},
    )
    assert built["spec"]["preference"] == {"name": "fedora"}
    assert built["spec"]["instancetype"]["name"] == "large"
    assert set(built["spec"]["template"]["spec"]["domain"]) == {"devices"}


def test_what_a_vm_needs_beside_its_disks():
    volumes = [
        {"name": "a", "configMap": {"name": "settings"}},
        {"name": "b", "secret": {"secretName": "key"}},
        {"name": "c", "sysprep": {"configMap": {"name": "unattend"}}},
        {"name": "d", "cloudInitConfigDrive": {"userData": "#cloud-config", "secretRef": {"name": "setup"}}},
        {"name": "e", "secret": {"secretName": "key"}},
    ]
    credentials = [
        {"sshPublicKey": {"source": {"secret": {"secretName": "ssh"}}, "propagationMethod": {"qemuGuestAgent": {}}}},
        {"userPassword": {"source": {"secret": {"secretName": "words"}}}},
    ]
    assert builder.belongings(machine(volumes=volumes, accessCredentials=credentials)) == [
        ("ConfigMap", "settings"),
        ("Secret", "key"),
        ("ConfigMap", "unattend"),
        ("Secret", "setup"),
        ("Secret", "ssh"),
        ("Secret", "words"),
    ]
    assert builder.belongings(machine()) == [("Secret", "setup"), ("Secret", "nets")]
    assert builder.claims(machine()) == ["web-root"]
