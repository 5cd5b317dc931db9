"""Another cluster as a source, by URL and token: this control plane's own API server plays it."""

from __future__ import annotations

import asyncio
import base64

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from ansible_collections.vmshift.mtv.controlplane.apiserver import http, pki
from ansible_collections.vmshift.mtv.controlplane.cluster_client import ClusterClient
from ansible_collections.vmshift.mtv.controlplane.inventory.collectors import ClusterCollector
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import SourceError


def secret(**values: str) -> dict[str, object]:
    return {"data": {key.replace("_", "."): base64.b64encode(value.encode()).decode() for key, value in values.items()}}


@pytest.fixture
async def cluster(api, tokens, state):
    """(url, CA certificate)"""
    keys = pki.ensure_pki(state)
    app = http.build_app(api, tokens=tokens, pod_log=lambda *_unused: None)
    runner, port = await http.start(app, keys, "127.0.0.1", 0)
    yield f"https://127.0.0.1:{port}", (state.pki / "ca.crt").read_text()
    await runner.cleanup()


async def test_objects_are_listed_page_by_page(cluster, tokens, api, monkeypatch) -> None:
    url, authority = cluster
    monkeypatch.setattr(ClusterCollector, "page", 2)
    meta = {"name": "web", "namespace": "mig"}
    spec = {"runStrategy": "Halted", "template": {"spec": {"domain": {"devices": {}}}}}
    api.create({"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": meta, "spec": spec})
    collector = ClusterCollector(url, secret(token=tokens.admin, ca_crt=authority))
    await collector.test()
    resources = (await collector.collect()).resources
    assert {item["name"] for item in resources["namespaces"]} == {"konveyor-forklift", "mig", "other"}
    assert [(item["name"], item["object"]["kind"]) for item in resources["vms"]] == [("web", "VirtualMachine")]
    assert "kind" not in resources["namespaces"][0]["object"]
    assert resources["kubevirts"] == []  # a kind that the cluster does not have


async def test_token_refused(cluster) -> None:
    url, authority = cluster
    with pytest.raises(SourceError) as refused:
        await ClusterCollector(url, secret(token="s3cret", cacert=authority)).test()
    assert (refused.value.kind, "does not accept the token" in refused.value.message) == ("auth", True)
    assert "s3cret" not in refused.value.message


async def test_token_without_rights(cluster, tokens, api) -> None:
    url, _unused = cluster
    account = api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "weak", "namespace": "mig"}})
    with pytest.raises(SourceError, match="may not list namespaces") as refused:
        await ClusterCollector(url, secret(token=tokens.issue(account), insecureSkipVerify="true")).test()
    assert refused.value.kind == "auth"


async def test_certificate_that_nobody_vouches_for(cluster, tokens) -> None:
    url, _unused = cluster
    with pytest.raises(SourceError, match="the certificate of https://.* cannot be verified"):
        await ClusterCollector(url, secret(token=tokens.admin)).test()
    with pytest.raises(SourceError, match="is not a PEM certificate"):
        await ClusterCollector(url, secret(token=tokens.admin, ca_crt="nonsense")).test()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://127.0.0.1:1", "cannot be reached"),
        ("https://no.such.host.invalid:6443", "cannot be reached"),
        ("not a url", "is not a URL of an API server"),
    ],
)
async def test_unreachable(url: str, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        await ClusterCollector(url, {}).test()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (web.Response(text="<html>hello</html>"), "its answer is not JSON"),
        (web.Response(text="[]"), "its answer is not an object"),
        (web.Response(status=503), "answers 503 Service Unavailable to a list of namespaces"),
    ],
)
async def test_something_else_answers(answer: web.Response, said: str) -> None:
    async def handler(_request: web.Request) -> web.Response:
        return answer

    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    async with TestServer(app) as server:
        with pytest.raises(SourceError, match=said):
            await ClusterCollector(str(server.make_url("/")), {}).test()


async def test_slow_answer(monkeypatch) -> None:
    monkeypatch.setattr(ClusterClient, "deadline", 0.1)

    async def handler(_request: web.Request) -> web.Response:
        await asyncio.sleep(1)
        return web.Response()

    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    async with TestServer(app) as server:
        with pytest.raises(SourceError, match="did not answer within"):
            await ClusterCollector(str(server.make_url("/")), {}).test()
