"""Settings of all unit tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

# No deadlines: the machine may be slow. In CI the same examples each time: a run judges the change, not the dice.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture(scope="session")
def vsphere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The lab's vCenter with the lab's machines, which are shared: a test may leave no trace on one, nor write to its disks."""
    yield from vcenter(tmp_path_factory)


@pytest.fixture(scope="module")
def own_vsphere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A vCenter for one file of tests, which may write to the disks of its machines."""
    yield from vcenter(tmp_path_factory)


def vcenter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    pytest.importorskip("pyVmomi")
    from ansible_collections.vmshift.mtv.lab.commands import LabError
    from ansible_collections.vmshift.mtv.lab.vsphere.binary import vcenter_program
    from ansible_collections.vmshift.mtv.lab.vsphere.machines import MACHINES
    from ansible_collections.vmshift.mtv.lab.vsphere.server import VSphere

    try:
        vcenter_program()
    except LabError as error:
        pytest.skip(str(error))
    lab = VSphere.start(tmp_path_factory.mktemp("vsphere"), MACHINES, while_process=os.getpid())
    yield lab
    lab.stop()


@pytest.fixture(scope="session")
def ovirt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The lab's oVirt engine with the lab's machines, which are shared: a test may leave no trace on one, nor write to its disks."""
    yield from engine(tmp_path_factory)


@pytest.fixture(scope="module")
def own_ovirt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """An oVirt engine for one file of tests, which may change its machines."""
    yield from engine(tmp_path_factory)


@pytest.fixture(scope="session")
def other_ca(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The CA of somebody else."""
    from ansible_collections.vmshift.mtv.lab.certificates import write_certificates

    return write_certificates(tmp_path_factory.mktemp("other"), "somebody else")[0].read_text()


def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    pytest.importorskip("ovirtsdk4")
    pytest.importorskip("ovirt_imageio")
    from ansible_collections.vmshift.mtv.lab.ovirt.machines import MACHINES
    from ansible_collections.vmshift.mtv.lab.ovirt.server import OVirt

    lab = OVirt.start(tmp_path_factory.mktemp("ovirt"), MACHINES, while_process=os.getpid())
    yield lab
    lab.stop()
