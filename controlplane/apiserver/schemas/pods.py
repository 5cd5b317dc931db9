"""Schemas of what pods are made of, as far as other kinds carry it: scheduling, volumes, claims.

The fields and defaults of Kubernetes 1.33 (k8s.io/api/core/v1), which Forklift's own definitions are made from.
"""

from __future__ import annotations

from ansible_collections.vmshift.mtv.controlplane.apiserver.schemas.meta import LABEL_SELECTOR
from ansible_collections.vmshift.mtv.controlplane.apiserver.schemas.notation import (
    BOOLEAN,
    EMPTY,
    INT32,
    INT64,
    QUANTITIES,
    QUANTITY,
    STRING,
    STRING_MAP,
    STRINGS,
    Schema,
    array,
    atomic,
    obj,
    string,
)

# Scheduling

_REQUIREMENTS = atomic(array(obj("key operator", key=STRING, operator=STRING, values=atomic(STRINGS))))
NODE_SELECTOR_TERM = atomic(obj(matchExpressions=_REQUIREMENTS, matchFields=_REQUIREMENTS))
NODE_SELECTOR = atomic(obj("nodeSelectorTerms", nodeSelectorTerms=atomic(array(NODE_SELECTOR_TERM))))
_POD_TERM = obj(
    "topologyKey",
    labelSelector=LABEL_SELECTOR,
    matchLabelKeys=atomic(STRINGS),
    mismatchLabelKeys=atomic(STRINGS),
    namespaceSelector=LABEL_SELECTOR,
    namespaces=atomic(STRINGS),
    topologyKey=STRING,
)


def _rules(preferred: Schema, required: Schema) -> Schema:
    return obj(
        preferredDuringSchedulingIgnoredDuringExecution=atomic(array(preferred)),
        requiredDuringSchedulingIgnoredDuringExecution=required,
    )


_POD_RULES = _rules(obj("podAffinityTerm weight", podAffinityTerm=_POD_TERM, weight=INT32), atomic(array(_POD_TERM)))
AFFINITY = obj(
    nodeAffinity=_rules(obj("preference weight", preference=NODE_SELECTOR_TERM, weight=INT32), NODE_SELECTOR),
    podAffinity=_POD_RULES,
    podAntiAffinity=_POD_RULES,
)

# Claims

RESOURCES = obj(limits=QUANTITIES, requests=QUANTITIES)
DATA_SOURCE = atomic(obj("kind name", apiGroup=STRING, kind=STRING, name=STRING))
DATA_SOURCE_REF = obj("kind name", apiGroup=STRING, kind=STRING, name=STRING, namespace=STRING)
CLAIM_SPEC = obj(
    accessModes=atomic(STRINGS),
    dataSource=DATA_SOURCE,
    dataSourceRef=DATA_SOURCE_REF,
    resources=RESOURCES,
    selector=LABEL_SELECTOR,
    storageClassName=STRING,
    volumeAttributesClassName=STRING,
    volumeMode=STRING,
    volumeName=STRING,
)

# Volumes

_NAME = string(default="")
LOCAL_REFERENCE = atomic(obj(name=_NAME))
_ITEMS = atomic(array(obj("key path", key=STRING, mode=INT32, path=STRING)))
_FIELD = atomic(obj("fieldPath", apiVersion=STRING, fieldPath=STRING))
_RESOURCE_FIELD = atomic(obj("resource", containerName=STRING, divisor=QUANTITY, resource=STRING))
_DOWNWARD_ITEMS = atomic(array(obj("path", fieldRef=_FIELD, mode=INT32, path=STRING, resourceFieldRef=_RESOURCE_FIELD)))
_PROJECTION = obj(
    clusterTrustBundle=obj("path", labelSelector=LABEL_SELECTOR, name=STRING, optional=BOOLEAN, path=STRING, signerName=STRING),
    configMap=atomic(obj(items=_ITEMS, name=_NAME, optional=BOOLEAN)),
    downwardAPI=obj(items=_DOWNWARD_ITEMS),
    secret=atomic(obj(items=_ITEMS, name=_NAME, optional=BOOLEAN)),
    serviceAccountToken=obj("path", audience=STRING, expirationSeconds=INT64, path=STRING),
)

