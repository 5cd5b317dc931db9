#!/usr/bin/python
# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_report
short_description: Write a report of migrations as an HTML page, JSON or CSV
version_added: 0.1.0
author:
  - vmshift contributors (@vmshift)
description:
  - Reads plans of the Migration Toolkit for Virtualization (MTV, Forklift) and their runs, and writes what became of each virtual machine
    into files on the host that the module runs on.
  - The HTML page holds everything in one file, without scripts and without access to a network. It has a summary, the failures with the
    last lines of the conversion's log, and for each plan a timeline of the steps of each VM, sizes, rates and conditions, and warnings
    and concerns.
  - The same state gives the same files, which are then not written again. A step that still runs counts up to the newest time stamp of
    its plan.
extends_documentation_fragment:
  - vmshift.mtv.auth
  - vmshift.mtv.options.info
  - vmshift.mtv.options.inventory
  - ansible.builtin.files
attributes:
  check_mode:
    description: Can run in C(check_mode) and predict what would change, without changing anything.
    support: full
  diff_mode:
    description: Returns what has changed (or would change in C(check_mode)) when it runs in diff mode.
    support: full
    details:
      - The diff holds a line for the whole report and one for each VM, not the file itself.
  idempotent:
    description: A second run with the same options changes nothing.
    support: partial
    details:
      - The files change when what they report has changed, and each time with O(stamp=true).
  action_group:
    description: Use C(group/vmshift.mtv.mtv) in C(module_defaults) to set the connection options of all modules at once.
    support: full
    membership:
      - vmshift.mtv.mtv
options:
  name:
    description:
      - Name of one plan. Without it all plans are reported that O(namespace) and O(label_selectors) allow.
      - It is an error if a plan of this name does not exist. A report of all plans may be empty.
  html:
    description:
      - File to write the HTML page into. Its directory must exist. Needs Jinja2.
    type: path
  json:
    description:
      - File to write all figures into, as JSON.
    type: path
  csv:
    description:
      - File to write a table into, with one line for each VM.
    type: path
  title:
    description:
      - Heading of the HTML page. Without it the plan or namespace is named.
    type: str
  log_lines:
    description:
      - How many of the last lines of its pod's log to show of a VM that failed, while that pod exists. V(0) for none.
    type: int
    default: 20
  concerns:
    description:
      - Whether to ask MTV's inventory for the concerns about the VMs. If it cannot be asked, a warning says so, and the
        report is without them.
    type: bool
    default: true
  stamp:
    description:
      - Whether to write the present time into the report. It is then written anew each time.
    type: bool
    default: false
requirements:
  - jinja2, for the HTML page; Ansible brings it along on the control node
seealso:
  - module: vmshift.mtv.migration
  - module: vmshift.mtv.plan_info
"""

EXAMPLES = r"""
- name: Write a page about all plans of a namespace
  vmshift.mtv.migration_report:
    namespace: openshift-mtv
    html: /srv/reports/migrations.html
    mode: "0644"

- name: Write page, figures and table of the second wave
  vmshift.mtv.migration_report:
    namespace: openshift-mtv
    label_selectors:
      - wave=2
    title: Second wave
    html: /srv/reports/wave2.html
    json: /srv/reports/wave2.json
    csv: /srv/reports/wave2.csv
  register: wave

- name: Say how it went
  ansible.builtin.debug:
    msg: "{{ wave.summary.succeeded }} of {{ wave.summary.vms }} VMs in {{ wave.summary.duration }} seconds"
