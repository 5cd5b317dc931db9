"""The environment variables of a container."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api

Object = dict[str, Any]

# What programs need of this machine. Everything else of the control plane's own environment stays with it.
_INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "XDG_CACHE_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR")
_INHERITED_PREFIXES = ("LIBGUESTFS_", "SUPERMIN_", "VIRT_", "VIRTIO_", "VMSHIFT_")
_COLLECTIONS = str(Path(__file__).absolute().parents[5])


class Unconfigured(Exception):
    """Something that the container's configuration names is not there (yet); the text is the kubelet's kind of message."""


def environment_of(api: Api, pod: Object, container: Object) -> dict[str, str]:
    """Raises Unconfigured."""
    own = {name: value for name, value in os.environ.items() if name in _INHERITED or name.startswith(_INHERITED_PREFIXES)}
    environment = {**own, "PYTHONPATH": _COLLECTIONS}
    namespace = pod["metadata"]["namespace"]
    for source in container.get("envFrom") or ():
        environment.update(_all_of(api, namespace, source))
    for variable in container.get("env") or ():
        value = _value(api, pod, variable)
        if value is not None:
            environment[variable["name"]] = value
    return environment


def data_of(api: Api, kind: str, namespace: str, reference: Mapping[str, Any]) -> dict[str, bytes] | None:
    """Content of the Secret or ConfigMap `reference` names; None when it is absent and optional. Raises Unconfigured."""
    name = reference.get("name") or reference.get("secretName", "")
    found = api.find(kind, namespace, name)
    if found is None:
        if reference.get("optional"):
            return None
        raise Unconfigured(f'{kind.lower()} "{name}" not found')
    if kind == "Secret":
        return {key: base64.b64decode(value or "") for key, value in (found.get("data") or {}).items()}
    binary = {key: base64.b64decode(value) for key, value in (found.get("binaryData") or {}).items()}
    return {**{key: value.encode() for key, value in (found.get("data") or {}).items()}, **binary}


def _all_of(api: Api, namespace: str, source: Object) -> Iterator[tuple[str, str]]:
    kind, field = ("Secret", "secretRef") if "secretRef" in source else ("ConfigMap", "configMapRef")
    for key, value in (data_of(api, kind, namespace, source[field]) or {}).items():
        name = source.get("prefix", "") + key
        if b"\0" not in value and "=" not in name:
            yield name, os.fsdecode(value)


def _value(api: Api, pod: Object, variable: Object) -> str | None:
    """None leaves the variable out."""
    source = variable.get("valueFrom")
    if not source:
        return variable.get("value") or ""
    if "fieldRef" in source:
        return _field(pod, source["fieldRef"]["fieldPath"])
    for kind, field in (("Secret", "secretKeyRef"), ("ConfigMap", "configMapKeyRef")):
        if field in source:
            reference = source[field]
            data = data_of(api, kind, pod["metadata"]["namespace"], reference)
            if data is None or reference["key"] not in data:
                if reference.get("optional"):
                    return None
                raise Unconfigured(f"couldn't find key {reference['key']} in {kind} {pod['metadata']['namespace']}/{reference['name']}")
            return os.fsdecode(data[reference["key"]])
    raise Unconfigured(f"the variable {variable['name']} takes its value from {', '.join(source)}, which this control plane does not know")


def _field(pod: Object, path: str) -> str:
    meta = pod["metadata"]
    fields = {
        "metadata.name": meta["name"],
        "metadata.namespace": meta["namespace"],
        "metadata.uid": meta["uid"],
        "spec.nodeName": pod["spec"].get("nodeName", ""),
        "spec.serviceAccountName": pod["spec"].get("serviceAccountName", "default"),
        "status.podIP": "127.0.0.1",
        "status.hostIP": "127.0.0.1",
    }
    if path not in fields:
        raise Unconfigured(f"the field {path} of a pod is not available to its containers here ({', '.join(fields)} are)")
    return fields[path]
