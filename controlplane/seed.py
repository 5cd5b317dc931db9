"""What stands in a cluster before anybody migrates anything: made once, and left alone afterwards."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError
from ansible_collections.vmshift.mtv.controlplane.cluster.storage import storage_classes, storage_profiles
from ansible_collections.vmshift.mtv.controlplane.roles import roles

Object = dict[str, Any]
FORKLIFT = "forklift.konveyor.io/v1beta1"


def seed(api: Api, namespace: str) -> None:
    """Make what is missing. `namespace` is that of the controllers."""
    for obj in objects(namespace):
        try:
            api.create(obj)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise


def objects(namespace: str) -> Iterator[Object]:
    for name in ("default", "kube-system", namespace):
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    yield node()
    yield from roles(namespace)
    yield from storage_classes()
    yield from storage_profiles()
    yield {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "forklift-inventory", "namespace": namespace, "labels": {"app": "forklift", "service": "forklift-inventory"}},
        "spec": {"type": "ClusterIP", "ports": [{"name": "api-https", "port": 8443, "protocol": "TCP"}]},
    }
    yield {
        "apiVersion": FORKLIFT,
        "kind": "ForkliftController",
        "metadata": {"name": "forklift-controller", "namespace": namespace},
        "spec": {},
    }
    yield {
        "apiVersion": FORKLIFT,
        "kind": "Provider",
        "metadata": {"name": "host", "namespace": namespace},
        "spec": {"type": "openshift", "url": "", "secret": {}},
    }


def node() -> Object:
    """The machine that the control plane runs on."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "localhost", "labels": {"kubernetes.io/hostname": "localhost", "kubernetes.io/os": "linux"}},
        "status": {
            "conditions": [
                {"type": "Ready", "status": "True", "reason": "ControlPlaneServing", "message": "the embedded control plane serves"}
            ],
            "nodeInfo": {"architecture": platform.machine(), "kernelVersion": platform.release(), "operatingSystem": "linux"},
        },
    }
