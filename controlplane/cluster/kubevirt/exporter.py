"""What a VirtualMachineExport is made of, as KubeVirt makes it: service, token, pod, manifests, links. Pure.

    VirtualMachineExport --> exporter pod (datapath/export_server.py), which reads the claims and serves them

Pods share the network of this machine, so each server has a port of its own, which its Service remembers for the next pod.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import Any

from ansible_collections.vmshift.mtv.controlplane import quantity
from ansible_collections.vmshift.mtv.controlplane.cluster.images import EXPORTER_IMAGE
from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import now
from ansible_collections.vmshift.mtv.controlplane.datapath.export_server import EXTERNAL, INTERNAL, MANIFESTS
from ansible_collections.vmshift.mtv.controlplane.datapath.mounts import DISK_IMAGE

Object = dict[str, Any]

GROUP, VERSION = "export.kubevirt.io", "v1"
KIND = "VirtualMachineExport"
PENDING, READY, SKIPPED, TERMINATED = "Pending", "Ready", "Skipped", "Terminated"
DEFAULT_TTL = "2h"
SERVICE_LABEL = "kubevirt.io.virt-export-service"
CONTENT_TYPE = "cdi.kubevirt.io/storage.contentType"
#: On the Service of an export: where on this machine it is served.
PORT_ANNOTATION = "local.vmshift.io/port"
HOST = "127.0.0.1"
TOKEN_KEY = "token"
_NAME_MAX = 63
_CERTIFICATES, _TOKEN, _MANIFEST_DATA = "certificates", "export-token", "manifest-data"
_BLOCK_PATH, _FILE_PATH = "/dev/export-volumes", "/export-volumes"


def named(prefix: str, name: str) -> str:
    """`prefix-name`, with a hash in the place of what is too much of it."""
    whole = f"{prefix}-{name}"
    if len(whole) <= _NAME_MAX:
        return whole
    digest = hashlib.sha256(whole.encode()).hexdigest()[:8]
    return f"{whole[: _NAME_MAX - len(digest) - 1].rstrip('-.')}-{digest}"


def service_name(export: Object) -> str:
    return named("virt-export", export["metadata"]["name"])


pod_name = service_name


def token_name(export: Object) -> str:
    """Of the Secret with the token: the user's own, or one that is made."""
    return export["spec"].get("tokenSecretRef") or named("export-token", export["metadata"]["name"])


def expires(export: Object) -> datetime:
    created = datetime.fromisoformat(export["metadata"]["creationTimestamp"].replace("Z", "+00:00"))
    return created + timedelta(seconds=quantity.seconds_of(export["spec"].get("ttlDuration") or DEFAULT_TTL))


