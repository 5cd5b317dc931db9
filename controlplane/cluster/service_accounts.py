"""Service accounts of pods: each namespace has one called default, and a pod finds a token of its own where containers have it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError
from ansible_collections.vmshift.mtv.controlplane.cluster.environment import Unconfigured
from ansible_collections.vmshift.mtv.controlplane.datapath.hook_runner import ACCOUNT_FOLDER
from ansible_collections.vmshift.mtv.controlplane.lifetime import read_endpoints

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
    from ansible_collections.vmshift.mtv.controlplane.context import Context

Object = dict[str, Any]

DEFAULT = "default"
LIFETIME = 7 * 86400  # seconds: nobody renews the token while the pod runs


def furnish(context: Context, pod: Object, folder: Path) -> dict[str, str]:
    """Write the token of the pod's account into its folder. Returns variables that lead to the API server. Raises Unconfigured."""
    namespace, name = pod["metadata"]["namespace"], pod["spec"].get("serviceAccountName") or DEFAULT
    account = context.api.find("ServiceAccount", namespace, name) or _default(context.api, namespace, name)
    server = urlsplit(read_endpoints(context.state).get("server", ""))
    if context.tokens is None or not server.hostname:
        return {}
    files = {
        "token": context.tokens.issue(account, LIFETIME, pod={"name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}),
        "ca.crt": (context.state.pki / "ca.crt").read_text(),
        "namespace": namespace,
    }
    own = folder / ACCOUNT_FOLDER
    own.mkdir(mode=0o700, exist_ok=True)
    for file, text in files.items():
        descriptor = os.open(own / file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        with open(descriptor, "w") as opened:
            opened.write(text)
    return {"KUBERNETES_SERVICE_HOST": server.hostname, "KUBERNETES_SERVICE_PORT": str(server.port)}


def take_back(folder: Path) -> None:
    """Remove the token that `furnish` has written."""
    shutil.rmtree(folder / ACCOUNT_FOLDER, ignore_errors=True)


def _default(api: Api, namespace: str, name: str) -> Object:
    """The account that each namespace has; any other must be there."""
    if name != DEFAULT:
        raise Unconfigured(f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found')
    try:
        return api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": DEFAULT, "namespace": namespace}})
    except ApiError as error:
        raise Unconfigured(error.message) from None
