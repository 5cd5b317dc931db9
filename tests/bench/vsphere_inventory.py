"""Reading a vCenter of 5 000 VMs: time beside a plain dump of the same properties, memory while streaming, time to see a change."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measures import COLLECTIONS, Measure, median

VMS = int(os.environ.get("VMSHIFT_BENCH_VMS", "5000"))
FEW = VMS // 5
TURNS = 3
CHANGES = 5

#: Streams all objects and keeps none: prints how many there were and the most memory it took, in KiB. (Not what getrusage tells, in
#: which the process that started this one lives on.)
STREAM = """
import re, sys
from ansible_collections.vmshift.mtv.lab.vsphere.server import VSphere
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.reader import everything
with VSphere.attach(__import__("pathlib").Path(sys.argv[1])).session() as session:
    print(sum(1 for _change in everything(session)), re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
"""


def measure(work: Path) -> Iterator[Measure]:
    from ansible_collections.vmshift.mtv.lab.vsphere.server import VSphere

    few = VSphere.start(work / "few", (), vm=FEW, while_process=os.getpid())
    try:
        small = streamed(few.folder)
    finally:
        few.stop()
    begun = time.monotonic()
    lab = VSphere.start(work / "many", (), vm=VMS, while_process=os.getpid())
    try:
        yield Measure(f"simulated vCenter with {VMS} VMs: start", time.monotonic() - begun, "s")
        yield from compared(lab)
        large = streamed(lab.folder)
        yield Measure(f"most memory while streaming {FEW} VMs", small, "MiB")
        yield Measure(f"most memory while streaming {VMS} VMs", large, "MiB", large / small, f"{FEW} VMs", most=small * 1.15)
    finally:
        lab.stop()


def compared(lab: Any) -> Iterator[Measure]:
    """In turns, because the speed of a virtual machine wanders."""
    from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.inventory import VSphereInventory

    turns: dict[str, list[tuple[float, float]]] = {"dump": [], "once": [], "followed": []}
    inventory = VSphereInventory(lab.endpoint())
    for _turn in range(TURNS):
        turns["dump"].append(timed_and_cpu(lambda: dump(lab)))
        turns["once"].append(timed_and_cpu(VSphereInventory(lab.endpoint()).read_once))
        inventory.close()
        turns["followed"].append(timed_and_cpu(inventory.collect))
    assert len(inventory.collect().resources["vms"]) == VMS
    called = {
        "dump": "plain dump of the properties",
        "once": "inventory read once",
        "followed": "inventory that is followed, first reading",
    }
    for figure, unit in enumerate(("s", "CPU s")):
        plain = [turn[figure] for turn in turns["dump"]]
        for name, what in called.items():
            reads = [turn[figure] for turn in turns[name]]
            ratio = None if name == "dump" else median(read / dumped for read, dumped in zip(reads, plain, strict=True))
            most = None if name == "dump" else median(plain) * 1.2
            yield Measure(f"{what}, {VMS} VMs", median(reads), unit, ratio, "plain dump", most=most)
    yield Measure("nothing new", median(timed(inventory.collect) for _turn in range(CHANGES)), "s")
    yield Measure(
        "one VM changed (the simulator looks through all VMs then)",
        median(changed(lab, inventory, number) for number in range(CHANGES)),
        "s",
    )
    inventory.close()


def dump(lab: Any) -> int:
    """What any client has to do: the same properties of the same objects in pages of the same size, and nothing made of them."""
    from pyVmomi import vim, vmodl

    from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.properties import PROPERTIES
    from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.reader import PAGE, managed_type

    query = vmodl.query.PropertyCollector
    with lab.session() as session:
        content = session.content
        types = {name: managed_type(name) for name in PROPERTIES}
        view = content.viewManager.CreateContainerView(content.rootFolder, list(types.values()), True)
        traversal = query.TraversalSpec(type=vim.view.ContainerView, path="view", skip=False)
        specification = query.FilterSpec(
            objectSet=[query.ObjectSpec(obj=view, skip=True, selectSet=[traversal])],
            propSet=[query.PropertySpec(type=type, pathSet=list(PROPERTIES[name])) for name, type in types.items()],
        )
        answer = content.propertyCollector.RetrievePropertiesEx([specification], query.RetrieveOptions(maxObjects=PAGE))
        count = len(answer.objects)
        while answer.token:
            answer = content.propertyCollector.ContinueRetrievePropertiesEx(answer.token)
            count += len(answer.objects)
        return count


def changed(lab: Any, inventory: Any, number: int) -> float:
    """Seconds from a change on the vCenter until the inventory has it."""
    from pyVmomi import vim

    vm = inventory.collect().resources["vms"][number]
    with lab.session() as session:
        managed = session.object("VirtualMachine", vm["id"])
        session.wait(managed.ReconfigVM_Task(vim.vm.ConfigSpec(memoryMB=1024 + number)))

        def seen() -> None:
            found = next(item for item in inventory.collect().resources["vms"] if item["id"] == vm["id"])
            assert found["memoryMB"] == 1024 + number

        return timed(seen)


def streamed(folder: Path) -> float:
    """The most memory, in MiB, that a process takes which streams everything."""
    environment = {**os.environ, "PYTHONPATH": str(COLLECTIONS)}
    ran = subprocess.run([sys.executable, "-c", STREAM, str(folder)], env=environment, capture_output=True, text=True, check=True)
    return float(ran.stdout.split()[1]) / 1024


def timed_and_cpu(work: Any) -> tuple[float, float]:
    """Seconds that pass, and those of the CPU that this process spends, which are the steadier figure."""
    begun = time.process_time()
    return timed(work), time.process_time() - begun


def timed(work: Any) -> float:
    begun = time.monotonic()
    work()
    return time.monotonic() - begun
