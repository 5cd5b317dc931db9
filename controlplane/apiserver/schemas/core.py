"""Kubernetes' own kinds, as far as a migration and its clients touch them."""

from __future__ import annotations

from typing import Any

from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Kind
from ansible_collections.vmshift.mtv.controlplane.apiserver.schemas import core_columns as columns
from ansible_collections.vmshift.mtv.controlplane.apiserver.schemas import core_pods
from ansible_collections.vmshift.mtv.controlplane.apiserver.schemas.meta import OBJECT_REFERENCE
from ansible_collections.vmshift.mtv.controlplane.apiserver.schemas.notation import (
    ANYTHING,
    BOOLEAN,
    INT32,
    INT_OR_STRING,
    QUANTITIES,
    STRING,
    STRING_MAP,
    STRINGS,
    TIME,
    Schema,
    array,
    choice,
    flag,
    mapping,
    obj,
    open_obj,
    string,
)
from ansible_collections.vmshift.mtv.controlplane.apiserver.schemas.pods import (
    CLAIM_SPEC,
    LOCAL_REFERENCE,
    NODE_SELECTOR,
    RESOURCES,
)

_ACCESS_MODES = array(choice("ReadOnlyMany ReadWriteMany ReadWriteOnce ReadWriteOncePod"))
_VOLUME_MODE = choice("Block Filesystem", default="Filesystem")
_BYTES = string(format="byte")

_SECRET = obj(data=mapping(_BYTES), immutable=BOOLEAN, stringData=STRING_MAP, type=string(default="Opaque"))
_CONFIG_MAP = obj(binaryData=mapping(_BYTES), data=STRING_MAP, immutable=BOOLEAN)
_NAMESPACE = obj(spec=obj(finalizers=STRINGS), status=ANYTHING)
_RESOURCE_QUOTA = obj(spec=obj(hard=QUANTITIES, scopeSelector=ANYTHING, scopes=STRINGS), status=obj(hard=QUANTITIES, used=QUANTITIES))
_SERVICE_ACCOUNT = obj(automountServiceAccountToken=BOOLEAN, imagePullSecrets=array(LOCAL_REFERENCE), secrets=array(OBJECT_REFERENCE))
_NODE = obj(spec=ANYTHING, status=ANYTHING)
_LEASE = obj(spec=open_obj(acquireTime=TIME, holderIdentity=STRING, leaseDurationSeconds=INT32, leaseTransitions=INT32, renewTime=TIME))
_EVENT = obj(
    "involvedObject",
    action=STRING,
    count=INT32,
    eventTime={**TIME, "nullable": True},
    firstTimestamp={**TIME, "nullable": True},
    involvedObject=OBJECT_REFERENCE,
    lastTimestamp={**TIME, "nullable": True},
    message=STRING,
    reason=STRING,
    related=OBJECT_REFERENCE,
    reportingComponent=string(default=""),
    reportingInstance=string(default=""),
    series=obj(count=INT32, lastObservedTime=TIME),
    source=obj(component=STRING, host=STRING),
    type=STRING,
)

