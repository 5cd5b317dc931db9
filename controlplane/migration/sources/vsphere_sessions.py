"""Sessions with vSphere that passes over plans share."""

from __future__ import annotations

from ansible_collections.vmshift.mtv.controlplane.migration.sources.sessions import Sessions
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.session import Endpoint, Session, connect

_sessions = Sessions[Endpoint, Session](connect)
session = _sessions.session
