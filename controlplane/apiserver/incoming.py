"""What an HTTP request asks for: the object its path names, its body, its options."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import Any

import yaml
from aiohttp import web

from ansible_collections.vmshift.mtv.controlplane.apiserver import protobuf
from ansible_collections.vmshift.mtv.controlplane.apiserver.admission import Options
from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError
from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Kind, Registry
from ansible_collections.vmshift.mtv.controlplane.apiserver.refusals import bad_request, undecodable

Object = dict[str, Any]

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}
_JSON = ("application/json", "application/octet-stream", "")  # the last two: no Content-Type was sent
_YAML = ("application/yaml", "application/x-yaml", "text/yaml")
_TRUE = ("true", "1", "True")


class _Loader(yaml.CSafeLoader):
    """YAML as Kubernetes reads it: what looks like a time stays text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True)
class Target:
    """What the path names: a collection, an object, or (with `rest` below it) one of its subresources."""

    kind: Kind
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""

    @property
    def resource(self) -> str:
        """As authorization knows it: "pods/log"."""
        return f"{self.kind.plural}/{self.subresource}" if self.subresource else self.kind.plural

    def verb(self, request: web.Request) -> str:
        """What the request does, in the words of authorization."""
        if request.method == "GET":
            return "watch" if flag(request, "watch") else "get" if self.name else "list"
        if request.method == "DELETE":
            return "delete" if self.name else "deletecollection"
        return _VERBS.get(request.method, request.method.lower())


def target(registry: Registry, path: str) -> Target | None:
    """The resource that `path` names; None when there is none."""
    parts = path.strip("/").split("/")
    if parts[0] == "api":
        group, version, parts = "", parts[1] if len(parts) > 1 else "", parts[2:]
    elif parts[0] == "apis" and len(parts) > 2:
        group, version, parts = parts[1], parts[2], parts[3:]
    else:
        return None
    if not parts or "" in parts[:4]:
        return None
    namespace = ""
    if len(parts) > 2 and parts[0] == "namespaces" and registry.by_path(group, version, parts[2]):
        namespace, parts = parts[1], parts[2:]
    kind = registry.by_path(group, version, parts[0])
    if kind is None or (namespace and not kind.namespaced):
        return None
    name, subresource = (*parts[1:3], "", "")[:2]
    if name and kind.namespaced and not namespace:
        return None
    return Target(kind, namespace, name, subresource, "/".join(parts[3:]))


def flag(request: web.Request, name: str) -> bool:
    return request.query.get(name, "") in _TRUE


def media_type(request: web.Request) -> str:
    return request.headers.get("Content-Type", "").partition(";")[0].strip()


async def body(request: web.Request, *, patch: bool = False) -> Any:
    """The body as data. Raises ApiError 400, 415."""
    sent = media_type(request)
    if sent == protobuf.CONTENT_TYPE and not patch:
        return protobuf.decode(await request.read())
    if not patch and sent not in (*_JSON, *_YAML):
        told = "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml"
        raise ApiError(415, "UnsupportedMediaType", told)
    content = await request.read()
    try:
        return _json(content)
    except (ValueError, RecursionError) as error:
        if sent not in _YAML and not sent.endswith("+yaml"):
            raise bad_request(f"the object provided is unrecognized (must be of type application/json): {error}") from None
    try:
        return yaml.load(content, Loader=_Loader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise bad_request(f"error converting YAML to JSON: {error}") from None


def _json(content: bytes) -> Any:
    """JSON in its strict form: Python alone would take NaN, numbers beyond all bounds and halves of characters."""
    data = json.loads(content, parse_constant=_finite, parse_float=_finite)
    if b"\\u" in content:
        json.dumps(data, ensure_ascii=False).encode()
    return data


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a JSON number")
    return number


def checked(target: Target, obj: Any) -> Object:
    """`obj` as an object of the endpoint: of its kind, and of its namespace and name when those are given. Raises ApiError 400."""
    kind = target.kind
    if not isinstance(obj, dict):
        raise undecodable(kind, "json: the body is not an object")
    for key, wanted, told in (("apiVersion", kind.api_version, "API version"), ("kind", kind.kind, "kind")):
        if obj.setdefault(key, wanted) != wanted:
            raise bad_request(f"the {told} in the data ({obj[key]}) does not match the expected {told} ({wanted})")
    meta = obj.setdefault("metadata", {})
    if not isinstance(meta, dict):
        raise undecodable(kind, "json: metadata is not an object")
    if kind.namespaced and target.namespace and (meta.get("namespace") or target.namespace) != target.namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    if kind.namespaced and target.namespace:
        meta["namespace"] = target.namespace
    if target.name:
        if (meta.get("name") or target.name) != target.name:
            raise bad_request(f"the name of the object ({meta['name']}) does not match the name on the URL ({target.name})")
        meta["name"] = target.name
    return obj


@dataclass
class Warnings:
    """Texts for the Warning header of the answer."""

    texts: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        if text not in self.texts:
            self.texts.append(text)

    def header(self) -> str:
        quoted = (re.sub(r'(["\\])', r"\\\1", re.sub(r"[^\x20-\x7e]", " ", text)) for text in self.texts)
        return ", ".join(f'299 - "{text}"' for text in quoted)


def options(request: web.Request, warnings: Warnings) -> Options:
    """How a write is meant. Raises ApiError 400."""
    validation = request.query.get("fieldValidation") or "Warn"
    if validation not in ("Ignore", "Warn", "Strict"):
        raise bad_request(f'fieldValidation: Unsupported value: "{validation}": supported values: "Ignore", "Strict", "Warn"')
    manager = request.query.get("fieldManager") or request.headers.get("User-Agent", "").partition("/")[0] or "unknown"
    return Options(manager[:128], dry_run(request.query.getall("dryRun", [])), validation, warnings.add)  # type: ignore[arg-type]


def dry_run(values: list[str]) -> bool:
    if any(value not in ("All", "") for value in values):
        raise bad_request(f'dryRun: Unsupported value: "{values[0]}": supported values: "All"')
    return "All" in values
