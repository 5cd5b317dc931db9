"""The Inventory service over HTTP: routes, detail levels, refusals; beside recorded answers of MTV's."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from ansible_collections.vmshift.mtv.controlplane.apiserver import http as apiserver_http
from ansible_collections.vmshift.mtv.controlplane.apiserver import pki
from ansible_collections.vmshift.mtv.controlplane.inventory.collectors import OvaCollector
from ansible_collections.vmshift.mtv.controlplane.inventory.http import proxy_handler
from ansible_collections.vmshift.mtv.plugins.module_utils import job_templates
from ansible_collections.vmshift.mtv.tests.rig.automation import TOKEN, Platform

RBAC = "rbac.authorization.k8s.io/v1"


def shape(value: Any) -> Any:
    """Keys and types, whatever the values; of a list that of its first item."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else type(value).__name__


def recorded(folder: Path, name: str) -> Any:
    return json.loads((folder / f"{name}.json").read_text())["body"]


@pytest.fixture
async def ova(inventory, appliances) -> str:
    """The UID of a loaded provider with the VMs web and db."""
    for name in ("web", "db"):
        appliances.add(name)
    provider = appliances.provider()
    await inventory.load(provider, None)
    return provider["metadata"]["uid"]


@pytest.mark.parametrize("collection", ["vms", "networks", "disks", "storages"])
@pytest.mark.parametrize("detail", [0, 1])
async def test_lists_have_the_recorded_shapes(service, ova, golden, collection: str, detail: int) -> None:
    status, body, headers = await service.get(f"/providers/ova/{ova}/{collection}?detail={detail}")
    expected = recorded(golden / "ova", f"{collection}-detail-{detail}")
    assert (status, headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    assert shape(body[0]) == shape(expected[0])
    assert body[0]["selfLink"] == f"providers/ova/{ova}/{collection}/{body[0]['id']}"


async def test_full_vms_and_single_items_have_the_recorded_shapes(service, ova, golden) -> None:
    golden = golden / "ova"
    _unused, vms, _unused = await service.get(f"/providers/ova/{ova}/vms?detail=all")
    expected = recorded(golden, "vms-detail-4")[0]
    # The fixture's machine has one NIC and no other device; the recorded one has devices as well.
    expected["devices"] = []
    assert shape(vms[0]) == shape(expected)
    id = vms[0]["id"]
    for path, name in (
        (f"vms/{id}", "vms-id-796051fce57ca1d00b2bc0ec8c895c524e29"),
        (f"workloads/{id}", "workloads-id-796051fce57ca1d00b2bc0ec8c895c524e29"),
        (f"networks/{vms[0]['networks'][0]['ID']}", "networks-detail-1"),
        (f"disks/{vms[0]['disks'][0]['ID']}", "disks-detail-1"),
        (f"storages/{vms[0]['disks'][0]['ID']}", "storages-detail-1"),
    ):
        status, item, _unused = await service.get(f"/providers/ova/{ova}/{path}")
        expected = recorded(golden, name)
        expected = expected[0] if isinstance(expected, list) else {**expected, "devices": []}
        assert (status, shape(item)) == (200, shape(expected)), path


async def test_detail_levels_of_vms(service, ova) -> None:
    sizes = [len((await service.get(f"/providers/ova/{ova}/vms?detail={detail}"))[1][0]) for detail in ("0", "1", "2", "all", "")]
    assert sizes[0] < sizes[1] < sizes[2] == sizes[3] and sizes[4] == sizes[0]


async def test_provider_has_the_recorded_keys_and_its_counts(service, ova, golden) -> None:
    status, body, _unused = await service.get(f"/providers/ova/{ova}")
    expected = recorded(golden / "ova", "provider")
    assert (status, body.keys()) == (200, expected.keys())
    assert (body["vmCount"], body["networkCount"], body["diskCount"], body["storageCount"]) == (2, 1, 2, 2)
    assert body["object"]["kind"] == "Provider" and "managedFields" not in body["object"]["metadata"]
    _unused, listed, _unused = await service.get("/providers/ova?detail=0")
    assert shape(listed) == shape(recorded(golden / "ova", "provider-detail-0"))


async def test_providers_by_type(service, ova, host, golden) -> None:
    host()
    _unused, body, _unused = await service.get("/providers?detail=1")
    assert body.keys() == recorded(golden / "errors", "200-providers-detail-0").keys()
    assert [provider["name"] for provider in body["ova"]] == ["ova-src"] and body["vsphere"] == []
    assert body["openshift"][0]["vmCount"] == 0  # not loaded yet
    _unused, none, _unused = await service.get("/providers?namespace=zz")
    assert none == recorded(golden / "errors", "200-providers-namespace-none")
    _unused, some, _unused = await service.get("/providers/openshift?namespace=mig")
    assert some == []


async def test_filters_and_pages(service, ova) -> None:
    async def names(query: str) -> list[str]:
        return [vm["name"] for vm in (await service.get(f"/providers/ova/{ova}/vms?{query}"))[1]]

    assert await names("name=web") == ["web"]
    assert await names("name=nobody") == []
    assert await names("limit=1") == ["db"]
    assert await names("limit=5&offset=1") == ["web"]
    assert await names("offset=2") == []


async def test_schema_names_only_routes_that_the_real_service_has(service, golden) -> None:
    _unused, body, _unused = await service.get("/schema", token="")
    assert set(body["paths"]) <= set(recorded(golden / "errors", "200-schema")["paths"])
    for path in (
        "/providers/ova/:provider/workloads/:vm",
        "/providers/openshift/:provider/tree/namespace",
        "/providers/ova/:provider/vms/",
    ):
        assert path in body["paths"]


# --- this cluster ----------------------------------------------------------------------------------------------------


@pytest.fixture
async def here(inventory, host, api) -> str:
    """The UID of the host provider of a cluster with one VM."""
    meta = {"name": "web", "namespace": "mig"}
    spec = {"runStrategy": "Halted", "template": {"spec": {"domain": {"devices": {}}}}}
    api.create({"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": meta, "spec": spec})
    storage = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "fast"},
        "provisioner": "x",
        "volumeBindingMode": "Immediate",
    }
    api.create(storage)
    provider = host()
    await inventory.load(provider, None)
    return provider["metadata"]["uid"]


