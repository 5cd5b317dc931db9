"""Names: DNS-1123, sanitising, uniqueness, names from templates."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.vmshift.mtv.plugins.module_utils import naming

LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")


@pytest.mark.parametrize(
    ("name", "label", "subdomain"),
    [
        ("web-1", True, True),
        ("web.example", False, True),
        ("a" * 63, True, True),
        ("a" * 64, False, True),
        ("a." * 126 + "a", False, True),
        ("a." * 127 + "a", False, False),
        ("", False, False),
        ("-a", False, False),
        ("a-", False, False),
        ("a..b", False, False),
        ("Web", False, False),
        ("a_b", False, False),
        ("a\n", False, False),
        ("ä", False, False),
    ],
)
def test_dns1123(name: str, label: bool, subdomain: bool) -> None:
    assert naming.is_dns1123_label(name) is label
    assert naming.is_dns1123_subdomain(name) is subdomain


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("Win 2019_SRV", "win-2019-srv"),
        ("a+b*c/d\\e", "a-b-c-d-e"),
        ("..db.Example..COM-", "db.example.com"),
        ("a__--__b", "a-b"),
        ("vm (copy)!", "vm-copy"),
        ("x" * 80, "x" * 63),
        ("x" * 62 + "-y", "x" * 62),
        ("Ärger", "rger"),
        ("日本", ""),
    ],
)
def test_sanitized(source: str, name: str) -> None:
    assert naming.sanitized(source) == name


def test_vm_name_keeps_what_is_valid_and_free() -> None:
    assert naming.vm_name("db.example", ()) == "db.example"
    assert naming.vm_name("DB Example", {"other"}) == "db-example"


def test_vm_name_out_of_nothing_is_random() -> None:
    assert naming.vm_name("日本", (), suffix=lambda: "ab12") == "vm-ab12"


def test_vm_name_that_is_taken_gets_a_suffix_within_63_characters() -> None:
    assert naming.vm_name("web", {"web"}, suffix=lambda: "ab12") == "web-ab12"
    assert naming.vm_name("w" * 63, {"w" * 63}, suffix=lambda: "ab12") == "w" * 58 + "-ab12"


def test_vm_name_tries_until_the_suffix_is_free() -> None:
    suffixes = iter(["aaaa", "bbbb"])
    assert naming.vm_name("web", {"web", "web-aaaa"}, suffix=lambda: next(suffixes)) == "web-bbbb"


@given(st.text(max_size=100), st.sets(st.text(max_size=10)))
def test_vm_name_is_always_valid_and_free(source: str, taken: set[str]) -> None:
    name = naming.vm_name(source, taken)
    assert naming.is_dns1123_subdomain(name)
    assert name not in taken
    assert name == source or len(name) <= 63


@given(st.text(max_size=100))
def test_sanitized_is_valid_or_empty_and_stable(source: str) -> None:
    name = naming.sanitized(source)
    assert name == "" or naming.is_dns1123_subdomain(name)
    assert naming.sanitized(name) == name


@pytest.mark.parametrize(
    ("vm_id", "source", "target", "name"),
    [
        ("vm-1", "web", "", "web"),
        ("vm-1", "Web.Example", "", "web-example"),
        ("vm-1", "web", "shop.example", "shop-example"),
        ("VM_1", "日本", "", "vm-1"),
        ("日", "本", "", "vm-0000"),
    ],
)
def test_template_vm_name(vm_id: str, source: str, target: str, name: str) -> None:
    assert naming.template_vm_name(vm_id, source, target) == name


def test_built_in_pvc_template() -> None:
    values = {"PlanName": "a-plan-with-a-long-name", "TargetVmName": "web", "DiskIndex": 3}
    assert naming.pvc_name(naming.PVC_TEMPLATE, values) == "a-plan-with-a-l-web-disk-3"


@given(st.from_regex(LABEL, fullmatch=True), st.from_regex(LABEL, fullmatch=True), st.integers(0, 200))
def test_built_in_pvc_template_always_leaves_room_for_a_generated_suffix(plan: str, vm: str, disk: int) -> None:
    name = naming.pvc_name(naming.PVC_TEMPLATE, {"PlanName": plan, "TargetVmName": vm, "DiskIndex": disk})
    assert LABEL.match(name) and len(name) <= 63 - 6


def test_fields_of_other_sources_are_empty_not_unknown() -> None:
    assert naming.pvc_name("x{{.FileName}}{{.RootDiskIndex}}", {}) == "x0"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{if .Shared}}x{{end}}", "Template output is empty"),
        ("Disk_{{.DiskIndex}}", r"Template output is invalid k8s label \[Disk_0\]"),
        ("{{.NoSuchField}}", "can't evaluate field NoSuchField; known: DiskId, DiskIndex,"),
        ("{{.PlanName", "unclosed action"),
    ],
)
def test_names_that_cannot_be_used(template: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        naming.pvc_name(template, {})
