"""What pods of Conversions answer on their ports, as Forklift's images do (facts 1.8, 3.9): made of the files that the pods leave.

Nothing listens on a port here: the API server answers for the pods (`pods/NAME:PORT/proxy/PATH`), also when they have ended.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import yaml

from ansible_collections.vmshift.mtv.controlplane.cluster import pods
from ansible_collections.vmshift.mtv.controlplane.datapath.inspection import RESULT as INSPECTION

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.state import State

Object = dict[str, Any]

METRICS, RESULTS = 2112, 8080


def answer(state: State, pod: Object, port: int, path: str) -> str | None:
    """The text that `path` is answered with; None when nothing listens there (yet)."""
    uid = pod["metadata"]["uid"]
    if (port, path) == (METRICS, "metrics"):
        progress = pods.conversion_progress(state, uid)
        return None if progress is None else metrics(progress)
    if port == RESULTS and path in _RESULTS:
        result = pods.conversion_result(state, uid)
        known = result is not None and "error" not in result and (INSPECTION in result) == (path in _INSPECTIONS)
        return _RESULTS[path](result) if known and result else None
    return None


def metrics(progress: Object) -> str:
    """Prometheus' text. Forklift counts disks from 1."""
    lines = ["# TYPE v2v_disk_transfers counter"]
    lines += [f'v2v_disk_transfers{{disk_id="{int(disk) + 1}"}} {percent}' for disk, percent in progress["disks"].items()]
    return "\n".join(lines) + "\n"


def machine(result: Object) -> str:
    loader = "efi" if result["firmware"] in ("efi", "uefi") else "bios"
    domain: Object = {"firmware": {"bootloader": {loader: {}}}}
    return yaml.safe_dump(
        {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "spec": {"template": {"spec": {"domain": domain}}}}, sort_keys=False
    )


def inspection(result: Object) -> str:
    osinfo = escape(result["operatingSystem"])
    return f"<v2v-inspection><operatingsystem><osinfo>{osinfo}</osinfo></operatingsystem></v2v-inspection>\n"


def warnings(result: Object) -> str:
    return json.dumps([{"reason": "ConversionWarning", "message": text} for text in result.get("warnings") or ()])


def results(result: Object) -> str:
    return json.dumps(result[INSPECTION])


_INSPECTIONS = {"ready": lambda _result: "ok\n", "results": results}
_RESULTS: dict[str, Callable[[Object], str]] = {"vm": machine, "inspection": inspection, "warnings": warnings, **_INSPECTIONS}
