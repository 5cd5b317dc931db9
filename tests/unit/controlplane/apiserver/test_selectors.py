"""Selectors, as kubectl writes them."""

from __future__ import annotations

import pytest

from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError
from ansible_collections.vmshift.mtv.controlplane.apiserver.selectors import parse_fields, parse_labels
from ansible_collections.vmshift.mtv.controlplane.apiserver.store import Record

OBJECTS = {
    "a": {"app": "a", "tier": "web"},
    "b": {"app": "b"},
    "none": {},
    "n": {"count": "7"},
}


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("", {"a", "b", "none", "n"}),
        ("app=a", {"a"}),
        ("app==a", {"a"}),
        ("app!=a", {"b", "none", "n"}),
        ("app in (a, b)", {"a", "b"}),
        ("app notin (a,b)", {"none", "n"}),
        ("app", {"a", "b"}),
        ("!app", {"none", "n"}),
        ("app,tier=web", {"a"}),
        ("app in (a,b),tier notin (web),!count", {"b"}),
        ("count>5", {"n"}),
        ("count<5", set()),
        ("forklift.konveyor.io/x=", set()),
    ],
)
def test_label_selectors_choose(selector: str, names: set[str]) -> None:
    parsed = parse_labels(selector)
    assert {name for name, labels in OBJECTS.items() if parsed.matches(labels)} == names


@pytest.mark.parametrize("selector", ["==x", "a=b=c", "app in a", "app in (a", "!", "a b", "-a=b", "a=b c", "a>x", ",", "a=b,"])
def test_bad_label_selectors_are_refused(selector: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_labels(selector)
    assert refused.value.code == 400


def pod(name: str, phase: str) -> Record:
    meta = {"name": name, "namespace": "n", "uid": name, "resourceVersion": "1"}
    text = f'{{"metadata":{{"name":"{name}"}},"status":{{"phase":"{phase}"}},"spec":{{"hostNetwork":true}}}}'
    return Record.of("pods", {"kind": "Pod", "metadata": meta}, text)


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("metadata.name=a", {"a"}),
        ("metadata.name!=a", {"b"}),
        ("metadata.namespace=other", set()),
        ("status.phase=Running", {"b"}),
        ("status.phase!=Running,metadata.namespace=n", {"a"}),
        ("spec.hostNetwork=true", {"a", "b"}),
        ("spec.nodeName=", {"a", "b"}),
    ],
)
def test_field_selectors_choose(selector: str, names: set[str]) -> None:
    parsed = parse_fields(selector, "pods")
    assert {record.name for record in (pod("a", "Pending"), pod("b", "Running")) if parsed.matches(record)} == names


@pytest.mark.parametrize(
    ("selector", "resource"), [("spec.size=1", "widgets.x"), ("status.phase=Running", "configmaps"), ("nonsense", "pods")]
)
def test_fields_that_are_not_selectable_are_refused(selector: str, resource: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_fields(selector, resource)
    assert refused.value.code == 400
