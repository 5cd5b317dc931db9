"""One simulated vCenter for the tests of a module; its machines are shared, so each test takes one of its own."""

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
    try:
        vcenter_program()
    except LabError as error:
        pytest.skip(str(error))
    lab = VSphere.start(tmp_path_factory.mktemp("vsphere"), MACHINES, while_process=os.getpid())
    yield lab
    lab.stop()