VOLUME = obj(
    "name",
    name=STRING,
    awsElasticBlockStore=obj("volumeID", fsType=STRING, partition=INT32, readOnly=BOOLEAN, volumeID=STRING),
    azureDisk=obj(
        "diskName diskURI",
        cachingMode=STRING,
        diskName=STRING,
        diskURI=STRING,
        fsType=string(default="ext4"),
        kind=STRING,
        readOnly={**BOOLEAN, "default": False},
    ),
    azureFile=obj("secretName shareName", readOnly=BOOLEAN, secretName=STRING, shareName=STRING),
    cephfs=obj(
        "monitors",
        monitors=atomic(STRINGS),
        path=STRING,
        readOnly=BOOLEAN,
        secretFile=STRING,
        secretRef=LOCAL_REFERENCE,
        user=STRING,
    ),
    cinder=obj("volumeID", fsType=STRING, readOnly=BOOLEAN, secretRef=LOCAL_REFERENCE, volumeID=STRING),
    configMap=atomic(obj(defaultMode=INT32, items=_ITEMS, name=_NAME, optional=BOOLEAN)),
    csi=obj("driver", driver=STRING, fsType=STRING, nodePublishSecretRef=LOCAL_REFERENCE, readOnly=BOOLEAN, volumeAttributes=STRING_MAP),
    downwardAPI=obj(defaultMode=INT32, items=_DOWNWARD_ITEMS),
    emptyDir=obj(medium=STRING, sizeLimit=QUANTITY),
    ephemeral=obj(volumeClaimTemplate=obj("spec", metadata=EMPTY, spec=CLAIM_SPEC)),
    fc=obj(fsType=STRING, lun=INT32, readOnly=BOOLEAN, targetWWNs=atomic(STRINGS), wwids=atomic(STRINGS)),
    flexVolume=obj("driver", driver=STRING, fsType=STRING, options=STRING_MAP, readOnly=BOOLEAN, secretRef=LOCAL_REFERENCE),
    flocker=obj(datasetName=STRING, datasetUUID=STRING),
    gcePersistentDisk=obj("pdName", fsType=STRING, partition=INT32, pdName=STRING, readOnly=BOOLEAN),
    gitRepo=obj("repository", directory=STRING, repository=STRING, revision=STRING),
    glusterfs=obj("endpoints path", endpoints=STRING, path=STRING, readOnly=BOOLEAN),
    hostPath=obj("path", path=STRING, type=STRING),
    image=obj(pullPolicy=STRING, reference=STRING),
    iscsi=obj(
        "iqn lun targetPortal",
        chapAuthDiscovery=BOOLEAN,
        chapAuthSession=BOOLEAN,
        fsType=STRING,
        initiatorName=STRING,
        iqn=STRING,
        iscsiInterface=string(default="default"),
        lun=INT32,
        portals=atomic(STRINGS),
        readOnly=BOOLEAN,
        secretRef=LOCAL_REFERENCE,
        targetPortal=STRING,
    ),
    nfs=obj("path server", path=STRING, readOnly=BOOLEAN, server=STRING),
    persistentVolumeClaim=obj("claimName", claimName=STRING, readOnly=BOOLEAN),
    photonPersistentDisk=obj("pdID", fsType=STRING, pdID=STRING),
    portworxVolume=obj("volumeID", fsType=STRING, readOnly=BOOLEAN, volumeID=STRING),
    projected=obj(defaultMode=INT32, sources=atomic(array(_PROJECTION))),
    quobyte=obj("registry volume", group=STRING, readOnly=BOOLEAN, registry=STRING, tenant=STRING, user=STRING, volume=STRING),
    rbd=obj(
        "image monitors",
        fsType=STRING,
        image=STRING,
        keyring=string(default="/etc/ceph/keyring"),
        monitors=atomic(STRINGS),
        pool=string(default="rbd"),
        readOnly=BOOLEAN,
        secretRef=LOCAL_REFERENCE,
        user=string(default="admin"),
    ),
    scaleIO=obj(
        "gateway secretRef system",
        fsType=string(default="xfs"),
        gateway=STRING,
        protectionDomain=STRING,
        readOnly=BOOLEAN,
        secretRef=LOCAL_REFERENCE,
        sslEnabled=BOOLEAN,
        storageMode=string(default="ThinProvisioned"),
        storagePool=STRING,
        system=STRING,
        volumeName=STRING,
    ),
    secret=obj(defaultMode=INT32, items=_ITEMS, optional=BOOLEAN, secretName=STRING),
    storageos=obj(fsType=STRING, readOnly=BOOLEAN, secretRef=LOCAL_REFERENCE, volumeName=STRING, volumeNamespace=STRING),
    vsphereVolume=obj("volumePath", fsType=STRING, storagePolicyID=STRING, storagePolicyName=STRING, volumePath=STRING),
)
VOLUME_MOUNT = obj(
    "mountPath name",
    mountPath=STRING,
    mountPropagation=STRING,
    name=STRING,
    readOnly=BOOLEAN,
    recursiveReadOnly=STRING,
    subPath=STRING,
    subPathExpr=STRING,
)
