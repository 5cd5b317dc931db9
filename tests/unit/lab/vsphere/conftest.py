from __future__ import annotations

from ansible_collections.vmshift.mtv.tests.unit.vsphere_lab import vsphere  # noqa: F401