@pytest.mark.parametrize("collection", ["namespaces", "storageclasses", "vms"])
@pytest.mark.parametrize("detail", [0, 1])
async def test_cluster_lists_have_the_recorded_keys(service, here, golden, collection: str, detail: int) -> None:
    status, body, _unused = await service.get(f"/providers/openshift/{here}/{collection}?detail={detail}")
    expected = recorded(golden / "openshift", f"{collection}-detail-{detail}")
    assert (status, body[0].keys()) == (200, expected[0].keys())
    assert detail == 0 or ("kind" in body[0]["object"]) == ("kind" in expected[0]["object"])


async def test_cluster_items_by_id_and_filters(service, here) -> None:
    root = f"/providers/openshift/{here}"
    _unused, found, _unused = await service.get(f"{root}/vms?namespace=mig&name=web")
    status, vm, _unused = await service.get(f"{root}/vms/{found[0]['id']}")
    assert (status, vm["object"]["metadata"]["name"]) == (200, "web")
    assert (await service.get(f"{root}/vms?namespace=zz"))[1] == []
    assert (await service.get(f"{root}/namespaces/mig"))[0] == 404  # by UID only, as in the real service
    _unused, provider, _unused = await service.get(root)
    assert (provider["vmCount"], provider["networkCount"], provider["storageClassCount"]) == (1, 1, 1)


async def test_namespace_tree(service, here, golden) -> None:
    _unused, body, _unused = await service.get(f"/providers/openshift/{here}/tree/namespace")
    expected = recorded(golden / "openshift", "tree-namespace")
    namespace, vm = body["children"][0], body["children"][0]["children"][0]
    assert (body["kind"], body["object"], len(body["children"])) == ("", None, 1)
    assert (namespace["kind"], namespace["object"].keys()) == ("Namespace", expected["children"][0]["object"].keys())
    assert (vm["kind"], vm["object"].keys(), vm["children"]) == ("VM", expected["children"][0]["children"][0]["object"].keys(), None)
    assert vm["object"]["path"] == f"mig/{vm['object']['id']}"


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/providers/ova/{uid}/vms?detail=x", 400),
        ("/providers/ova/{uid}/vms?limit=x", 400),
        ("/providers/ova/{uid}/vms?offset=-1", 400),
        ("/providers/ova/{uid}/vms/nobody", 404),
        ("/providers/ova/{uid}/workloads/nobody", 404),
    ],
)
async def test_refusals_have_no_body(service, ova, path: str, status: int) -> None:
    got, body, headers = await service.get(path.format(uid=ova))
    assert (got, body, "X-Reason" in headers) == (status, "", False)


