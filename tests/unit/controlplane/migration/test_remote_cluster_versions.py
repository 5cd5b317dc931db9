"""Kinds that other clusters serve in another version than the one known here."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import NotFound
from ansible_collections.vmshift.mtv.controlplane.blocking import in_thread
from ansible_collections.vmshift.mtv.controlplane.cluster_client import ClusterClient
from ansible_collections.vmshift.mtv.controlplane.migration.remote_cluster import RemoteCluster

EXPORT = {"apiVersion": "export.kubevirt.io/v1", "kind": "VirtualMachineExport", "metadata": {"name": "web", "namespace": "src"}}


async def served(version: str, work: Any) -> tuple[Any, list[tuple[str, Any]]]:
    """What `work(cluster)` gives on a cluster that has exports in that version ("" for none), and what it was asked."""
    asked: list[tuple[str, Any]] = []

    async def answer(request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        asked.append((f"{request.method} {request.path}", body))
        if request.path == "/apis/export.kubevirt.io" and version:
            return web.json_response({"kind": "APIGroup", "preferredVersion": {"groupVersion": f"export.kubevirt.io/{version}"}})
        if request.method == "POST":
            return web.json_response(body)
        return web.json_response({"kind": "Status", "message": "not found", "reason": "NotFound"}, status=404)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    api: Any = SimpleNamespace(find=lambda *_place: None)
    async with TestServer(app) as server:
        client = ClusterClient(str(server.make_url("/")), {})

        def with_cluster(bridge: Any) -> Any:
            cluster = RemoteCluster(bridge, client)
            try:
                return work(cluster)
            finally:
                cluster.close()

        return await in_thread(api, with_cluster), asked


@pytest.mark.parametrize("version", ["v1beta1", "v1alpha1", "v1"])
async def test_objects_are_asked_for_and_made_in_the_version_of_the_cluster(version: str) -> None:
    def work(cluster: RemoteCluster) -> Any:
        cluster.speak("VirtualMachineExport")
        cluster.find("VirtualMachineExport", "src", "web")
        cluster.find("VirtualMachine", "src", "web")
        return cluster.create(EXPORT)

    made, asked = await served(version, work)
    place = f"/apis/export.kubevirt.io/{version}/namespaces/src/virtualmachineexports"
    assert [line for line, _body in asked[1:]] == [
        f"GET {place}/web",
        "GET /apis/kubevirt.io/v1/namespaces/src/virtualmachines/web",
        f"POST {place}",
    ]
    assert made["apiVersion"] == f"export.kubevirt.io/{version}"


async def test_a_cluster_without_the_kind_says_so() -> None:
    with pytest.raises(NotFound):
        await served("", lambda cluster: cluster.speak("VirtualMachineExport"))