"""

RETURN = r"""
summary:
  description: The figures on top of the report.
  returned: success
  type: dict
  contains:
    plans:
      description: Number of plans.
      type: int
      returned: success
    vms:
      description: Number of VMs.
      type: int
      returned: success
    succeeded:
      description: VMs that are migrated.
      type: int
      returned: success
    failed:
      description: VMs that failed.
      type: int
      returned: success
    canceled:
      description: VMs that were canceled.
      type: int
      returned: success
    running:
      description: VMs that are being migrated.
      type: int
      returned: success
    pending:
      description: VMs that have not begun.
      type: int
      returned: success
    disk_mb:
      description: Size of all disks in MiB.
      type: int
      returned: success
    started:
      description: When the first run began.
      type: str
      returned: success
    until:
      description: When the last run ended, or its newest time stamp.
      type: str
      returned: success
    duration:
      description: Seconds from C(started) to C(until).
      type: int
      returned: success
  sample:
    plans: 1
    vms: 2
    succeeded: 1
    failed: 1
    canceled: 0
    running: 0
    pending: 0
    disk_mb: 20480
    started: "2026-11-22T23:15:10Z"
    until: "2026-11-22T23:15:40Z"
    duration: 30
files:
  description: The files of the report.
  returned: success
  type: list
  elements: dict
  contains:
    format:
      description: V(html), V(json) or V(csv).
      type: str
      returned: success
    path:
      description: Where it lies.
      type: str
      returned: success
    size:
      description: Its length in bytes.
      type: int
      returned: success
    changed:
      description: Whether it was (or would be) changed.
      type: bool
      returned: success
  sample:
    - format: html
      path: /srv/reports/migrations.html
      size: 18211
      changed: true
"""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, run_module
from ansible_collections.vmshift.mtv.plugins.module_utils.errors import TalkError
from ansible_collections.vmshift.mtv.plugins.module_utils.info import objects_asked_for, with_follow_ups
from ansible_collections.vmshift.mtv.plugins.module_utils.inventory_service import InventoryService
from ansible_collections.vmshift.mtv.plugins.module_utils.options import INFO, INVENTORY
from ansible_collections.vmshift.mtv.plugins.module_utils.pod_logs import last_words
from ansible_collections.vmshift.mtv.plugins.module_utils.report import delimited, figures, page
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import get, list_objects

FORMATS = ("html", "json", "csv")


def gather(cluster: Cluster, params: Mapping[str, Any]) -> dict[str, Any]:
    """The report that the options ask for."""
    plans = with_follow_ups(cluster, objects_asked_for(cluster, "Plan", params), params["namespace"])
    if params["name"] and not plans:
        where = "in namespace {}".format(params["namespace"]) if params["namespace"] else "in any namespace"
        raise TalkError("There is no plan {} {} that the options select.".format(params["name"], where))
    lines = params["log_lines"]
    return figures.build(
        plans,
        list_objects(cluster, "Migration", params["namespace"]) if plans else [],
        title=params["title"] or "Migration of {}".format(params["name"] or params["namespace"] or "all namespaces"),
        concerns=concerns_of(cluster, plans, params["inventory_url"]) if params["concerns"] else None,
        log_of=(lambda plan, row: last_words(cluster, plan, row, lines)) if lines else None,
        generated=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ") if params["stamp"] else None,
    )


def concerns_of(cluster: Cluster, plans: Sequence[Mapping[str, Any]], url: str | None) -> dict[str, dict[str, Any]]:
    """Uid of a plan -> id and name of a VM -> its concerns. Each source is read once; one that cannot be read is a warning."""
    inventory, read, found = InventoryService(cluster, url), {}, {}
    for plan in plans:
        source = plan["spec"]["provider"]["source"]
        where = (source["namespace"], source["name"])
        if where not in read:
            read[where] = _concerns_at(cluster, inventory, *where)
        found[plan["metadata"]["uid"]] = read[where]
    return found


def _concerns_at(cluster: Cluster, inventory: InventoryService, namespace: str, name: str) -> dict[str, Any]:
    try:
        provider = get(cluster, "Provider", namespace, name)
        # Detail 1 is the least that has concerns.
        vms = inventory.get(provider, "vms", detail=1) if provider else []
    except TalkError as error:
        cluster.warn(f"The report is without the concerns about the VMs of provider {namespace}/{name}: {error}")
        return {}
    named = {vm["name"]: vm.get("concerns") or [] for vm in vms if vm.get("name")}
    return {**named, **{vm["id"]: vm.get("concerns") or [] for vm in vms if vm.get("id")}}


def text_of(report: Mapping[str, Any], form: str) -> str:
    if form == "html":
        return page.render(report)
    if form == "csv":
        return delimited.table(report)
    return json.dumps(report, indent=1) + "\n"


def gist_of(text: str, form: str) -> str:
    """What a diff shows of a file's content: the table itself, of the others the summary lines."""
    if form == "csv":
        return text
    if form == "html":
        lines = page.lines_in(text)
    else:
        try:
            lines = figures.lines_of(json.loads(text))
        except (ValueError, KeyError, TypeError):
            lines = []
    return "\n".join(lines or (["(not a report)"] if text else [])) + "\n"


