"""What `kubectl get` prints of Kubernetes' own kinds. The name comes first without being listed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Column
from ansible_collections.vmshift.mtv.controlplane.apiserver.tables import age, duration

Object = dict[str, Any]

AGE = Column("Age", "date", ".metadata.creationTimestamp")
_NONE = "<none>"
_ACCESS_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def _at(obj: Any, *path: str | int) -> Any:
    """The value at `path`, or None."""
    for step in path:
        try:
            obj = obj[step]
        except (KeyError, IndexError, TypeError):
            return None
    return obj


def _text(name: str, *path: str | int, wide: bool = False, absent: str = "") -> Column:
    return Column(name, priority=int(wide), value=lambda obj: str(value) if (value := _at(obj, *path)) not in (None, "") else absent)


# Pods


def _containers(pod: Object) -> str:
    statuses = _at(pod, "status", "containerStatuses") or []
    ready = sum(bool(s.get("ready")) and "running" in s.get("state", {}) for s in statuses)
    return f"{ready}/{len(_at(pod, 'spec', 'containers') or [])}"


def pod_status(pod: Object) -> str:
    """The STATUS of a pod in one word: its phase, or why a container is not running."""
    status = pod.get("status", {})
    if "deletionTimestamp" in pod["metadata"]:
        return "Terminating"
    word = status.get("reason") or status.get("phase", "")
    starting = list(_init_troubles(status.get("initContainerStatuses", [])))
    if starting:
        return starting[0]
    statuses = status.get("containerStatuses", [])
    for container in reversed(statuses):
        word = _trouble(container) or word
    running = any(c.get("ready") and "running" in c.get("state", {}) for c in statuses)
    return "Running" if word == "Completed" and running else word


def _trouble(container: Object) -> str:
    waiting, ended = _at(container, "state", "waiting"), _at(container, "state", "terminated")
    if waiting and waiting.get("reason"):
        return str(waiting["reason"])
    if ended is None:
        return ""
    if ended.get("reason"):
        return str(ended["reason"])
    return f"Signal:{ended['signal']}" if ended.get("signal") else f"ExitCode:{ended.get('exitCode', 0)}"


def _init_troubles(statuses: list[Object]) -> Iterator[str]:
    for index, container in enumerate(statuses):
        ended = _at(container, "state", "terminated")
        if ended is not None and ended.get("exitCode") == 0:
            continue
        word = _trouble(container)
        yield f"Init:{word}" if word and word != "PodInitializing" else f"Init:{index}/{len(statuses)}"


def _restarts(pod: Object) -> str:
    return str(sum(c.get("restartCount", 0) for c in _at(pod, "status", "containerStatuses") or []))


POD = (
    Column("Ready", value=_containers),
    Column("Status", value=pod_status),
    Column("Restarts", value=_restarts),
    AGE,
    _text("IP", "status", "podIP", wide=True, absent=_NONE),
    _text("Node", "spec", "nodeName", wide=True, absent=_NONE),
    _text("Nominated Node", "status", "nominatedNodeName", wide=True, absent=_NONE),
    Column("Readiness Gates", priority=1, value=lambda _pod: _NONE),
)

# Volumes


def _modes(*path: str) -> Column:
    return Column("Access Modes", value=lambda obj: ",".join(_ACCESS_MODES.get(mode, mode) for mode in _at(obj, *path) or []))


def _volume_status(obj: Object) -> str:
    return "Terminating" if "deletionTimestamp" in obj["metadata"] else str(_at(obj, "status", "phase") or "")


def _claim(volume: Object) -> str:
    claim = _at(volume, "spec", "claimRef")
    return f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else ""


CLAIM = (
    Column("Status", value=_volume_status),
    _text("Volume", "spec", "volumeName"),
    _text("Capacity", "status", "capacity", "storage"),
    _modes("status", "accessModes"),
    _text("StorageClass", "spec", "storageClassName"),
    _text("VolumeAttributesClass", "spec", "volumeAttributesClassName", absent="<unset>"),
    AGE,
    _text("VolumeMode", "spec", "volumeMode", wide=True, absent="<unset>"),
)
VOLUME = (
    _text("Capacity", "spec", "capacity", "storage"),
    _modes("spec", "accessModes"),
    _text("Reclaim Policy", "spec", "persistentVolumeReclaimPolicy"),
    Column("Status", value=_volume_status),
    Column("Claim", value=_claim),
    _text("StorageClass", "spec", "storageClassName"),
    _text("VolumeAttributesClass", "spec", "volumeAttributesClassName", absent="<unset>"),
    _text("Reason", "status", "reason"),
    AGE,
    _text("VolumeMode", "spec", "volumeMode", wide=True, absent="<unset>"),
)
STORAGE_CLASS = (
    _text("Provisioner", "provisioner"),
    _text("ReclaimPolicy", "reclaimPolicy"),
    _text("VolumeBindingMode", "volumeBindingMode"),
    Column("AllowVolumeExpansion", value=lambda obj: str(bool(obj.get("allowVolumeExpansion"))).lower()),
    AGE,
)
CSI_DRIVER = (
    Column("AttachRequired", "boolean", value=lambda obj: _at(obj, "spec", "attachRequired") is not False),
    Column("PodInfoOnMount", "boolean", value=lambda obj: bool(_at(obj, "spec", "podInfoOnMount"))),
    Column("Modes", value=lambda obj: ",".join(_at(obj, "spec", "volumeLifecycleModes") or ["Persistent"])),
    AGE,
)

# Workloads


def _job_status(job: Object) -> str:
    for condition in _at(job, "status", "conditions") or []:
        if condition.get("status") == "True" and condition["type"] in ("Complete", "Failed", "Suspended"):
            return str(condition["type"])
    return "Terminating" if "deletionTimestamp" in job["metadata"] else "Running"


def _job_duration(job: Object) -> str:
    started = _at(job, "status", "startTime")
    if not started:
        return ""
    ended = _at(job, "status", "completionTime")
    return duration(int(((_time(ended) if ended else datetime.now(timezone.utc)) - _time(started)).total_seconds()))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _images(obj: Object) -> str:
    return ",".join(c.get("image", "") for c in _at(obj, "spec", "template", "spec", "containers") or [])


def _selector(obj: Object) -> str:
    labels = _at(obj, "spec", "selector", "matchLabels") or {}
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or _NONE


_TEMPLATE = (Column("Images", priority=1, value=_images), Column("Selector", priority=1, value=_selector))
JOB = (
    Column("Status", value=_job_status),
    Column("Completions", value=lambda j: f"{_at(j, 'status', 'succeeded') or 0}/{_at(j, 'spec', 'completions') or 1}"),
    Column("Duration", value=_job_duration),
    AGE,
    *_TEMPLATE,
)
DEPLOYMENT = (
    Column("Ready", value=lambda d: f"{_at(d, 'status', 'readyReplicas') or 0}/{_at(d, 'spec', 'replicas') or 0}"),
    Column("Up-to-date", "integer", value=lambda d: _at(d, "status", "updatedReplicas") or 0),
    Column("Available", "integer", value=lambda d: _at(d, "status", "availableReplicas") or 0),
    AGE,
    *_TEMPLATE,
)

# The rest


def _node_status(node: Object) -> str:
    ready = [c for c in _at(node, "status", "conditions") or [] if c.get("type") == "Ready"]
    word = "Unknown" if not ready else "Ready" if ready[0].get("status") == "True" else "NotReady"
    return f"{word},SchedulingDisabled" if _at(node, "spec", "unschedulable") else word


def _node_roles(node: Object) -> str:
    prefix = "node-role.kubernetes.io/"
    return ",".join(sorted(key[len(prefix) :] for key in _at(node, "metadata", "labels") or {} if key.startswith(prefix))) or _NONE


def _ports(service: Object) -> str:
    ports = _at(service, "spec", "ports") or []
    return ",".join(map(_port, ports)) or _NONE


def _port(port: Object) -> str:
    outside = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port.get('port')}{outside}/{port.get('protocol', 'TCP')}"


def _count(*fields: str) -> Column:
    return Column("Data", "integer", value=lambda obj: sum(len(obj.get(field) or {}) for field in fields))


def _last_seen(event: Object) -> str:
    series = _at(event, "series", "lastObservedTime")
    return age(series or event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp"))


def _role(binding: Object) -> str:
    return f"{_at(binding, 'roleRef', 'kind')}/{_at(binding, 'roleRef', 'name')}"


NAMESPACE = (_text("Status", "status", "phase"), AGE)


def _used(quota: Object, *, limits: bool) -> str:
    """USED/HARD of everything that a quota limits, limits of pods apart."""
    hard, used = _at(quota, "status", "hard") or {}, _at(quota, "status", "used") or {}
    return ", ".join(f"{name}: {used.get(name, 0)}/{hard[name]}" for name in sorted(hard) if name.startswith("limits.") == limits)


SECRET = (_text("Type", "type"), _count("data"), AGE)
CONFIG_MAP = (_count("data", "binaryData"), AGE)
RESOURCE_QUOTA = (
    Column("Request", value=lambda quota: _used(quota, limits=False)),
    Column("Limit", value=lambda quota: _used(quota, limits=True)),
    AGE,
)
NODE = (
    Column("Status", value=_node_status),
    Column("Roles", value=_node_roles),
    AGE,
    _text("Version", "status", "nodeInfo", "kubeletVersion"),
)
SERVICE = (
    _text("Type", "spec", "type", absent="ClusterIP"),
    _text("Cluster-IP", "spec", "clusterIP", absent=_NONE),
    Column("External-IP", value=lambda _service: _NONE),
    Column("Port(s)", value=_ports),
    AGE,
)
EVENT = (
    Column("Last Seen", value=_last_seen),
    _text("Type", "type"),
    _text("Reason", "reason"),
    Column("Object", value=lambda e: f"{(_at(e, 'involvedObject', 'kind') or '').lower()}/{_at(e, 'involvedObject', 'name') or ''}"),
    Column("Message", value=lambda e: str(e.get("message") or "").strip()),
    _text("Count", "count", wide=True),
)
ROLE = (_text("Created At", "metadata", "creationTimestamp"),)
BINDING = (Column("Role", value=_role), AGE)
DEFINITION = ROLE
LEASE = (_text("Holder", "spec", "holderIdentity"), AGE)
