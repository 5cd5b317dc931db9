"""Objects in the form a client asks for: as they are, as a Table, or their metadata only."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web

from ansible_collections.vmshift.mtv.controlplane.apiserver import tables
from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError
from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Kind
from ansible_collections.vmshift.mtv.controlplane.apiserver.store import Record
from ansible_collections.vmshift.mtv.controlplane.jsontext import dumps

Object = dict[str, Any]

_DECODER = json.JSONDecoder()
_PLAIN, _TABLE, _PARTIAL = "", "Table", "PartialObjectMetadata"


@dataclass(frozen=True)
class Form:
    """The form of an answer."""

    kind: Kind
    shape: str = _PLAIN
    include: str = "Metadata"
    headers: bool = True

    def one(self, obj: Object) -> str:
        """An object as JSON text."""
        obj["apiVersion"] = self.kind.api_version
        if self.shape == _TABLE:
            obj = tables.table(self.kind, [obj], _list_metadata(obj), include=self.include, headers=self.headers)
        elif self.shape == _PARTIAL:
            obj = tables.partial(obj)
        return dumps(obj)

    def stored(self, record: Record) -> str:
        """A stored object as JSON text, without reading it where nothing is to be changed."""
        if self.shape == _TABLE:
            return self.one(record.object())
        text, version = record.text, f'{{"apiVersion":"{self.kind.api_version}",'
        if self.shape == _PLAIN and text.startswith(version):
            return text
        before = f'{version}"kind":"{self.kind.kind}","metadata":'
        if self.shape == _PARTIAL and text.startswith(before):
            return dumps(tables.partial({"metadata": _DECODER.raw_decode(text, len(before))[0]}))
        return self.one(record.object())

    def many(self, records: Iterable[Record], metadata: Object) -> str:
        """A list as JSON text."""
        if self.shape == _TABLE:
            return dumps(tables.table(self.kind, (record.object() for record in records), metadata, include=self.include))
        version, kind = self.kind.api_version, self.kind.list_kind
        if self.shape == _PARTIAL:
            version, kind = "meta.k8s.io/v1", "PartialObjectMetadataList"
        items = ",".join(self.stored(record) for record in records)
        return f'{{"apiVersion":"{version}","kind":"{kind}","metadata":{dumps(metadata)},"items":[{items}]}}'

    def without_headers(self) -> Form:
        """For the later events of a watch: their Tables name the columns no more."""
        return replace(self, headers=False)


def form(request: web.Request, kind: Kind) -> Form:
    """What the Accept header asks for. Raises ApiError 406."""
    accept = request.headers.get("Accept", "")
    for part in accept.split(","):
        media_type, *parameters = (piece.strip() for piece in part.split(";"))
        asked = dict(parameter.partition("=")[::2] for parameter in parameters)
        if media_type not in ("application/json", "*/*", "application/*", ""):
            continue
        shape = asked.get("as", "").removesuffix("List")
        if not shape:
            return Form(kind)
        if shape in (_TABLE, _PARTIAL) and asked.get("g") == "meta.k8s.io" and asked.get("v") in ("v1", "v1beta1"):
            return Form(kind, shape, request.query.get("includeObject", "Metadata"))
    raise ApiError(406, "NotAcceptable", "only the following media types are accepted: application/json")


def _list_metadata(obj: Object) -> Object:
    return {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
