"""The objects of an OVA provider server, as Forklift makes them (facts 1.1).

On a cluster a pod of the Deployment mounts the share and serves its inventory. Here the collector is part of the control
plane and reads the share itself: the objects are made, so that clients see the same, but no pod comes of the Deployment.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.vmshift.mtv.controlplane.controllers.provider_types import FINALIZERS

Object = dict[str, Any]

FINALIZER = FINALIZERS["ova"]
SUBAPP = "ova-server"
IMAGE = "quay.io/kubev2v/forklift-ova-provider-server:latest"
PORT = 8080
MOUNT = "/ova"


def provider_labels(provider_uid: str) -> dict[str, str]:
    """On the server object, by which its provider finds it."""
    return {"app": "forklift", "subapp": SUBAPP, "provider": provider_uid}


def server_labels(server: Object) -> dict[str, str]:
    """On everything that belongs to a server."""
    return {**server["metadata"]["labels"], SUBAPP: server["metadata"]["uid"]}


def server(provider: Object, namespace: str) -> Object:
    meta = provider["metadata"]
    return {
        "apiVersion": "forklift.konveyor.io/v1beta1",
        "kind": "OVAProviderServer",
        "metadata": {"generateName": f"{meta['name']}-", "namespace": namespace, "labels": provider_labels(meta["uid"])},
        "spec": {"provider": {"name": meta["name"], "namespace": meta["namespace"]}},
    }


def persistent_volume(server: Object, url: str) -> Object:
    """The NFS share. It lies outside of namespaces and so has no owner: the server's controller deletes it."""
    host, _unused, path = url.partition(":")
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"generateName": _prefix(server), "labels": server_labels(server)},
        "spec": {
            "accessModes": ["ReadOnlyMany"],
            "capacity": {"storage": "1Gi"},
            "nfs": {"server": host, "path": path},
            "persistentVolumeReclaimPolicy": "Retain",
            "volumeMode": "Filesystem",
        },
    }


def claim(server: Object, volume: Object) -> Object:
    spec = {
        "accessModes": ["ReadOnlyMany"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "",
        "volumeMode": "Filesystem",
        "volumeName": volume["metadata"]["name"],
    }
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": _owned(server), "spec": spec}


def deployment(server: Object, claim: Object) -> Object:
    provider, labels = server["spec"]["provider"], server_labels(server)
    environment = {
        "PROVIDER_NAME": provider["name"],
        "PROVIDER_NAMESPACE": provider["namespace"],
        "CATALOG_PATH": MOUNT,
        "APPLIANCE_ENDPOINTS": "false",
        "AUTH_REQUIRED": "true",
    }
    container = {
        "name": "main",
        "image": IMAGE,
        "imagePullPolicy": "Always",
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "ports": [{"containerPort": PORT, "protocol": "TCP"}],
        "readinessProbe": {
            "httpGet": {"path": "/test_connection", "port": PORT, "scheme": "HTTP"},
            "initialDelaySeconds": 5,
            "periodSeconds": 3,
            "timeoutSeconds": 2,
        },
        "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m", "memory": "512Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsGroup": 107,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [{"mountPath": MOUNT, "name": "nfs"}],
    }
    volume = {"name": "nfs", "persistentVolumeClaim": {"claimName": claim["metadata"]["name"]}}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container], "volumes": [volume]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": _owned(server), "spec": spec}


def service(server: Object) -> Object:
    ports = [{"name": "api-http", "port": PORT, "protocol": "TCP", "targetPort": PORT}]
    spec = {"type": "ClusterIP", "ports": ports, "selector": server_labels(server)}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _owned(server), "spec": spec}


def available(deployment: Object, time: str) -> Object:
    """The status of a Deployment whose one replica serves; `time`: RFC 3339."""
    name = deployment["metadata"]["name"]
    stamps = {"lastTransitionTime": time, "lastUpdateTime": time}
    conditions = [
        {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable", "message": "Deployment has minimum availability."},
        {
            "type": "Progressing",
            "status": "True",
            "reason": "NewReplicaSetAvailable",
            "message": f'Deployment "{name}" has successfully progressed.',
        },
    ]
    return {
        "observedGeneration": deployment["metadata"].get("generation", 1),
        "replicas": 1,
        "updatedReplicas": 1,
        "readyReplicas": 1,
        "availableReplicas": 1,
        "conditions": [{**condition, **stamps} for condition in conditions],
    }


def is_available(deployment: Object) -> bool:
    return (deployment.get("status") or {}).get("availableReplicas", 0) > 0


def _prefix(server: Object) -> str:
    return f"{server['spec']['provider']['name']}-"


def _owned(server: Object) -> Object:
    meta = server["metadata"]
    owner = {
        "apiVersion": server["apiVersion"],
        "kind": server["kind"],
        "name": meta["name"],
        "uid": meta["uid"],
        "blockOwnerDeletion": True,
    }
    labels = server_labels(server)
    return {"generateName": _prefix(server), "namespace": meta["namespace"], "labels": labels, "ownerReferences": [owner]}
