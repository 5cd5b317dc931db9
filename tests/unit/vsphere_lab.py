"""The lab's vCenter as a fixture: to be imported by the conftest of tests that want one."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from ansible_collections.vmshift.mtv.lab.commands import LabError
from ansible_collections.vmshift.mtv.lab.vsphere.binary import vcenter_program
from ansible_collections.vmshift.mtv.lab.vsphere.machines import MACHINES
from ansible_collections.vmshift.mtv.lab.vsphere.server import VSphere


@pytest.fixture(scope="session")
def vsphere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VSphere]:
    """With the lab's machines, which are shared: each test takes one of its own."""
    try:
        vcenter_program()
    except LabError as error:
        pytest.skip(str(error))
    lab = VSphere.start(tmp_path_factory.mktemp("vsphere"), MACHINES, while_process=os.getpid())
    yield lab
    lab.stop()
