from __future__ import annotations

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.inventory_service import InventoryError, InventoryService, matches

PROVIDER = {"kind": "Provider", "metadata": {"name": "src", "namespace": "mig", "uid": "u-1"}, "spec": {"type": "ova"}}
VMS = [{"id": "vm-1", "name": "web"}, {"id": "vm-2", "name": "db"}, {"id": "vm-3", "name": "db"}]


@pytest.fixture
def service(kube, cluster):
    return InventoryService(cluster, kube.url)


def refuse(kube, status, headers=None):
    kube.answer = lambda request, handler: kube.send(handler, status, "", headers)


def test_collection_in_full_detail(kube, service):
    kube.answer = lambda request, handler: kube.send(handler, 200, VMS)
    assert service.get(PROVIDER, "vms") == VMS
    assert (kube.requests[0].path, kube.requests[0].query) == ("/providers/ova/u-1/vms", {"detail": "all"})
    assert kube.requests[0].headers["authorization"] == "Bearer s3cret"


def test_find_by_id_and_by_name(kube, service):
    def answer(request, handler):
        if request.path.endswith("/vm-1"):
            kube.send(handler, 200, VMS[0])
        elif request.path.endswith("/vms"):
            kube.send(handler, 200, VMS)
        else:
            kube.send(handler, 404, "")

    kube.answer = answer
    assert service.find(PROVIDER, "vms", {"id": "vm-1", "name": "ignored"}) == [VMS[0]]
    assert service.find(PROVIDER, "vms", {"id": "vm-9"}) == []
    assert service.find(PROVIDER, "vms", {"name": "db"}) == VMS[1:]
    assert service.find(PROVIDER, "vms", {"name": "nope"}) == []


@pytest.mark.parametrize(
    ("item", "reference", "meant"),
    [
        ({"name": "a"}, {"name": "a"}, True),
        ({"name": "a"}, {"name": "A"}, False),
        ({"name": "a", "path": "/dc/vm/team/a"}, {"name": "team/a"}, True),
        ({"name": "a", "path": "/dc/vm/steam/a"}, {"name": "team/a"}, False),
        ({"name": "a", "namespace": "x"}, {"name": "a", "namespace": "x"}, True),
        ({"name": "a", "namespace": "x"}, {"name": "a", "namespace": "y"}, False),
    ],
)
def test_what_a_name_means(item, reference, meant):
    assert matches(item, reference) is meant


@pytest.mark.parametrize(
    ("status", "headers", "said", "not_ready"),
    [
        (206, {}, "still being loaded", True),
        (404, {"X-Reason": "ProviderNotFound"}, "does not know this provider", True),
        (404, {}, "answered 404 to /providers/ova/u-1/vms", False),
        (401, {}, "wants a bearer token", False),
        (403, {"forklift-error-message": "providers is forbidden: User x (&{{Provider} secret stuff})"}, "User x", False),
        (400, {"forklift-error-message": "bad detail"}, "bad detail", False),
    ],
)
def test_refusals(kube, service, status, headers, said, not_ready):
    refuse(kube, status, headers)
    with pytest.raises(InventoryError, match=said) as caught:
        service.get(PROVIDER, "vms")
    assert (caught.value.status, caught.value.not_ready) == (status, not_ready)
    assert "&{" not in str(caught.value)


def test_wait_until_loaded(kube, service):
    def answer(request, handler):
        kube.send(handler, 206 if len(kube.requests) == 1 else 200, [])

    kube.answer = answer
    service.wait_loaded(PROVIDER, timeout=10)
    assert len(kube.requests) == 2
    refuse(kube, 206)
    with pytest.raises(InventoryError, match="still being loaded"):
        service.wait_loaded(PROVIDER, timeout=0)
    refuse(kube, 403)
    with pytest.raises(InventoryError, match="refuses"):
        service.wait_loaded(PROVIDER, timeout=60)


def test_the_route_comes_before_the_service_proxy(kube, cluster):
    def answer(request, handler):
        if request.path == "/apis/route.openshift.io/v1/namespaces/openshift-mtv/routes/forklift-inventory":
            kube.send(handler, 200, {"kind": "Route", "metadata": {}, "spec": {"host": "inventory.example.com"}})
        else:
            kube.send(handler, 404, {"kind": "Status", "reason": "NotFound", "message": "not found"})

    kube.answer = answer
    assert InventoryService(cluster, namespace="elsewhere").url == "https://inventory.example.com"


def test_through_the_service_proxy(plane, there):
    plane.inventory["providers/ova/u-1/vms"] = VMS
    service = InventoryService(there)
    assert service.get(PROVIDER, "vms") == VMS
    assert service.url == "/api/v1/namespaces/konveyor-forklift/services/https:forklift-inventory:8443/proxy"


def test_nowhere(kube, cluster):
    with pytest.raises(InventoryError, match=r"neither a Route nor a Service forklift-inventory in a, openshift-mtv, konveyor-forklift"):
        InventoryService(cluster, namespace="a").get(PROVIDER, "vms")


def test_not_reachable(kube, service):
    kube.close()
    with pytest.raises(InventoryError, match="cannot be asked: .*cannot be reached"):
        service.get(PROVIDER, "vms")
