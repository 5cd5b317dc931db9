"""Schemas of what several of Forklift's kinds are made of."""

from __future__ import annotations

from ansible_collections.vmshift.mtv.controlplane.apiserver.schemas.meta import OBJECT_REFERENCE
from ansible_collections.vmshift.mtv.controlplane.apiserver.schemas.notation import (
    BOOLEAN,
    INT64,
    STRING,
    STRINGS,
    TIME,
    Schema,
    array,
    obj,
)

CONDITION = obj(
    "category lastTransitionTime status type",
    category=STRING,
    durable=BOOLEAN,
    items=STRINGS,
    lastTransitionTime=TIME,
    message=STRING,
    reason=STRING,
    status=STRING,
    suggestion=STRING,
    type=STRING,
)
CONDITIONS = array(CONDITION)
SOURCE_REF = obj(id=STRING, name=STRING, namespace=STRING, type=STRING)
PROVIDER_PAIR = obj("destination source", destination=OBJECT_REFERENCE, source=OBJECT_REFERENCE)
REF_FIELDS: dict[str, Schema] = SOURCE_REF["properties"]


def status(**fields: Schema) -> Schema:
    return obj(conditions=CONDITIONS, observedGeneration=INT64, **fields)
