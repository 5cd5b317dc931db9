"""The rules of `auto`, as docs/maps.md tells them."""

from __future__ import annotations

import json

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.errors import TalkError
from ansible_collections.vmshift.mtv.plugins.module_utils.map_guesses import network_guesses, storage_guesses
from ansible_collections.vmshift.mtv.plugins.module_utils.mapping import Source, Use


def use(name, id="n-1", **fields):
    return Use(Source(id, name, **fields), ["web", "db"])


def nad(namespace, name, **annotations):
    marks = {f"vmshift.io/{key.replace('_', '-')}": value for key, value in annotations.items()}
    return {"id": f"{namespace}-{name}", "namespace": namespace, "name": name, "object": {"metadata": {"annotations": marks}}}


def storage_class(name, created="2026-01-01T00:00:00Z", **annotations):
    found = nad("", name, **annotations)
    found["object"]["metadata"]["creationTimestamp"] = created
    return found


def marked(item, annotation):
    item["object"]["metadata"]["annotations"][annotation] = "true"
    return item


VIRT, ANY = "storageclass.kubevirt.io/is-default-virt-class", "storageclass.kubernetes.io/is-default-class"


def network(uses, attachments, target=None, provider="vcenter"):
    return network_guesses(uses, attachments, provider=provider, target_namespace=target)


def to(guess):
    return guess.destination.get("storageClass") or "/".join(guess.destination.get(k, "") for k in ("namespace", "name")), guess.rule


@pytest.mark.parametrize(
    ("attachments", "expected"),
    [
        ([], ("/", "default")),
        ([nad("web", "other")], ("/", "default")),
        ([nad("web", "vm-network")], ("web/vm-network", "same_name")),
        ([nad("web", "VM Network"), nad("web", "vm-network")], ("web/VM Network", "same_name")),
        ([nad("web", "vm-network"), nad("web", "x", source_network="VM Network")], ("web/x", "annotation")),
        ([nad("web", "x", source_network="n-1")], ("web/x", "annotation")),
        ([nad("web", "x", source_network=json.dumps(["a", "VM Network"]))], ("web/x", "annotation")),
        ([nad("web", "x", source_network="[VM Network")], ("/", "default")),
        ([nad("web", "x", source_network="VM Network", source_provider="vcenter")], ("web/x", "annotation")),
        ([nad("web", "x", source_network="VM Network", source_provider="other")], ("/", "default")),
        ([nad("web", "x", source_network="")], ("/", "default")),
    ],
)
def test_rules_of_networks_in_their_order(attachments, expected):
    (guess,) = network([use("VM Network")], attachments)
    assert to(guess) == expected
    assert guess.source == {"id": "n-1", "name": "VM Network"} and guess.vms == ["web", "db"]
    assert guess.destination["type"] == ("pod" if expected[1] == "default" else "multus")


def test_the_namespace_of_the_vms_decides_which_networks_they_can_use():
    attachments = [nad(namespace, "vm-network") for namespace in ("web", "default", "crm")]
    assert to(network([use("VM Network")], attachments, "web")[0])[0] == "web/vm-network"
    assert to(network([use("VM Network")], attachments, "hr")[0])[0] == "default/vm-network"
    assert to(network([use("VM Network")], attachments[2:], "hr")[0])[1] == "default"
    with pytest.raises(TalkError) as caught:
        network([use("VM Network")], attachments)
    assert str(caught.value).startswith(
        "auto: network 'VM Network' of VM 'web', 'db' could go to several NetworkAttachmentDefinitions "
        "(web/vm-network, default/vm-network, crm/vm-network), because"
    )


def test_the_pod_network_of_openshift_stays_the_pod_network():
    (guess,) = network([Use(Source(type="pod"), ["web"])], [nad("web", "pod")])
    assert (guess.source, guess.destination, guess.rule) == ({"type": "pod"}, {"type": "pod"}, "default")


def test_the_order_of_vms_does_not_matter():
    uses = [use("b", "n-2"), use("a", "n-1"), use("c", "n-3")]
    assert [g.source["name"] for g in network(uses, [])] == [g.source["name"] for g in network(uses[::-1], [])] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ([storage_class("hdd"), marked(storage_class("ssd"), ANY)], ("ssd", "default")),
        ([marked(storage_class("hdd"), VIRT), marked(storage_class("ssd"), ANY)], ("hdd", "default")),
        ([marked(storage_class("hdd", "2026-01-02T00:00:00Z"), ANY), marked(storage_class("ssd"), ANY)], ("hdd", "default")),
        ([marked(storage_class("hdd"), VIRT), storage_class("datastore1")], ("datastore1", "same_name")),
        ([storage_class("hdd", source_storage="Datastore1"), storage_class("datastore1")], ("hdd", "annotation")),
    ],
)
def test_rules_of_storages_in_their_order(classes, expected):
    (guess,) = storage_guesses([use("Datastore1")], classes, provider="vcenter")
    assert to(guess) == expected


def test_a_storage_without_a_default_class_is_an_error_with_candidates():
    with pytest.raises(
        TalkError, match=r"auto: no storage class was found for storage 'Datastore1' of VM 'web', 'db': .* There are: hdd, ssd"
    ):
        storage_guesses([use("Datastore1")], [storage_class("hdd"), storage_class("ssd")], provider="vcenter")
