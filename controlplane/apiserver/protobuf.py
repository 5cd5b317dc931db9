"""Request bodies in protobuf: `kubectl create namespace|secret|token|…` and `kubectl auth can-i` send nothing else.

Only what those commands send is known; every client reads answers in JSON. Field numbers: the generated.proto files of
Kubernetes, which never change them.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError
from ansible_collections.vmshift.mtv.controlplane.apiserver.refusals import bad_request

Object = dict[str, Any]

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

# Message -> "number:field=type". No type: text. [x]: a list of x. map, bytemap: maps of text, of bytes. -: the server's own.
_MESSAGES = {
    "TypeMeta": "1:apiVersion 2:kind",
    "Unknown": "1:typeMeta=TypeMeta 2:raw=raw 3:- 4:-",
    "ObjectMeta": "1:name 2:generateName 3:namespace 4:- 5:uid 6:resourceVersion 7:- 8:- 9:- 10:- 11:labels=map 12:annotations=map "
    "13:ownerReferences=[OwnerReference] 14:finalizers=[text] 17:-",
    "OwnerReference": "1:kind 3:name 4:uid 5:apiVersion 6:controller=bool 7:blockOwnerDeletion=bool",
    "Namespace": "1:metadata=ObjectMeta 2:spec=NamespaceSpec 3:-",
    "NamespaceSpec": "1:finalizers=[text]",
    "ConfigMap": "1:metadata=ObjectMeta 2:data=map 3:binaryData=bytemap 4:immutable=bool",
    "Secret": "1:metadata=ObjectMeta 2:data=bytemap 3:type 4:stringData=map 5:immutable=bool",
    "ServiceAccount": "1:metadata=ObjectMeta",
    "TokenRequest": "1:metadata=ObjectMeta 2:spec=TokenRequestSpec 3:-",
    "TokenRequestSpec": "1:audiences=[text] 4:expirationSeconds=number",
    "TokenReview": "1:metadata=ObjectMeta 2:spec=TokenReviewSpec 3:-",
    "TokenReviewSpec": "1:token 2:audiences=[text]",
    "SelfSubjectAccessReview": "1:metadata=ObjectMeta 2:spec=AccessReviewSpec 3:-",
    "SubjectAccessReview": "1:metadata=ObjectMeta 2:spec=AccessReviewSpec 3:-",
    "AccessReviewSpec": "1:resourceAttributes=ResourceAttributes 2:nonResourceAttributes=NonResourceAttributes 3:user 4:groups=[text] "
    "6:uid",
    "ResourceAttributes": "1:namespace 2:verb 3:group 4:version 5:resource 6:subresource 7:name",
    "NonResourceAttributes": "1:path 2:verb",
    "Role": "1:metadata=ObjectMeta 2:rules=[PolicyRule]",
    "ClusterRole": "1:metadata=ObjectMeta 2:rules=[PolicyRule]",
    "PolicyRule": "1:verbs=[text] 2:apiGroups=[text] 3:resources=[text] 4:resourceNames=[text] 5:nonResourceURLs=[text]",
    "RoleBinding": "1:metadata=ObjectMeta 2:subjects=[Subject] 3:roleRef=RoleRef",
    "ClusterRoleBinding": "1:metadata=ObjectMeta 2:subjects=[Subject] 3:roleRef=RoleRef",
    "Subject": "1:kind 2:apiGroup 3:name 4:namespace",
    "RoleRef": "1:apiGroup 2:kind 3:name",
    "DeleteOptions": "1:gracePeriodSeconds=number 2:preconditions=Preconditions 3:orphanDependents=bool 4:propagationPolicy "
    "5:dryRun=[text]",
    "Preconditions": "1:uid 2:resourceVersion",
}
_READABLE = frozenset(name for name, fields in _MESSAGES.items() if "ObjectMeta" in fields) | {"DeleteOptions"}


def decode(body: bytes) -> Object:
    """The object in `body` as JSON data. Raises ApiError 400, and 415 for a kind that is not read from protobuf."""
    if not body.startswith(_MAGIC):
        raise bad_request("the body is not a Kubernetes protobuf message")
    try:
        envelope = _message("Unknown", body[len(_MAGIC) :])
        identity = envelope.get("typeMeta", {})
        kind = identity.get("kind", "")
        if kind not in _READABLE:
            told = f"this API server reads objects of kind {kind} as JSON or YAML only: use kubectl apply -f or kubectl create -f"
            raise ApiError(415, "UnsupportedMediaType", told)
        return {**identity, **_message(kind, envelope.get("raw", b""))}
    except (IndexError, UnicodeDecodeError, ValueError) as error:
        raise bad_request(f"the protobuf message cannot be read: {error}") from None


def _message(name: str, data: bytes) -> Object:
    """Empty values are left out: Go writes them for fields that were not set."""
    fields = dict(field.split(":", 1) for field in _MESSAGES[name].split())
    out: Object = {}
    for number, value in _wire(data):
        field, _unused, kind = fields.get(str(number), "").partition("=")
        if not field:
            raise ValueError(f"field {number} of {name} is not known to this API server")
        if field == "-":
            continue
        if kind.startswith("["):
            out.setdefault(field, []).append(_value(kind[1:-1], value))
        elif kind in ("map", "bytemap"):
            entry = dict(_wire(_bytes(value)))
            out.setdefault(field, {})[_text(entry.get(1, b""))] = _value("text" if kind == "map" else "bytes", entry.get(2, b""))
        elif (decoded := _value(kind, value)) or kind == "bool":
            out[field] = decoded
    return out


def _value(kind: str, value: int | bytes) -> Any:
    if kind in ("", "text"):
        return _text(value)
    if kind in ("number", "bool"):
        return bool(value) if kind == "bool" else value
    data = _bytes(value)
    if kind == "raw":
        return data
    return base64.b64encode(data).decode() if kind == "bytes" else _message(kind, data)


def _wire(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) as they stand in the message."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        wire_type = tag & 7
        if wire_type == _VARINT:
            value, at = _varint(data, at)
            yield tag >> 3, value
            continue
        if wire_type == _BYTES:
            size, at = _varint(data, at)
        elif wire_type in (_FIXED64, _FIXED32):
            size = 8 if wire_type == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire_type}")
        if at + size > len(data):
            raise ValueError("it is cut off")
        yield tag >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, at
        shift += 7


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number where a message should be")
    return value


def _text(value: int | bytes) -> str:
    return _bytes(value).decode()
