"""Concerns about servers of OpenStack: which input raises which."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.concerns import rules_version, validate

PLAIN = MappingProxyType({"hw_disk_bus": "virtio", "hw_vif_model": "virtio"})


def ids(properties: Mapping[str, Any] | None = PLAIN, specs: dict[str, str] | None = None, **workload: Any) -> list[str]:
    image = {} if properties is None else {"properties": dict(properties)}
    whole = {"name": "web", "status": "ACTIVE", "image": image, "flavor": {"extraSpecs": specs or {}}, **workload}
    return [concern["id"].removeprefix("openstack.") for concern in validate("openstack", whole)["concerns"]]


@pytest.mark.parametrize(
    ("properties", "raised"),
    [
        ({}, []),
        ({"hw_boot_menu": "true"}, ["bios.boot_menu.enabled"]),
        ({"hw_boot_menu": "false"}, []),
        ({"hw_disk_bus": "ide"}, ["disk.unsupported_interface"]),
        ({"hw_disk_bus": None}, ["disk.unsupported_interface"]),
        ({"hw_vif_model": "VirtualVmxnet3"}, ["network.vif_model.unsupported"]),
        ({"os_secure_boot": "required"}, ["secure_boot.detected"]),
        ({"os_secure_boot": "optional"}, []),
        ({"hw_watchdog_action": "reset"}, ["watchdog.detected"]),
        ({"os_distro": "debian"}, []),
        ({"os_distro": "debian", "os_version": "12"}, ["os.unsupported"]),
        ({"os_distro": "rhel", "os_version": "9.4"}, []),
        ({"os_distro": "rhel", "os_version": "6.10"}, ["os.unsupported"]),
        ({"os_distro": "windows", "os_version": "2k19"}, []),
        ({"os_distro": "fedora", "os_version": "37"}, []),
        ({"os_distro": "fedora", "os_version": "40"}, ["os.unsupported"]),
    ],
)
def test_images(properties: dict[str, Any], raised: list[str]) -> None:
    assert ids({**PLAIN, **properties}) == raised


@pytest.mark.parametrize(
    ("specs", "raised"),
    [
        ({"quota:cpu_shares": "512"}, ["cpu.shares.defined"]),
        ({"pci_passthrough:alias": "gpu:1"}, ["host_devices.mapped"]),
        ({"hw:numa_nodes": "2"}, ["numa_tuning.detected"]),
        ({"hw:pci_numa_affinity_policy": "required"}, ["numa_tuning.detected"]),
        ({"os:secure_boot": "required"}, ["secure_boot.detected"]),
        ({"hw:watchdog_action": "reset"}, ["watchdog.detected"]),
    ],
)
def test_flavors(specs: dict[str, str], raised: list[str]) -> None:
    assert ids(specs=specs) == raised


@pytest.mark.parametrize(
    ("workload", "raised"),
    [
        ({"volumes": [{"status": "in-use", "size": 1}]}, []),
        ({"volumes": [{"status": "in-use", "size": 0, "name": "data"}]}, ["disk.capacity.invalid"]),
        ({"volumes": [{"status": "error", "size": 1}]}, ["disk.status.unsupported"]),
        ({"volumes": [{"size": 1}]}, ["disk.status.unsupported"]),
        ({"volumes": [{"status": "in-use", "size": 1, "attachments": [{}, {}]}]}, ["disk.shared.detected"]),
        ({"volumes": [{"status": "in-use", "size": 1}] * 165}, []),
        ({"volumes": [{"status": "in-use", "size": 1}] * 166}, ["disk.count.exceeds.limit"]),
        ({"volumes": None}, []),
        ({"addresses": {"a": [{"OS-EXT-IPS:type": "fixed"}], "b": [{"OS-EXT-IPS:type": "floating"}]}}, ["network.floating_ips.detected"]),
        ({"addresses": {"a": None}}, []),
        ({"status": "ERROR"}, ["vm.status.invalid"]),
        ({"status": "SHUTOFF"}, []),
        ({"status": None}, []),
        ({"name": "not_allowed"}, ["vm.name.invalid"]),
        ({"name": "x" * 64}, ["vm.name.invalid"]),
    ],
)
def test_servers(workload: dict[str, Any], raised: list[str]) -> None:
    assert ids(**workload) == raised


def test_an_image_that_says_nothing_raises_what_the_real_rules_do() -> None:
    assert ids(None) == ["disk.unsupported_interface", "network.vif_model.unsupported"]


def test_what_a_volume_is_called_is_told() -> None:
    answer = validate("openstack", {"name": "web", "volumes": [{"status": "in-use", "size": 0, "name": "data"}]})
    found = next(concern for concern in answer["concerns"] if concern["id"] == "openstack.disk.capacity.invalid")
    assert found["label"] == "Volume 'data' has an invalid size of 0 GB"
    assert found["category"] == "Critical"


def test_the_version_of_the_rules() -> None:
    assert rules_version("openstack") == 6
    assert validate("openstack", {"name": 5})["errors"] == ["No VM name found in input body"]
