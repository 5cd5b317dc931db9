"""OpenAPI v3 documents of the served kinds: for `kubectl explain`, `kubectl apply` and clients that read schemas."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Kind, Registry
from ansible_collections.vmshift.mtv.controlplane.apiserver.schemas.meta import LIST_META, OBJECT_META
from ansible_collections.vmshift.mtv.controlplane.apiserver.schemas.notation import INT32, INT64, STRING, array, atomic, obj

Document = dict[str, Any]
Schema = dict[str, Any]

_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_JSON = "application/json"
# Strategic merge patches are served, but left out here: kubectl then computes them with the merge keys of its own types.
_PATCHES = ("application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json")

_API_VERSION = {**STRING, "description": "The version of the schema that this object is written in."}
_KIND = {**STRING, "description": "The kind of this object."}
_CAUSE = obj(field=STRING, message=STRING, reason=STRING)
_SHARED: dict[str, Schema] = {
    f"{_META}.ObjectMeta": {**OBJECT_META, "description": "What every object has: names, labels, owners, times."},
    f"{_META}.ListMeta": LIST_META,
    f"{_META}.Patch": {"type": "object", "description": "A patch of the type that Content-Type names."},
    f"{_META}.DeleteOptions": obj(
        apiVersion=_API_VERSION,
        dryRun=atomic(array(STRING)),
        gracePeriodSeconds=INT64,
        kind=_KIND,
        preconditions=obj(resourceVersion=STRING, uid=STRING),
        propagationPolicy=STRING,
    ),
    f"{_META}.Status": obj(
        apiVersion=_API_VERSION,
        code=INT32,
        details=obj(causes=array(_CAUSE), group=STRING, kind=STRING, name=STRING, retryAfterSeconds=INT32, uid=STRING),
        kind=_KIND,
        message=STRING,
        metadata=LIST_META,
        reason=STRING,
        status=STRING,
    ),
}

# (kinds, document, hash) of each group version, as last rendered.
_rendered: dict[tuple[str, str], tuple[tuple[Kind, ...], Document, str]] = {}


def index(registry: Registry) -> Document:
    """/openapi/v3: where the document of each group version is. The hash in its URL changes with its content."""
    paths = {}
    for group, version in sorted({(kind.group, kind.version) for kind in registry.all()}):
        path = f"apis/{group}/{version}" if group else f"api/{version}"
        paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={_render(registry, group, version)[1]}"}
    return {"paths": paths}


def document(registry: Registry, group: str, version: str) -> Document:
    """/openapi/v3/apis/GROUP/VERSION (or api/v1): paths and schemas of its kinds. Read only."""
    return _render(registry, group, version)[0]


def version_2(accept: str = "") -> tuple[bytes, str]:
    """/openapi/v2 as (body, content type): a document that describes nothing.

    kubectl before 1.29 stops without one, but learns everything from version 3 once it is there; the protobuf form that it
    asks for is empty when the document is.
    """
    if "protobuf" in accept:
        return b"", "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
    nothing = {"swagger": "2.0", "info": {"title": "Kubernetes", "version": "unversioned"}, "paths": {}, "definitions": {}}
    return json.dumps(nothing).encode(), _JSON


def _render(registry: Registry, group: str, version: str) -> tuple[Document, str]:
    kinds = tuple(kind for kind in registry.all() if (kind.group, kind.version) == (group, version))
    known = _rendered.get((group, version))
    if known and len(known[0]) == len(kinds) and all(a is b for a, b in zip(known[0], kinds, strict=True)):
        return known[1:]
    schemas: dict[str, Schema] = dict(_SHARED)
    paths: dict[str, Document] = {}
    for kind in kinds:
        schemas[_name(kind)] = _object_schema(kind)
        schemas[f"{_name(kind)}List"] = _list_schema(kind)
        paths.update(_paths(kind))
    rendered: Document = {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "unversioned"},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"BearerToken": {"type": "apiKey", "name": "authorization", "in": "header"}},
        },
    }
    digest = hashlib.sha256(json.dumps(rendered, sort_keys=True).encode()).hexdigest().upper()
    _rendered[group, version] = kinds, rendered, digest
    return rendered, digest


def _name(kind: Kind) -> str:
    """The name of the kind's schema: its reversed group for custom resources, the Go package for Kubernetes' own."""
    if kind.custom:
        return ".".join([*reversed(kind.group.split(".")), kind.version, kind.kind])
    return f"io.k8s.api.{kind.group.split('.')[0] or 'core'}.{kind.version}.{kind.kind}"


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _gvk(kind: Kind, suffix: str = "") -> dict[str, str]:
    return {"group": kind.group, "version": kind.version, "kind": kind.kind + suffix}


def _object_schema(kind: Kind) -> Schema:
    schema = kind.schema or {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    known = {"apiVersion": _API_VERSION, "kind": _KIND, "metadata": {"allOf": [_ref(f"{_META}.ObjectMeta")], "default": {}}}
    return {
        **({"description": kind.description} if kind.description else {}),
        **schema,
        "properties": {**schema.get("properties", {}), **known},
        "x-kubernetes-group-version-kind": [_gvk(kind)],
    }


def _list_schema(kind: Kind) -> Schema:
    return {
        **obj("items", apiVersion=_API_VERSION, items=array(_ref(_name(kind))), kind=_KIND, metadata=_ref(f"{_META}.ListMeta")),
        "description": f"A list of {kind.kind} objects.",
        "x-kubernetes-group-version-kind": [_gvk(kind, "List")],
    }


# Paths


def _parameter(name: str, where: str = "query", type: str = "string") -> Document:
    return {"name": name, "in": where, "schema": {"type": type}, **({"required": True} if where == "path" else {})}


def _parameters(names: str, type: str = "string") -> list[Document]:
    return [_parameter(name, type=type) for name in names.split()]


_WRITE = _parameters("dryRun fieldManager fieldValidation")
_PATCH = [*_WRITE, _parameter("force", type="boolean")]
_SELECT = [*_parameters("continue fieldSelector labelSelector resourceVersion resourceVersionMatch"), _parameter("limit", type="integer")]
_WATCH = [
    *_parameters("allowWatchBookmarks sendInitialEvents watch", "boolean"),
    _parameter("timeoutSeconds", type="integer"),
]
_DELETE = [*_parameters("dryRun propagationPolicy"), *_parameters("gracePeriodSeconds", "integer")]


def _paths(kind: Kind) -> dict[str, Document]:
    base = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    place = [_parameter("namespace", "path")] if kind.namespaced else []
    collection = f"{base}/namespaces/{{namespace}}/{kind.plural}" if kind.namespaced else f"{base}/{kind.plural}"
    create = _operation(kind, "post", _WRITE, [_JSON], codes=("200", "201", "202"))
    if kind.virtual:
        return {collection: {"post": create}}
    everything = _operation(kind, "list", [*_SELECT, *_WATCH])
    several = {
        "get": everything,
        "post": create,
        "delete": _operation(kind, "deletecollection", [*_SELECT, *_DELETE], [_JSON], takes="DeleteOptions"),
        "parameters": place,
    }
    named = [_parameter("name", "path"), *place]
    paths = {collection: several, f"{collection}/{{name}}": {**_item(kind), "parameters": named}}
    if kind.namespaced:
        paths[f"{base}/{kind.plural}"] = {"get": everything}
    if kind.status:
        status = {verb: operation for verb, operation in _item(kind).items() if verb != "delete"}
        paths[f"{collection}/{{name}}/status"] = {**status, "parameters": named}
    return paths


def _item(kind: Kind) -> Document:
    return {
        "get": _operation(kind, "get", []),
        "put": _operation(kind, "put", _WRITE, [_JSON], codes=("200", "201")),
        "patch": _operation(kind, "patch", _PATCH, _PATCHES, takes="Patch", codes=("200", "201")),
        "delete": _operation(kind, "delete", _DELETE, [_JSON], takes="DeleteOptions"),
    }


def _operation(
    kind: Kind,
    action: str,
    parameters: list[Document],
    content: Iterable[str] = (),
    *,
    takes: str = "",
    codes: Iterable[str] = ("200",),
) -> Document:
    """One operation. `content`: media types of the body, `takes`: what of meta/v1 the body is (the kind itself when empty)."""
    answer = {"list": f"{_name(kind)}List", "delete": f"{_META}.Status", "deletecollection": f"{_META}.Status"}.get(action, _name(kind))
    body = f"{_META}.{takes}" if takes else _name(kind)
    return {
        **({"parameters": parameters} if parameters else {}),
        **({"requestBody": {"content": {media: {"schema": _ref(body)} for media in content}}} if content else {}),
        "responses": {code: {"description": "OK", "content": {_JSON: {"schema": _ref(answer)}}} for code in codes},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": _gvk(kind),
    }
