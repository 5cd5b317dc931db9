"""Schemas of the parts that many kinds share: metadata, references, selectors."""

from __future__ import annotations

from ansible_collections.vmshift.mtv.controlplane.apiserver.schemas.notation import (
    ANYTHING,
    BOOLEAN,
    INT64,
    STRING,
    STRING_MAP,
    STRINGS,
    TIME,
    array,
    atomic,
    obj,
)

OWNER_REFERENCE = obj(
    "apiVersion kind name uid", apiVersion=STRING, kind=STRING, name=STRING, uid=STRING, controller=BOOLEAN, blockOwnerDeletion=BOOLEAN
)
MANAGED_FIELDS = obj(
    apiVersion=STRING, fieldsType=STRING, fieldsV1=ANYTHING, manager=STRING, operation=STRING, subresource=STRING, time=TIME
)
OBJECT_META = obj(
    name=STRING,
    generateName=STRING,
    namespace=STRING,
    labels=STRING_MAP,
    annotations=STRING_MAP,
    finalizers=STRINGS,
    ownerReferences=array(OWNER_REFERENCE),
    uid=STRING,
    resourceVersion=STRING,
    generation=INT64,
    creationTimestamp=TIME,
    deletionTimestamp=TIME,
    deletionGracePeriodSeconds=INT64,
    managedFields=array(MANAGED_FIELDS),
    selfLink=STRING,
)
LIST_META = obj(**{"continue": STRING}, remainingItemCount=INT64, resourceVersion=STRING, selfLink=STRING)

OBJECT_REFERENCE = atomic(
    obj(apiVersion=STRING, fieldPath=STRING, kind=STRING, name=STRING, namespace=STRING, resourceVersion=STRING, uid=STRING)
)

_REQUIREMENT = obj("key operator", key=STRING, operator=STRING, values=atomic(STRINGS))
LABEL_SELECTOR = atomic(obj(matchExpressions=atomic(array(_REQUIREMENT)), matchLabels=STRING_MAP))