class Writer:
    """Brings files to their content and attributes; writes only what differs."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module

    def bring(self, form: str, path: str, text: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """(entry of `files`, diff) of one file."""
        content = text.encode("utf-8", "replace")
        before = self._read(path)
        differs = before != content
        diff = {"before_header": path, "after_header": path, "before": "", "after": ""}
        if differs:
            diff["before"] = gist_of((before or b"").decode("utf-8", "replace"), form) if before is not None else ""
            diff["after"] = gist_of(text, form)
            if diff["before"] == diff["after"]:
                diff["after"] += "(details differ)\n"
            if not self.module.check_mode:
                self._write(path, content)
        attributes: dict[str, Any] = {}
        changed = differs
        if os.path.exists(path):
            wanted = self.module.load_file_common_arguments(self.module.params, path=path)
            changed = self.module.set_fs_attributes_if_different(wanted, differs, attributes)
            for side in ("before", "after"):
                told = {k: v for k, v in (attributes.get(side) or {}).items() if k != "path"}
                diff[side] += "".join(f"{k}: {v}\n" for k, v in told.items())
        return {"format": form, "path": path, "size": len(content), "changed": changed}, diff

    @staticmethod
    def _read(path: str) -> bytes | None:
        if os.path.isdir(path):
            raise TalkError(f"{path} is a directory: give the name of a file.")
        if not os.path.isdir(os.path.dirname(path) or "."):
            raise TalkError(f"The directory of {path} does not exist: make it first.")
        try:
            with open(path, "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise TalkError(f"{path} cannot be read: {error.strerror}.") from error

    def _write(self, path: str, content: bytes) -> None:
        number, draft = tempfile.mkstemp(dir=self.module.tmpdir)
        with os.fdopen(number, "wb") as file:
            file.write(content)
        self.module.atomic_move(draft, path)


def write_report(cluster: Cluster, module: AnsibleModule) -> dict[str, Any]:
    report = gather(cluster, module.params)
    texts = [(form, module.params[form], text_of(report, form)) for form in FORMATS if module.params[form]]
    writer = Writer(module)
    done = [writer.bring(form, path, text) for form, path, text in texts]
    return {
        "changed": any(entry["changed"] for entry, diff in done),
        "summary": report["summary"],
        "files": [entry for entry, diff in done],
        "diff": [diff for entry, diff in done],
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **INFO,
            **INVENTORY,
            "html": {"type": "path"},
            "json": {"type": "path"},
            "csv": {"type": "path"},
            "title": {"type": "str"},
            "log_lines": {"type": "int", "default": 20},
            "concerns": {"type": "bool", "default": True},
            "stamp": {"type": "bool", "default": False},
        },
        required_one_of=[FORMATS],
        add_file_common_args=True,
        supports_check_mode=True,
    )
    paths = [os.path.realpath(module.params[form]) for form in FORMATS if module.params[form]]
    if len(set(paths)) < len(paths):
        module.fail_json(msg="html, json and csv must name different files.")
    if module.params["html"]:
        try:
            import jinja2  # noqa: F401
        except ImportError:
            module.fail_json(msg=missing_required_lib("jinja2", reason="to write the HTML page; json and csv do without it"))
    run_module(module, lambda cluster: write_report(cluster, module))


if __name__ == "__main__":
    main()
