"""Protobuf bodies, as kubectl's own commands send them. The messages are spelled out byte by byte."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError
from ansible_collections.vmshift.mtv.controlplane.apiserver.protobuf import CONTENT_TYPE, decode


def part(number: int, content: bytes | str | int) -> bytes:
    if isinstance(content, int):
        return _varint(number << 3) + _varint(content)
    data = content.encode() if isinstance(content, str) else content
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def envelope(api_version: str, kind: str, raw: bytes) -> bytes:
    return b"k8s\x00" + part(1, part(1, api_version) + part(2, kind)) + part(2, raw) + part(3, "") + part(4, "")


def test_a_namespace_as_kubectl_create_sends_it() -> None:
    # Recorded from `kubectl create namespace foo`.
    recorded = bytes.fromhex("6b3873000a0f0a02763112094e616d657370616365121b0a130a03666f6f12001a0022002a0032003800420012001a020a001a002200")
    assert decode(recorded) == {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "foo"}}


def test_a_secret_with_maps_of_bytes() -> None:
    meta = part(1, "s") + part(3, "team") + part(11, part(1, "a") + part(2, "b")) + part(8, b"") + part(14, "x.example/f")
    raw = part(1, meta) + part(2, part(1, "k") + part(2, b"\x00\xff")) + part(2, part(1, "empty")) + part(3, "Opaque") + part(5, 0)
    assert decode(envelope("v1", "Secret", raw)) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "namespace": "team", "labels": {"a": "b"}, "finalizers": ["x.example/f"]},
        "data": {"k": "AP8=", "empty": ""},
        "type": "Opaque",
        "immutable": False,
    }


def test_a_role_with_the_core_group() -> None:
    rule = part(1, "get") + part(1, "list") + part(2, "") + part(3, "pods")
    decoded = decode(envelope("rbac.authorization.k8s.io/v1", "Role", part(2, rule)))
    assert decoded["rules"] == [{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}]


def test_numbers_of_any_length() -> None:
    raw = part(2, part(1, "aud") + part(4, 31_536_000))
    assert decode(envelope("authentication.k8s.io/v1", "TokenRequest", raw))["spec"] == {
        "audiences": ["aud"],
        "expirationSeconds": 31_536_000,
    }


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{}", 400),
        (b"k8s\x00\x0a", 400),
        (envelope("v1", "Namespace", b"")[:-9], 400),
        (envelope("v1", "Namespace", part(99, "new")), 400),
        (envelope("v1", "Namespace", part(1, 5)), 400),
        (envelope("batch/v1", "Job", b""), 415),
        (envelope("v1", "NamespaceSpec", b""), 415),
    ],
)
def test_what_cannot_be_read_is_refused(body: bytes, code: int) -> None:
    with pytest.raises(ApiError) as refused:
        decode(body)
    assert refused.value.code == code


async def test_kubectl_create_over_http(client: Any) -> None:
    body = envelope("v1", "Namespace", part(1, part(1, "made")))
    status, made = await client.call(
        "POST", "/api/v1/namespaces", body, content_type=CONTENT_TYPE, Accept=f"{CONTENT_TYPE},application/json"
    )
    assert status == 201 and made["metadata"]["labels"]["kubernetes.io/metadata.name"] == "made"
    options = envelope("v1", "DeleteOptions", part(2, part(1, "another uid")))
    assert (await client.call("DELETE", "/api/v1/namespaces/made", options, content_type=CONTENT_TYPE))[0] == 409