@pytest.mark.parametrize(
    "path", ["/providers/ova/00000000-0000-0000-0000-000000000000", "/providers/ova/nobody/vms", "/providers/openshift/{uid}"]
)
async def test_unknown_provider(service, ova, path: str) -> None:
    status, body, headers = await service.get(path.format(uid=ova))
    assert (status, body, headers["X-Reason"]) == (404, "", "ProviderNotFound")


@pytest.mark.parametrize(
    "path", ["/", "/providers/foo", "/providers/ova/{uid}/folders", "/providers/ova/{uid}/tree/vm", "/providers/ova/{uid}/vms/a/b", "/vms"]
)
async def test_unknown_route(service, ova, path: str) -> None:
    status, body, headers = await service.get(path.format(uid=ova))
    assert (status, body, headers["Content-Type"]) == (404, "404 page not found", "text/plain")


async def test_only_get_is_allowed(service, ova) -> None:
    async with service.client.post(f"/providers/ova/{ova}/vms", headers={"Authorization": f"Bearer {service.token}"}) as reply:
        assert (reply.status, await reply.text()) == (404, "404 page not found")


@pytest.mark.parametrize("path", ["/providers", "/providers/ova/{uid}/vms"])
@pytest.mark.parametrize("token", ["", "nonsense", "nönsense"])
async def test_no_valid_token(service, ova, path: str, token: str) -> None:
    status, body, headers = await service.get(path.format(uid=ova), token=token)
    assert (status, body, "forklift-error-message" in headers) == (401, "", False)


async def test_token_without_rights_and_then_with_them(service, ova, api, tokens, golden) -> None:
    account = api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "weak", "namespace": "other"}})
    token = tokens.issue(account)
    for path, said, name in (
        (
            f"/providers/ova/{ova}/vms",
            'cannot get resource "providers" in API group "forklift.konveyor.io" in the namespace "mig"',
            "403-limited",
        ),
        ("/providers", 'cannot list resource "providers" in API group "forklift.konveyor.io" in the namespace ""', "403-providers-limited"),
    ):
        status, body, headers = await service.get(path, token=token)
        assert (status, body) == (403, "")
        assert (
            headers["forklift-error-message"]
            == f'providers.forklift.konveyor.io is forbidden: User "system:serviceaccount:other:weak" {said}'
        )
        real = json.loads((golden / "errors" / f"{name}.json").read_text())["responseHeaders"]["forklift-error-message"]
        ours = headers["forklift-error-message"].replace("system:serviceaccount:other:weak", "limited").replace('"mig"', '"inv-rec"')
        assert real.startswith(ours + " (")

    rules = [{"apiGroups": ["forklift.konveyor.io"], "resources": ["providers"], "verbs": ["get"]}]
    api.create({"apiVersion": RBAC, "kind": "Role", "metadata": {"name": "read", "namespace": "mig"}, "rules": rules})
    api.create({
        "apiVersion": RBAC, "kind": "RoleBinding", "metadata": {"name": "read", "namespace": "mig"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "read"},
        "subjects": [{"kind": "ServiceAccount", "name": "weak", "namespace": "other"}],
    })  # fmt: skip
    assert (await service.get(f"/providers/ova/{ova}/vms", token=token))[0] == 200
    api.delete("RoleBinding", "mig", "read")
    assert (await service.get(f"/providers/ova/{ova}/vms", token=token))[0] == 200  # remembered for 10 s
    assert (await service.get("/providers", token=token))[0] == 403


async def test_inventory_that_is_being_loaded(service, appliances, inventory, monkeypatch) -> None:
    loaded = asyncio.Event()
    real = OvaCollector.collect

    async def slow(self):
        await loaded.wait()
        return await real(self)

    monkeypatch.setattr(OvaCollector, "collect", slow)
    appliances.add("web")
    provider = appliances.provider()
    path = f"/providers/ova/{provider['metadata']['uid']}"
    assert (await service.get(path + "/vms"))[2]["X-Reason"] == "ProviderNotFound"  # no collector yet
    loading = asyncio.create_task(inventory.load(provider, None))
    await asyncio.sleep(0)
    began = time.monotonic()
    for below in ("", "/vms", "/vms/x"):
        status, body, _unused = await service.get(path + below)
        assert (status, body) == (206, "")
    assert time.monotonic() - began >= 0.6  # each waited for the inventory
    waiting = asyncio.create_task(service.get(path + "/vms"))
    await asyncio.sleep(0.05)
    loaded.set()
    await loading
    assert (await waiting)[1][0]["name"] == "web"


