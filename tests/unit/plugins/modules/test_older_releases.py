"""Every option of a plan that MTV 2.8 does not have, also of single VMs: told with the release that has it, and nothing is written."""

from __future__ import annotations

import re

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils import plan_spec
from ansible_collections.vmshift.mtv.plugins.module_utils.releases import since

from . import test_plan_module

world = test_plan_module.world

#: What cannot be had from its type: the value of an option, and more options that go with it.
VALUES = {
    "tag_mapping": {"disabled": True},
    "type": "warm",
    "target_affinity": {"nodeAffinity": {}},
    "convertor_affinity": {"nodeAffinity": {}},
    "conversion_temp_storage_size": "10Gi",
    "target_power_state": "on",
    "customization_scripts": "scripts",
    "virt_v2v_image": "registry.example/virt-v2v:1",
    "target_labels": {"a": "b"},
    "convertor_labels": {"a": "b"},
    "target_node_selector": {"a": "b"},
    "convertor_node_selector": {"a": "b"},
}
TOGETHER = {"conversion_temp_storage_class": "sc", "conversion_temp_storage_size": "10Gi"}


def camel(option: str) -> str:
    first, *rest = option.split("_")
    return first + "".join(word.capitalize() for word in rest)


def newer(options: dict, prefix: str = "") -> dict[str, str]:
    """Option -> the release that has it, of those that MTV 2.8 does not have."""
    known = {path.lower(): release for path, release in since("Plan").items()}
    found = {option: known.get(f"{prefix}{camel(option)}".lower()) for option in options}
    return {option: release for option, release in found.items() if release}


def value_of(option: str, argument: dict) -> object:
    return VALUES.get(option, {"bool": True, "str": "some"}.get(argument["type"]))


PLAN, VM = newer(plan_spec.PLAN_OPTIONS), newer(plan_spec.VM_OPTIONS, "vms[].")


def test_every_newer_field_of_a_plan_is_an_option() -> None:
    told = {camel(option).lower() for option in PLAN} | {f"vms[].{camel(option)}".lower() for option in VM}
    assert {path.lower() for path in since("Plan") if "=" not in path} - told == set()


@pytest.mark.mtv("2.8")
def test_each_is_refused_with_its_release(world, run) -> None:
    world.make("ConfigMap", "scripts", "mig", "v1")
    for option, release in PLAN.items():
        more = TOGETHER if option in TOGETHER else {}
        failed = run("plan", **{**test_plan_module.GIVEN, **more, option: value_of(option, plan_spec.PLAN_OPTIONS[option])})
        assert_told("|".join(TOGETHER) if option in TOGETHER else option, release, failed)
    for option, release in VM.items():
        vm = {"name": "app", option: value_of(option, plan_spec.VM_OPTIONS[option])}
        assert_told(rf"vms\[\]\.{option}", release, run("plan", **{**test_plan_module.GIVEN, "vms": [vm]}))
    assert world.do("list", "Plan") == []


def assert_told(option: str, release: str, failed: dict) -> None:
    said = rf"({option}): the MTV of this cluster does not know this option; MTV {re.escape(release)} and newer( \(not [^)]+\))? do\."
    assert re.fullmatch(said, failed.get("msg", "")), (option, failed)
