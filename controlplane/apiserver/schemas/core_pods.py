"""Schemas of pods and of what makes pods. Fields that no migration uses are kept without being described."""

from __future__ import annotations

from typing import Any

from ansible_collections.vmshift.mtv.controlplane.apiserver.schemas.meta import LABEL_SELECTOR, OBJECT_META
from ansible_collections.vmshift.mtv.controlplane.apiserver.schemas.notation import (
    ANYTHING,
    BOOLEAN,
    INT32,
    INT64,
    INT_OR_STRING,
    STRING,
    STRING_MAP,
    STRINGS,
    Schema,
    array,
    choice,
    flag,
    integer,
    keyed,
    obj,
    open_obj,
    string,
)
from ansible_collections.vmshift.mtv.controlplane.apiserver.schemas.pods import (
    AFFINITY,
    LOCAL_REFERENCE,
    RESOURCES,
    VOLUME,
    VOLUME_MOUNT,
)

_FILE_MODE = integer(format="int32", default=420)


def _with(schema: Schema, **fields: Schema) -> Schema:
    """`schema` with some of its fields described otherwise."""
    return {**schema, "properties": {**schema["properties"], **fields}}


def _pod_volume() -> Schema:
    """Volumes of pods know defaults that volumes inside custom resources do not."""
    kinds: dict[str, Any] = VOLUME["properties"]
    modes = {name: _with(kinds[name], defaultMode=_FILE_MODE) for name in ("configMap", "downwardAPI", "projected", "secret")}
    return _with(VOLUME, **modes, hostPath=_with(kinds["hostPath"], type=string(default="")))


_KEY = obj("key", key=STRING, name=string(default=""), optional=BOOLEAN)
_ENV = obj(
    "name",
    name=STRING,
    value=STRING,
    valueFrom=open_obj(
        configMapKeyRef=_KEY,
        fieldRef=obj("fieldPath", apiVersion=string(default="v1"), fieldPath=STRING),
        secretKeyRef=_KEY,
    ),
)
_SOURCE = obj(name=string(default=""), optional=BOOLEAN)
_ENV_FROM = obj(configMapRef=_SOURCE, prefix=STRING, secretRef=_SOURCE)
_PORT = obj(
    "containerPort",
    containerPort=INT32,
    hostIP=STRING,
    hostPort=INT32,
    name=STRING,
    protocol=choice("TCP UDP SCTP", default="TCP"),
)
_PROBE = open_obj(
    failureThreshold=integer(default=3),
    httpGet=open_obj("port", path=string(default="/"), port=INT_OR_STRING, scheme=string(default="HTTP")),
    periodSeconds=integer(default=10),
    successThreshold=integer(default=1),
    timeoutSeconds=integer(default=1),
)
CONTAINER = open_obj(
    "name",
    args=STRINGS,
    command=STRINGS,
    env=array(_ENV),
    envFrom=array(_ENV_FROM),
    image=STRING,
    imagePullPolicy=choice("Always IfNotPresent Never"),
    livenessProbe=_PROBE,
    name=STRING,
    ports=array(_PORT),
    readinessProbe=_PROBE,
    resources={**RESOURCES, "properties": {**RESOURCES["properties"], "claims": array(ANYTHING)}, "default": {}},
    securityContext=ANYTHING,
    startupProbe=_PROBE,
    terminationMessagePath=string(default="/dev/termination-log"),
    terminationMessagePolicy=choice("File FallbackToLogsOnError", default="File"),
    volumeDevices=keyed(obj("devicePath name", devicePath=STRING, name=STRING), "devicePath"),
    volumeMounts=keyed(VOLUME_MOUNT, "mountPath"),
    workingDir=STRING,
)
POD_SPEC = open_obj(
    "containers",
    activeDeadlineSeconds=INT64,
    affinity=AFFINITY,
    containers=keyed(CONTAINER, "name"),
    dnsPolicy=string(default="ClusterFirst"),
    hostname=STRING,
    imagePullSecrets=array(LOCAL_REFERENCE),
    initContainers=keyed(CONTAINER, "name"),
    nodeName=STRING,
    nodeSelector=STRING_MAP,
    priorityClassName=STRING,
    restartPolicy=choice("Always OnFailure Never", default="Always"),
    schedulerName=string(default="default-scheduler"),
    securityContext={**ANYTHING, "default": {}},
    serviceAccount=STRING,
    serviceAccountName=STRING,
    terminationGracePeriodSeconds=integer(format="int64", default=30),
    tolerations=array(open_obj(effect=STRING, key=STRING, operator=STRING, tolerationSeconds=INT64, value=STRING)),
    volumes=keyed(_pod_volume(), "name"),
)
POD = obj("spec", spec=_with(POD_SPEC, enableServiceLinks=flag(True)), status=ANYTHING)

_TEMPLATE = obj("spec", metadata=OBJECT_META, spec=POD_SPEC)
JOB = obj(
    "spec",
    spec=open_obj(
        "template",
        activeDeadlineSeconds=INT64,
        backoffLimit=integer(format="int32", default=6, minimum=0),
        completionMode=string(default="NonIndexed"),
        completions=integer(format="int32", default=1, minimum=0),
        manualSelector=flag(False),
        parallelism=integer(format="int32", default=1, minimum=0),
        podReplacementPolicy=string(default="TerminatingOrFailed"),
        selector=LABEL_SELECTOR,
        suspend=flag(False),
        template=_TEMPLATE,
        ttlSecondsAfterFinished=INT32,
    ),
    status=ANYTHING,
)
_ROLLING_UPDATE: Schema = {
    **open_obj(type=choice("RollingUpdate Recreate", default="RollingUpdate")),
    "default": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
}
DEPLOYMENT = obj(
    "spec",
    spec=open_obj(
        "selector template",
        minReadySeconds=INT32,
        paused=BOOLEAN,
        progressDeadlineSeconds=integer(format="int32", default=600),
        replicas=integer(format="int32", default=1, minimum=0),
        revisionHistoryLimit=integer(format="int32", default=10),
        selector=LABEL_SELECTOR,
        strategy=_ROLLING_UPDATE,
        template=_TEMPLATE,
    ),
    status=ANYTHING,
)

# Strategic merge patches: list -> the field that tells its items apart ("" for a set of plain values).
_CONTAINER_KEYS = {
    "env": "name",
    "ports": "containerPort",
    "volumeDevices": "devicePath",
    "volumeMounts": "mountPath",
}


def merge_keys(spec: str) -> dict[str, str]:
    """The merge keys of a pod spec at the path `spec`."""
    keys = {f"{spec}.{name}": "name" for name in ("containers", "initContainers", "imagePullSecrets", "volumes")}
    for containers in ("containers", "initContainers"):
        keys.update((f"{spec}.{containers}.{name}", key) for name, key in _CONTAINER_KEYS.items())
    return keys
