"""Clients as people use them: kubectl and the Python client on which kubernetes.core stands."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from kubernetes import config, dynamic

from ansible_collections.vmshift.mtv.controlplane.apiserver import pki

Run = Callable[..., Coroutine[Any, Any, str]]

MANIFEST = """
apiVersion: v1
kind: ConfigMap
metadata: {name: c, namespace: team, labels: {a: b}}
data: {x: "1", z: "2"}
---
apiVersion: forklift.konveyor.io/v1beta1
kind: Provider
metadata: {name: p, namespace: team}
spec: {type: ova, url: "host:/share", secret: {name: s, namespace: team}}
"""


@pytest.fixture
def kubectl(client: Any, served: Any, tmp_path: Path) -> Run:
    """Runs kubectl: its standard output. Fails the test when kubectl fails, unless told otherwise."""
    program = shutil.which("kubectl")
    if program is None:
        pytest.skip("kubectl is not installed")
    pki.write_kubeconfig(served.state, client.url, client.token)
    environment = {**os.environ, "KUBECONFIG": str(served.state.kubeconfig), "HOME": str(tmp_path)}

    async def run(*arguments: str, stdin: str = "", fails: bool = False) -> str:
        process = await asyncio.create_subprocess_exec(
            program,
            *arguments,
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await asyncio.wait_for(process.communicate(stdin.encode()), 60)
        assert (process.returncode != 0) == fails, errors.decode()
        return (errors if fails else output).decode()

    return run


async def test_kubectl_apply_describe_explain_and_delete(kubectl: Run) -> None:
    assert (await kubectl("apply", "-f", "-", stdin=MANIFEST)).splitlines() == [
        "configmap/c created",
        "provider.forklift.konveyor.io/p created",
    ]
    assert (await kubectl("apply", "-f", "-", stdin=MANIFEST)).count("unchanged") == 2
    assert "configmap/c configured" in await kubectl("apply", "-f", "-", stdin=MANIFEST.replace('x: "1", ', ""))
    assert json.loads(await kubectl("get", "cm", "c", "-n", "team", "-o", "json"))["data"] == {"z": "2"}
    assert "host:/share" in await kubectl("get", "providers", "-A")
    assert "host:/share" in await kubectl("describe", "provider", "p", "-n", "team")
    assert "warm" in await kubectl("explain", "plan.spec")
    assert 'unknown field "spec.warmm"' in await kubectl(
        "apply", "-f", "-", stdin=MANIFEST.replace("{type: ova", "{warmm: true, type: ova"), fails=True
    )
    await kubectl("delete", "-f", "-", stdin=MANIFEST)
    assert await kubectl("get", "cm,providers", "-n", "team", "-o", "name") == ""


async def test_kubectl_apply_on_the_server_side(kubectl: Run) -> None:
    await kubectl("apply", "--server-side", "-f", "-", stdin=MANIFEST)
    other = ("apply", "--server-side", "--field-manager=other", "-f", "-")
    changed = MANIFEST.replace('"2"', '"3"')
    assert 'conflict with "kubectl": .data.z' in await kubectl(*other, stdin=changed, fails=True)
    await kubectl(*other, "--force-conflicts", stdin=changed)
    await kubectl("apply", "--server-side", "-f", "-", stdin=MANIFEST.replace(', z: "2"', ""))  # leaves what other owns
    assert json.loads(await kubectl("get", "cm", "c", "-n", "team", "-o", "json"))["data"] == {"x": "1", "z": "3"}


async def test_kubectl_logs_and_watch(kubectl: Run, served: Any) -> None:
    spec = {"containers": [{"name": "c", "image": "i"}]}
    pod = served.api.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "team"}, "spec": spec})
    folder = served.state.pod(pod["metadata"]["uid"])
    folder.mkdir(parents=True)
    (folder / "c.log").write_text("one\ntwo\n")
    assert await kubectl("logs", "p", "-n", "team", "--tail=1") == "two\n"
    following = asyncio.create_task(kubectl("logs", "-f", "p", "-n", "team"))
    waiting = asyncio.create_task(kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/p", "-n", "team", "--timeout=30s"))
    await asyncio.sleep(0.5)
    served.api.patch("Pod", "team", "p", {"status": {"phase": "Succeeded"}}, subresource="status")
    assert await following == "one\ntwo\n"
    assert "condition met" in await waiting


async def test_kubectl_create_and_rights(kubectl: Run) -> None:
    await kubectl("create", "namespace", "made")
    await kubectl("create", "serviceaccount", "bob", "-n", "made")
    await kubectl("create", "secret", "generic", "s", "--from-literal=a=b", "-n", "made")
    bob = ("-n", "made", "--as", "system:serviceaccount:made:bob")
    assert await kubectl("auth", "can-i", "get", "pods") == "yes\n"
    assert "cannot list resource" in await kubectl("get", "pods", *bob, fails=True)
    await kubectl("create", "role", "r", "--verb=get,list", "--resource=pods", "-n", "made")
    await kubectl("create", "rolebinding", "r", "--role=r", "--serviceaccount=made:bob", "-n", "made")
    assert await kubectl("auth", "can-i", "list", "pods", *bob) == "yes\n"
    assert await kubectl("get", "pods", *bob) == ""
    assert (await kubectl("create", "token", "bob", "-n", "made")).count(".") == 2
    await kubectl("delete", "namespace", "made")


async def test_the_python_client(client: Any, served: Any) -> None:
    pki.write_kubeconfig(served.state, client.url, client.token)

    def work() -> list[str]:
        api = dynamic.DynamicClient(config.new_client_from_config(str(served.state.kubeconfig)))
        providers = api.resources.get(api_version="forklift.konveyor.io/v1beta1", kind="Provider")
        spec = {"type": "ova", "url": "host:/share", "secret": {"name": "s", "namespace": "team"}}
        body = {"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Provider", "metadata": {"name": "p"}, "spec": spec}
        made = providers.create(body=body, namespace="team")
        providers.patch(body={"spec": {"url": "host:/other"}}, name="p", namespace="team", content_type="application/merge-patch+json")
        providers.server_side_apply(body=body, name="p", namespace="team", field_manager="me", force_conflicts=True)
        version = made.metadata.resourceVersion
        seen = [event["object"].spec.url for event in providers.watch(namespace="team", resource_version=version, timeout=1)]
        providers.delete(name="p", namespace="team")
        return seen

    assert await asyncio.to_thread(work) == ["host:/other", "host:/share"]
    assert served.api.list("Provider") == []