def stamp(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def owned_by(owner: Object) -> list[Object]:
    meta = owner["metadata"]
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": meta["name"], "uid": meta["uid"]}
    return [{**reference, "controller": True, "blockOwnerDeletion": True}]


def _child(export: Object, kind: str, name: str, **fields: Any) -> Object:
    meta = {"name": name, "namespace": export["metadata"]["namespace"], "ownerReferences": owned_by(export)}
    return {"apiVersion": "v1", "kind": kind, "metadata": meta, **fields}


def service(export: Object, port: int) -> Object:
    ports = [{"protocol": "TCP", "port": 443, "targetPort": 8443}]
    made = _child(export, "Service", service_name(export), spec={"ports": ports, "selector": {SERVICE_LABEL: export["metadata"]["name"]}})
    made["metadata"].update(labels={"app": "containerized-data-exporter"}, annotations={PORT_ANNOTATION: str(port)})
    return made


def token_secret(export: Object, token: str) -> Object:
    return _child(export, "Secret", token_name(export), type="Opaque", data={TOKEN_KEY: base64.b64encode(token.encode()).decode()})


def certificate(export: Object, pod: Object, key: bytes, certificate: bytes) -> Object:
    """The Secret with the server's certificate. It goes with its pod."""
    data = {"tls.crt": base64.b64encode(certificate).decode(), "tls.key": base64.b64encode(key).decode()}
    made = _child(export, "Secret", _certificate_name(pod), type="kubernetes.io/tls", data=data)
    made["metadata"]["ownerReferences"] = owned_by(pod)
    return made


def _certificate_name(pod: Object) -> str:
    return next(v["secret"]["secretName"] for v in pod["spec"]["volumes"] if v["name"] == _CERTIFICATES)


# What there is to export


def claim_names(machine: Object) -> list[str]:
    """Of a VirtualMachine, in the order of its volumes."""
    found = []
    for volume in ((machine["spec"].get("template") or {}).get("spec") or {}).get("volumes") or ():
        if "persistentVolumeClaim" in volume:
            found.append(volume["persistentVolumeClaim"]["claimName"])
        elif "dataVolume" in volume:
            found.append(volume["dataVolume"]["name"])
    return found


def expanded(machine: Object, instance_type: Object | None) -> Object:
    """The VM as it is exported: without status and identity, with what its instance type says in its place."""
    meta = machine["metadata"]
    made: Object = {
        "apiVersion": machine["apiVersion"],
        "kind": machine["kind"],
        "metadata": {key: meta[key] for key in ("name", "namespace", "labels", "annotations") if key in meta},
        "spec": copy.deepcopy(machine["spec"]),
    }
    made["spec"].pop("instancetype", None)
    if instance_type is not None:
        domain = made["spec"]["template"]["spec"].setdefault("domain", {})
        cpu, memory = instance_type["spec"]["cpu"], instance_type["spec"]["memory"]
        # KubeVirt shows the CPUs of an instance type to a guest as sockets, as long as nothing prefers otherwise.
        domain["cpu"] = {**(domain.get("cpu") or {}), "sockets": cpu["guest"], "cores": 1, "threads": 1}
        domain["memory"] = {**(domain.get("memory") or {}), "guest": memory["guest"]}
    for template in made["spec"].get("dataVolumeTemplates") or ():
        template["spec"].pop("sourceRef", None)
        template["spec"]["source"] = {"http": {"url": ""}}
    return made


def manifest(export: Object, machine: Object, claims: Iterable[Object], port: int, authority: str) -> Object:
    """The ConfigMap that the server makes its manifests from. `machine`: expanded; `authority`: PEM."""
    name = export["metadata"]["name"]
    trusted = json.dumps({"metadata": {"name": named("export-ca-cm", name)}, "data": {"ca.pem": authority}})
    own = {template["metadata"]["name"] for template in machine["spec"].get("dataVolumeTemplates") or ()}
    data = {
        "export-name": name,
        "virtualmachine-manifest": json.dumps(machine),
        f"{INTERNAL}_host": _host(export, port, INTERNAL),
        f"{EXTERNAL}_host": _host(export, port, EXTERNAL),
        f"{INTERNAL}_ca_cm": trusted,
        f"{EXTERNAL}_ca_cm": trusted,
    }
    for claim in claims:
        if claim["metadata"]["name"] not in own:
            data[f"dv-{claim['metadata']['name']}"] = json.dumps(_data_volume(claim))
    return _child(export, "ConfigMap", _manifest_name(export), data=data)


def _manifest_name(export: Object) -> str:
    return named("exporter-vm-manifest", export["metadata"]["name"])


def _data_volume(claim: Object) -> Object:
    """That would have the content of `claim`; the server fills in from where."""
    spec = {key: value for key, value in claim["spec"].items() if key not in ("volumeName", "dataSource", "dataSourceRef")}
    meta = {"name": claim["metadata"]["name"], "namespace": claim["metadata"]["namespace"]}
    source = {"http": {"url": ""}}
    return {"apiVersion": "cdi.kubevirt.io/v1beta1", "kind": "DataVolume", "metadata": meta, "spec": {"pvc": spec, "source": source}}


# The pod


def pod(export: Object, claims: list[Object], port: int, *, with_manifest: bool, secret: str) -> Object:
    """`secret`: name of the Secret with the server's certificate."""
    name = export["metadata"]["name"]
    volumes: list[Object] = []
    mounts: list[Object] = []
    devices: list[Object] = []
    environment: list[Object] = []
    for number, claim in enumerate(claims):
        volume = claim["metadata"]["name"].replace(".", "-")
        volumes.append({"name": volume, "persistentVolumeClaim": {"claimName": claim["metadata"]["name"], "readOnly": True}})
        if _is_block(claim):
            path = f"{_BLOCK_PATH}/{volume}"
            devices.append({"name": volume, "devicePath": path})
        else:
            path = f"{_FILE_PATH}/{volume}"
            mounts.append({"name": volume, "mountPath": path, "readOnly": True})
        uris = {kind: uri for kind, _format, uri in _forms(claim)}
        environment.append({"name": f"VOLUME{number}_EXPORT_PATH", "value": path})
        environment += [{"name": f"VOLUME{number}_EXPORT_{kind}_URI", "value": uri} for kind, uri in uris.items()]
    places = [(_CERTIFICATES, {"secret": {"secretName": secret}}, "/cert")]
    places.append((_TOKEN, {"secret": {"secretName": token_name(export)}}, "/token"))
    given = {
        "CERT_FILE": "/cert/tls.crt",
        "KEY_FILE": "/cert/tls.key",
        "TOKEN_FILE": f"/token/{TOKEN_KEY}",
        "DEADLINE": stamp(expires(export)),
        "LISTEN_ADDR": f"{HOST}:{port}",
        "EXPORT_BASE_PATH": _base_path(export),
    }
    if with_manifest:
        places.append((_MANIFEST_DATA, {"configMap": {"name": _manifest_name(export)}}, MANIFESTS))
        given.update(EXPORT_VM_DEF_URI="/manifests/all", EXPORT_SECRET_DEF_URI="/manifests/secret")
    volumes += [{"name": volume, **source} for volume, source, _path in places]
    mounts += [{"name": volume, "mountPath": path} for volume, _source, path in places]
    container = {
        "name": pod_name(export),
        "image": EXPORTER_IMAGE,
        "env": [*environment, *({"name": key, "value": value} for key, value in given.items())],
        "resources": {"requests": {"cpu": "100m", "memory": "200Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": mounts,
        **({"volumeDevices": devices} if devices else {}),
    }
    made = _child(
        export,
        "Pod",
        pod_name(export),
        spec={
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 2,
            "securityContext": {"runAsNonRoot": True, "fsGroup": 107, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
            "volumes": volumes,
        },
    )
    made["metadata"]["labels"] = {SERVICE_LABEL: name}
    return made


def _is_block(claim: Object) -> bool:
    return claim["spec"].get("volumeMode") == "Block"


def _forms(claim: Object) -> list[tuple[str, str, str]]:
    """(name in the pod's environment, format of the link, path) of each form that a volume is served in.

    Every volume here holds a disk. Of one that nobody says that of, KubeVirt serves what it has as a folder, too.
    """
    base = f"/volumes/{claim['metadata']['name']}"
    found = [("RAW", "raw", f"{base}/{DISK_IMAGE}"), ("RAW_GZIP", "gzip", f"{base}/{DISK_IMAGE}.gz")]
    content = (claim["metadata"].get("annotations") or {}).get(CONTENT_TYPE)
    if not _is_block(claim) and content is None:
        found += [("DIR", "dir", f"{base}/dir/"), ("ARCHIVE", "tar.gz", f"{base}/disk.tar.gz")]
    return found


# Links


def _base_path(export: Object) -> str:
    meta = export["metadata"]
    return f"/api/{GROUP}/{VERSION}/namespaces/{meta['namespace']}/virtualmachineexports/{meta['name']}"


def _host(export: Object, port: int, kind: str) -> str:
    return f"{HOST}:{port}{_base_path(export) if kind == EXTERNAL else ''}"


def links(export: Object, claims: list[Object], port: int, authority: str, *, with_manifest: bool) -> Object:
    found = {}
    for kind in (INTERNAL, EXTERNAL):
        base = f"https://{_host(export, port, kind)}"
        volumes = [
            {"name": claim["metadata"]["name"], "formats": [{"format": form, "url": base + uri} for _name, form, uri in _forms(claim)]}
            for claim in claims
        ]
        manifests = [
            {"type": type, "url": f"{base}/{kind}/manifests/{uri}"} for type, uri in (("all", "all"), ("auth-header-secret", "secret"))
        ]
        found[kind] = {"cert": authority.strip(), "volumes": volumes, **({"manifests": manifests} if with_manifest else {})}
    return found


def condition(type: str, status: bool, reason: str, message: str = "") -> Object:
    return {"type": type, "status": str(status), "reason": reason, "message": message, "lastProbeTime": None, "lastTransitionTime": now()}


def unless_new(conditions: list[Object], before: list[Object]) -> list[Object]:
    """Conditions that say what they said before keep their times."""
    old = {tuple(c.get(key) for key in ("type", "status", "reason", "message")): c for c in before}
    return [old.get(tuple(c[key] for key in ("type", "status", "reason", "message")), c) for c in conditions]