_CLAIM_FIELDS: dict[str, Schema] = CLAIM_SPEC["properties"]
_CLAIM = obj(
    "spec",
    spec=obj(
        "accessModes resources",
        **{
            **_CLAIM_FIELDS,
            "accessModes": {**_ACCESS_MODES, "minItems": 1},
            "resources": {**RESOURCES, "required": ["requests"]},
            "volumeMode": _VOLUME_MODE,
        },
    ),
    status=ANYTHING,
)
_VOLUME = obj(
    "spec",
    spec=open_obj(
        "accessModes capacity",
        accessModes={**_ACCESS_MODES, "minItems": 1},
        capacity=QUANTITIES,
        claimRef=OBJECT_REFERENCE,
        csi=open_obj("driver volumeHandle", driver=STRING, volumeHandle=STRING),
        nfs=obj("path server", path=STRING, readOnly=BOOLEAN, server=STRING),
        nodeAffinity={"type": "object", "properties": {"required": NODE_SELECTOR}},
        persistentVolumeReclaimPolicy=choice("Delete Recycle Retain", default="Retain"),
        storageClassName=STRING,
        volumeMode=_VOLUME_MODE,
    ),
    status=ANYTHING,
)
_SERVICE = obj(
    spec=open_obj(
        clusterIP=STRING,
        clusterIPs=STRINGS,
        externalName=STRING,
        internalTrafficPolicy=string(default="Cluster"),
        ports=array(
            obj(
                "port",
                appProtocol=STRING,
                name=STRING,
                nodePort=INT32,
                port=INT32,
                protocol=choice("SCTP TCP UDP", default="TCP"),
                targetPort=INT_OR_STRING,
            )
        ),
        selector=STRING_MAP,
        sessionAffinity=choice("ClientIP None", default="None"),
        type=choice("ClusterIP ExternalName LoadBalancer NodePort", default="ClusterIP"),
    ),
    status=ANYTHING,
)
_STORAGE_CLASS = obj(
    "provisioner",
    allowVolumeExpansion=BOOLEAN,
    allowedTopologies=array(ANYTHING),
    mountOptions=STRINGS,
    parameters=STRING_MAP,
    provisioner=STRING,
    reclaimPolicy=choice("Delete Recycle Retain", default="Delete"),
    volumeBindingMode=choice("Immediate WaitForFirstConsumer", default="Immediate"),
)
_CSI_DRIVER = obj("spec", spec=open_obj(attachRequired=flag(True), podInfoOnMount=flag(False), storageCapacity=flag(False)))

_RULE = obj("verbs", apiGroups=STRINGS, nonResourceURLs=STRINGS, resourceNames=STRINGS, resources=STRINGS, verbs=STRINGS)
_ROLE = obj(rules={**array(_RULE), "nullable": True})
_CLUSTER_ROLE = obj(aggregationRule=ANYTHING, rules={**array(_RULE), "nullable": True})
_BINDING = obj(
    "roleRef",
    roleRef=obj("kind name", apiGroup=string(default="rbac.authorization.k8s.io"), kind=STRING, name=STRING),
    subjects=array(obj("kind name", apiGroup=STRING, kind=STRING, name=STRING, namespace=STRING)),
)

# The schemas inside definitions are schemas of schemas: kept as they are.
_DEFINITION_VERSION = obj(
    "name served storage",
    additionalPrinterColumns=array(
        obj(
            "jsonPath name type",
            description=STRING,
            format=STRING,
            jsonPath=STRING,
            name=STRING,
            priority=INT32,
            type=choice("integer number string boolean date"),
        )
    ),
    deprecated=BOOLEAN,
    deprecationWarning=STRING,
    name=STRING,
    schema=obj(openAPIV3Schema=ANYTHING),
    selectableFields=array(ANYTHING),
    served=BOOLEAN,
    storage=BOOLEAN,
    subresources=obj(scale=ANYTHING, status=ANYTHING),
)
_DEFINITION = obj(
    "spec",
    spec=obj(
        "group names scope versions",
        conversion=ANYTHING,
        group=STRING,
        names=obj(
            "kind plural",
            categories=STRINGS,
            kind=STRING,
            listKind=STRING,
            plural=STRING,
            shortNames=STRINGS,
            singular=STRING,
        ),
        preserveUnknownFields=BOOLEAN,
        scope=choice("Cluster Namespaced"),
        versions=array(_DEFINITION_VERSION),
    ),
    status=ANYTHING,
)

_ATTRIBUTES = obj(
    fieldSelector=ANYTHING,
    group=STRING,
    labelSelector=ANYTHING,
    name=STRING,
    namespace=STRING,
    resource=STRING,
    subresource=STRING,
    verb=STRING,
    version=STRING,
)
_PATHS = obj(path=STRING, verb=STRING)
_SELF_REVIEW = obj("spec", spec=obj(nonResourceAttributes=_PATHS, resourceAttributes=_ATTRIBUTES), status=ANYTHING)
_REVIEW = obj(
    "spec",
    spec=obj(
        extra=mapping(STRINGS),
        groups=STRINGS,
        nonResourceAttributes=_PATHS,
        resourceAttributes=_ATTRIBUTES,
        uid=STRING,
        user=STRING,
    ),
    status=ANYTHING,
)
_TOKEN_REVIEW = obj("spec", spec=obj(audiences=STRINGS, token=STRING), status=ANYTHING)