async def test_watching_is_not_offered(service, ova) -> None:
    status, _unused, headers = await service.get(f"/providers/ova/{ova}/vms", **{"X-Watch": "snapshot"})
    assert status == 501 and "ask again" in headers["forklift-error-message"]


async def test_job_templates_without_a_platform(service, golden) -> None:
    status, body, _unused = await service.get("/aap/job-templates")
    assert (status, body) == (503, recorded(golden / "errors", "503-aap-job-templates"))


async def test_job_templates_of_the_platform_that_the_settings_name(service, api, state, monkeypatch) -> None:
    monkeypatch.setattr(job_templates, "_LONGEST_PAGE", 3)
    pki.ensure_pki(state)
    platform = Platform(state.pki / "server.crt", state.pki / "server.key")
    central = {"namespace": "konveyor-forklift"}
    encoded = {"token": TOKEN, "ca.crt": (state.pki / "ca.crt").read_text()}
    for name, key in (("central", "token"), ("authority", "ca.crt")):
        data = {key: base64.b64encode(encoded[key].encode()).decode()}
        api.create({"apiVersion": "v1", "kind": "Secret", "metadata": {**central, "name": name}, "data": data})
    spec = {"aap_url": platform.url, "aap_token_secret_name": "central", "aap_ca_secret_name": "authority"}
    meta = {**central, "name": "forklift-controller"}
    api.create({"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "ForkliftController", "metadata": meta, "spec": spec})
    try:
        known = [{"id": 8, "name": "Notify"}, {"id": 9, "name": "Notify"}, {"id": 10, "name": "Register DNS"}]
        everything = {"count": 4, "results": [*known, {"id": 7, "name": "Register in CMDB"}]}
        assert (await service.get("/aap/job-templates"))[:2] == (200, everything)
        assert [path.rpartition("&")[2] for path in platform.asked[1:]] == ["page=1", "page=2"]
        assert (await service.get("/aap/job-templates?max=2&namespace=mig"))[:2] == (200, {"count": 4, "results": known[:2]})
        assert (await service.get("/aap/job-templates?max=0"))[0] == 400
        assert (await service.get("/aap/job-templates", token=""))[0] == 401
        platform.answer = 500
        status, body, _unused = await service.get("/aap/job-templates")
        assert (status, TOKEN in json.dumps(body)) == (502, False) and "answers 500 to /api/" in body["message"]
    finally:
        platform.close()


async def test_through_the_service_proxy_of_the_api_server(ova, inventory, tokens, api, state) -> None:
    app = apiserver_http.build_app(
        api, tokens=tokens, pod_log=lambda *_unused: None, service_proxy={"forklift-inventory": proxy_handler(inventory, tokens, api)}
    )
    api.create({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "forklift-inventory", "namespace": "konveyor-forklift"},
        "spec": {"ports": [{"port": 8443}]},
    })  # fmt: skip
    runner, port = await apiserver_http.start(app, pki.ensure_pki(state), "127.0.0.1", 0)
    proxy = f"https://127.0.0.1:{port}/api/v1/namespaces/konveyor-forklift/services/https:forklift-inventory:8443/proxy"
    headers = {"Authorization": f"Bearer {tokens.admin}"}
    try:
        async with ClientSession(headers=headers) as session:
            async with session.get(f"{proxy}/providers/ova/{ova}/vms?name=web&detail=all", ssl=False) as reply:
                assert (reply.status, [vm["name"] for vm in await reply.json()]) == (200, ["web"])
            async with session.get(f"{proxy}/providers/ova/nobody", ssl=False) as reply:
                assert (reply.status, reply.headers["X-Reason"]) == (404, "ProviderNotFound")
    finally:
        await runner.cleanup()


async def test_many_requests_at_once(service, ova) -> None:
    answers = await asyncio.gather(*(service.get(f"/providers/ova/{ova}/vms?detail=all") for _unused in range(100)))
    assert {(status, len(body)) for status, body, _unused in answers} == {(200, 2)}
