"""The kinds this API server serves: their names, schemas, printer columns and merge rules."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
Schema = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """One column of the Table that `kubectl get` prints.

    `json_path` is what a CRD would say (".status.phase"); `value` takes the place of it where a cell is computed
    from several fields, as kube-apiserver does for its own kinds. `priority` above 0 is shown with `-o wide` only.
    """

    name: str
    type: str = "string"
    json_path: str = ""
    priority: int = 0
    description: str = ""
    format: str = ""
    value: Callable[[Object], Any] | None = None


@dataclass(frozen=True)
class Kind:
    """One served version of one kind.

    `schema` is the OpenAPI v3 structural schema of the whole object; apiVersion, kind and metadata are known without it.
    None: anything is accepted and nothing is pruned.
    `merge_keys` rules strategic merge patches: dotted path of a list (without indexes) -> the field that identifies its
    items, "" for a list of plain values that is merged as a set; lists not named are replaced. None: a custom resource,
    for which strategic merge patches are refused.
    `virtual` kinds are answered on creation and never stored (access reviews).
    """

    group: str
    version: str
    plural: str
    singular: str
    kind: str
    namespaced: bool = True
    schema: Schema | None = None
    status: bool = False
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    merge_keys: Mapping[str, str] | None = None
    custom: bool = False
    virtual: bool = False
    description: str = ""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def list_kind(self) -> str:
        return f"{self.kind}List"

    @property
    def resource(self) -> str:
        """The qualified resource name of messages and CRD names: "plans.forklift.konveyor.io", "pods"."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


class Registry:
    """All kinds of one API server: the built-ins, and those that users add with CustomResourceDefinitions."""

    def __init__(self, kinds: Iterable[Kind] | None = None) -> None:
        if kinds is None:
            from ansible_collections.vmshift.mtv.controlplane.apiserver import schemas

            kinds = schemas.built_in()
        self._by_path: dict[tuple[str, str, str], Kind] = {}
        self._by_kind: dict[tuple[str, str], Kind] = {}
        self._named: dict[str, Kind] = {}
        for kind in kinds:
            self.add(kind)
            if kind.kind in self._named:
                raise ValueError(f"two built-in kinds are named {kind.kind}")
            self._named[kind.kind] = kind

    def by_path(self, group: str, version: str, plural: str) -> Kind | None:
        return self._by_path.get((group, version, plural))

    def by_kind(self, api_version: str, kind: str) -> Kind | None:
        return self._by_kind.get((api_version, kind))

    def named(self, kind: str) -> Kind:
        """The built-in kind of that name; KeyError when there is none."""
        return self._named[kind]

    def all(self) -> Iterator[Kind]:
        return iter(tuple(self._by_path.values()))

    def is_built_in(self, kind: Kind) -> bool:
        return self._named.get(kind.kind) is kind

    def add(self, kind: Kind) -> None:
        """Serve `kind`; one of the same group, version and plural is replaced (unless built-in: ValueError)."""
        old = self._by_path.get((kind.group, kind.version, kind.plural))
        if old is not None:
            self.remove(old)
        self._by_path[kind.group, kind.version, kind.plural] = kind
        self._by_kind[kind.api_version, kind.kind] = kind

    def remove(self, kind: Kind) -> None:
        """Stop serving `kind`; built-in kinds stay (ValueError)."""
        if self.is_built_in(kind):
            raise ValueError(f"{kind.resource} is built in")
        if self._by_path.get((kind.group, kind.version, kind.plural)) is kind:
            del self._by_path[kind.group, kind.version, kind.plural]
        if self._by_kind.get((kind.api_version, kind.kind)) is kind:
            del self._by_kind[kind.api_version, kind.kind]


def kind_from_crd(crd: Object) -> list[Kind]:
    """The kinds that a CustomResourceDefinition asks for: one per served version."""
    return [_kind_of_version(crd["spec"], version) for version in crd["spec"].get("versions") or () if version.get("served")]


def _kind_of_version(spec: Object, version: Object) -> Kind:
    names = spec["names"]
    schema = (version.get("schema") or {}).get("openAPIV3Schema")
    return Kind(
        group=spec["group"],
        version=version["name"],
        plural=names["plural"],
        singular=names.get("singular") or names["kind"].lower(),
        kind=names["kind"],
        namespaced=spec.get("scope") == "Namespaced",
        schema=schema,
        status="status" in (version.get("subresources") or {}),
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        columns=tuple(_column_from_crd(column) for column in version.get("additionalPrinterColumns") or ()),
        custom=True,
        description=(schema or {}).get("description", ""),
    )


def _column_from_crd(column: Object) -> Column:
    return Column(
        column["name"],
        column["type"],
        column["jsonPath"],
        column.get("priority", 0),
        column.get("description", ""),
        column.get("format", ""),
    )


def crd_object(kind: Kind) -> Object:
    """`kind` as the CustomResourceDefinition that a cluster would have for it (without uid, times and resourceVersion)."""
    version: Object = {"name": kind.version, "served": True, "storage": True, "schema": {"openAPIV3Schema": _published_schema(kind)}}
    if kind.status:
        version["subresources"] = {"status": {}}
    if kind.columns:
        version["additionalPrinterColumns"] = [_column_for_crd(c) for c in kind.columns]
    names: Object = {"plural": kind.plural, "singular": kind.singular, "kind": kind.kind, "listKind": kind.list_kind}
    if kind.short_names:
        names["shortNames"] = list(kind.short_names)
    if kind.categories:
        names["categories"] = list(kind.categories)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.resource},
        "spec": {
            "group": kind.group,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "names": names,
            "versions": [version],
            "conversion": {"strategy": "None"},
        },
    }


def _published_schema(kind: Kind) -> Schema:
    """A copy of the kind's schema with the fields that every object has, as definitions list them."""
    schema: Schema = copy.deepcopy(kind.schema or {"type": "object", "x-kubernetes-preserve-unknown-fields": True})
    text = {"type": "string"}
    common: Schema = {"apiVersion": text, "kind": {**text}, "metadata": {"type": "object"}}
    if kind.description:
        schema["description"] = kind.description
    schema["properties"] = {**common, **schema.get("properties", {})}
    return schema


def _column_for_crd(column: Column) -> Object:
    out: Object = {"name": column.name, "type": column.type, "jsonPath": column.json_path}
    for field in ("priority", "description", "format"):
        value = getattr(column, field)
        if value:
            out[field] = value
    return out