def _kind(group: str, plural: str, kind: str, schema: Schema, *short_names: str, **more: Any) -> Kind:
    """A kind of version v1; namespaced, without status, strategic merge patches replace its lists, unless told otherwise."""
    return Kind(group, "v1", plural, kind.lower(), kind, schema=schema, short_names=short_names, **{"merge_keys": {}, **more})


def _workload(group: str, plural: str, kind: str, schema: Schema, *short_names: str, **more: Any) -> Kind:
    return _kind(group, plural, kind, schema, *short_names, status=True, categories=("all",), **more)


_CLUSTER: dict[str, Any] = {"namespaced": False}
_VIRTUAL: dict[str, Any] = {"namespaced": False, "virtual": True}
_AUTHORIZATION, _RBAC, _STORAGE = "authorization.k8s.io", "rbac.authorization.k8s.io", "storage.k8s.io"

KINDS = (
    _kind("", "namespaces", "Namespace", _NAMESPACE, "ns", status=True, columns=columns.NAMESPACE, **_CLUSTER),
    _kind("", "secrets", "Secret", _SECRET, columns=columns.SECRET),
    _kind("", "configmaps", "ConfigMap", _CONFIG_MAP, "cm", columns=columns.CONFIG_MAP),
    _workload("", "pods", "Pod", core_pods.POD, "po", columns=columns.POD, merge_keys=core_pods.merge_keys("spec")),
    _kind("", "events", "Event", _EVENT, "ev", columns=columns.EVENT),
    _kind("", "persistentvolumes", "PersistentVolume", _VOLUME, "pv", status=True, columns=columns.VOLUME, **_CLUSTER),
    _kind("", "persistentvolumeclaims", "PersistentVolumeClaim", _CLAIM, "pvc", status=True, columns=columns.CLAIM),
    _workload("", "services", "Service", _SERVICE, "svc", columns=columns.SERVICE, merge_keys={"spec.ports": "port"}),
    _kind(
        "",
        "serviceaccounts",
        "ServiceAccount",
        _SERVICE_ACCOUNT,
        "sa",
        merge_keys={"secrets": "name", "imagePullSecrets": "name"},
    ),
    _kind("", "resourcequotas", "ResourceQuota", _RESOURCE_QUOTA, "quota", status=True, columns=columns.RESOURCE_QUOTA),
    _kind("", "nodes", "Node", _NODE, "no", status=True, columns=columns.NODE, **_CLUSTER),
    _workload("batch", "jobs", "Job", core_pods.JOB, columns=columns.JOB, merge_keys=core_pods.merge_keys("spec.template.spec")),
    _workload(
        "apps",
        "deployments",
        "Deployment",
        core_pods.DEPLOYMENT,
        "deploy",
        columns=columns.DEPLOYMENT,
        merge_keys=core_pods.merge_keys("spec.template.spec"),
    ),
    _kind(_STORAGE, "storageclasses", "StorageClass", _STORAGE_CLASS, "sc", columns=columns.STORAGE_CLASS, **_CLUSTER),
    _kind(_STORAGE, "csidrivers", "CSIDriver", _CSI_DRIVER, columns=columns.CSI_DRIVER, **_CLUSTER),
    _kind(_RBAC, "roles", "Role", _ROLE, columns=columns.ROLE),
    _kind(_RBAC, "rolebindings", "RoleBinding", _BINDING, columns=columns.BINDING),
    _kind(_RBAC, "clusterroles", "ClusterRole", _CLUSTER_ROLE, columns=columns.ROLE, **_CLUSTER),
    _kind(_RBAC, "clusterrolebindings", "ClusterRoleBinding", _BINDING, columns=columns.BINDING, **_CLUSTER),
    _kind(
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        _DEFINITION,
        "crd",
        "crds",
        status=True,
        categories=("api-extensions",),
        columns=columns.DEFINITION,
        **_CLUSTER,
    ),
    _kind("coordination.k8s.io", "leases", "Lease", _LEASE, columns=columns.LEASE),
    _kind("authentication.k8s.io", "tokenreviews", "TokenReview", _TOKEN_REVIEW, **_VIRTUAL),
    _kind(_AUTHORIZATION, "subjectaccessreviews", "SubjectAccessReview", _REVIEW, **_VIRTUAL),
    _kind(_AUTHORIZATION, "selfsubjectaccessreviews", "SelfSubjectAccessReview", _SELF_REVIEW, **_VIRTUAL),
)
