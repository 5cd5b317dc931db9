"""Objects of a cluster as inventory items."""

from __future__ import annotations

import json

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.sources.openshift import COLLECTIONS, base, items


def obj(name: str, namespace: str | None = None, **body: object) -> dict[str, object]:
    meta = {"name": name, "uid": f"uid-{name}", "resourceVersion": "7", **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": "x/v1", "kind": "X", "metadata": meta, **body}


@pytest.mark.parametrize("collection", ["namespaces", "storageclasses", "networkattachmentdefinitions", "vms", "persistentvolumeclaims"])
def test_recorded_objects_give_the_recorded_items(golden, collection: str) -> None:
    """The recorded raw objects, with the apiVersion and kind that a list read from a server may carry, give the recorded items."""
    recorded = json.loads((golden / "openshift" / f"{collection}-detail-1.json").read_text())["body"]
    known = COLLECTIONS[collection]
    objects = [{**item["object"], "apiVersion": known.api_version, "kind": known.kind} for item in recorded]
    expected = [{key: value for key, value in item.items() if key != "selfLink"} for item in recorded]
    assert items(known, objects) == expected


def test_running_vm_carries_its_instance() -> None:
    found = items(COLLECTIONS["vms"], [obj("web", "a"), obj("web", "b")], [obj("web", "b", status={"phase": "Running"})])
    assert "instance" not in found[0]
    assert found[1]["instance"]["status"] == {"phase": "Running"}


def test_base_of_a_cluster_scoped_object() -> None:
    assert base(obj("fast")) == {"id": "uid-fast", "uid": "uid-fast", "version": "7", "namespace": "", "name": "fast"}


@pytest.mark.parametrize(
    ("collection", "path"),
    [("namespaces", "/api/v1/namespaces"), ("vms", "/apis/kubevirt.io/v1/virtualmachines")],
)
def test_paths(collection: str, path: str) -> None:
    assert COLLECTIONS[collection].path == path
