"""Concerns about VMs from OVA files: which input raises which."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.concerns import rules_version, validate


def ids(**workload: Any) -> list[str]:
    return [concern["id"] for concern in validate("ova", {"name": "web", **workload})["concerns"]]


@pytest.mark.parametrize(
    ("workload", "raised"),
    [
        ({}, []),
        ({"cpuAffinity": [0]}, ["ova.cpu_affinity.detected"]),
        ({"cpuAffinity": []}, []),
        ({"cpuAffinity": None}, []),
        ({"cpuHotAddEnabled": True}, ["ova.cpu_memory.hotplug.enabled"]),
        ({"cpuHotRemoveEnabled": True}, ["ova.cpu_memory.hotplug.enabled"]),
        ({"memoryHotAddEnabled": True, "cpuHotAddEnabled": True}, ["ova.cpu_memory.hotplug.enabled"]),
        ({"memoryHotAddEnabled": False}, []),
        ({"disks": [{}] * 165}, []),
        ({"disks": [{}] * 166}, ["ova.disk.count.exceeds.limit"]),
        ({"name": "Web.01-x"}, []),
        ({"name": ""}, []),
        ({"name": "a" * 63}, []),
        ({"name": "a" * 64}, ["ova.name.invalid"]),
        ({"name": "my vm"}, ["ova.name.invalid"]),
        ({"name": "-web"}, ["ova.name.invalid"]),
        ({"name": "web\n"}, ["ova.name.invalid"]),
        ({"name": "my vm", "cpuAffinity": [1]}, ["ova.cpu_affinity.detected", "ova.name.invalid"]),
    ],
)
def test_what_is_raised(workload: dict[str, Any], raised: list[str]) -> None:
    assert ids(**workload) == raised


def test_rules_that_never_fire_in_the_real_service() -> None:
    assert ids(disks=[{"Capacity": 0, "FilePath": "/ova/web.ova"}], exportSource="VirtualBox") == []


def test_every_concern_is_complete() -> None:
    workload = {"name": "my vm", "cpuAffinity": [1], "cpuHotAddEnabled": True, "disks": [{}] * 200}
    concerns = validate("ova", workload)["concerns"]
    assert len(concerns) == 4
    for concern in concerns:
        assert concern.keys() == {"id", "category", "label", "assessment"}
        assert concern["category"] == "Warning" and concern["label"] and concern["assessment"].endswith(".")
    assert "VM has 200 disks, which exceeds the limit of 165" in [concern["label"] for concern in concerns]


@pytest.mark.parametrize("workload", [{}, {"name": None}, {"name": 7}])
def test_workload_without_a_name(workload: dict[str, Any]) -> None:
    assert validate("ova", workload) == {"rules_version": 5, "concerns": [], "errors": ["No VM name found in input body"]}


def test_types_without_rules() -> None:
    assert rules_version("ova") == 5
    assert (rules_version("openshift"), validate("openshift", {})) == (0, {"rules_version": 0, "concerns": [], "errors": []})
