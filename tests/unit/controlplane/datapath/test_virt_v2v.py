from __future__ import annotations

import copy
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.vmshift.mtv.controlplane.datapath import tools, virt_v2v
from ansible_collections.vmshift.mtv.controlplane.datapath.virt_v2v import ConversionFailed, Guest, Progress, Run

DOMAIN = """<domain type='kvm'><metadata><libosinfo:libosinfo xmlns:libosinfo='http://libosinfo.org/xmlns/libvirt/domain/1.0'>
<libosinfo:os id='{osinfo}'/></libosinfo:libosinfo></metadata><os>{boot}<type arch='x86_64'>hvm</type></os></domain>"""
FINISH = f"""cat > "$out/guest.xml" <<'END'
{DOMAIN.format(osinfo="http://debian.org/debian/12", boot="")}
END
"""


class Recorder:
    def __init__(self, output: Path) -> None:
        self.seen: list[Progress] = []
        self.log: list[str] = []
        self.run = Run(["-i", "ova", "/none.ova"], output, lambda progress: self.seen.append(copy.deepcopy(progress)), self.log.append)

    async def convert(self, deadline: float = 20) -> Guest:
        return await self.run.run(os.environ, deadline)


async def test_stages_progress_and_warnings(tmp_path: Path, virt_v2v: Callable[[str], None]) -> None:
    virt_v2v(
        r"""say message "Setting up the source: -i ova /x"; say warning "no grub"
say message "Copying disk 1/2"; sleep 0.3; printf '\r 10%% [****----]\r 100%% [********]\n' >&2; sleep 0.3
say message "Copying disk 2/2"; sleep 0.3; printf '\r 50%% [****----]\r 60%% [*****---]' >&2; sleep 0.3; echo >&2; sleep 0.3
echo "[ 1.0] a line for the log"; say message "Finishing off"
"""
        + FINISH
    )
    recorder = Recorder(tmp_path)
    assert await recorder.convert() == Guest("bios", "debian12")
    assert recorder.seen == [
        Progress("Setting up the source"),
        Progress("Copying disk 1/2", {0: 0, 1: 0}),
        Progress("Copying disk 1/2", {0: 10, 1: 0}),
        Progress("Copying disk 1/2", {0: 99, 1: 0}),
        Progress("Copying disk 2/2", {0: 100, 1: 0}),
        Progress("Copying disk 2/2", {0: 100, 1: 50}),
        Progress("Copying disk 2/2", {0: 100, 1: 60}),
        Progress("Finishing off", {0: 100, 1: 100}),
    ]
    assert recorder.run.warnings == ["no grub"]
    assert recorder.log == ["[ 1.0] a line for the log"]


async def test_error_message_and_the_first_complaint_of_its_stage(tmp_path: Path, virt_v2v: Callable[[str], None]) -> None:
    virt_v2v(
        r"""echo "nbdkit: file: error: harmless, and overcome"; sleep 0.4; say message "Copying disk 1/1"; sleep 0.4
echo "nbdkit: file.1: error: pwrite: No space left on device" >&2; echo "nbdcopy: write at offset 1 failed" >&2
say error "nbdcopy command failed,\n\nAssuming that you are running it.\n\nsee above."; exit 1"""
    )
    with pytest.raises(ConversionFailed) as caught:
        await Recorder(tmp_path).convert()
    assert str(caught.value) == "virt-v2v: nbdcopy command failed, see above (nbdkit: file.1: error: pwrite: No space left on device)"


async def test_death_without_a_word(tmp_path: Path, virt_v2v: Callable[[str], None]) -> None:
    virt_v2v("echo last words; kill -9 $$")
    with pytest.raises(ConversionFailed, match="virt-v2v was ended by SIGKILL: last words"):
        await Recorder(tmp_path).convert()


async def test_deadline(tmp_path: Path, virt_v2v: Callable[[str], None]) -> None:
    virt_v2v('say message "Opening the source"; echo "[ 0.0] Opening the source"; sleep 60')
    with pytest.raises(ConversionFailed, match="did not end within 1 s and was killed: .* Opening the source"):
        await Recorder(tmp_path).convert(deadline=1)


async def test_uefi_guest_without_firmware_stops_before_copying(
    tmp_path: Path, virt_v2v: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "_UEFI_FILES", (str(tmp_path / "OVMF_CODE.fd"),))
    virt_v2v('say info "This guest requires UEFI on the target to boot."; sleep 1; touch "$out/copied";' + FINISH)
    with pytest.raises(ConversionFailed, match="boots with UEFI: .* install the package ovmf"):
        await Recorder(tmp_path).convert()
    assert not (tmp_path / "copied").exists()
    (tmp_path / "OVMF_CODE.fd").touch()
    await Recorder(tmp_path).convert()
    assert (tmp_path / "copied").exists()


async def test_refusal_by_the_one_who_watches(tmp_path: Path, virt_v2v: Callable[[str], None]) -> None:
    virt_v2v('say message "Copying disk 1/1"; sleep 60')

    def refuse(_progress: Progress) -> None:
        raise ConversionFailed("too large")

    with pytest.raises(ConversionFailed, match="^too large$"):
        await Run(["-i", "ova", "/none.ova"], tmp_path, refuse, print).run(os.environ, 20)


async def test_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(tools.ToolMissing, match="virt-v2v is not installed"):
        await Recorder(tmp_path).convert()


@pytest.mark.parametrize("boot", ["<loader type='pflash'>/usr/share/OVMF/OVMF_CODE.fd</loader>", ""])
def test_guest_out_of_the_domain(tmp_path: Path, boot: str) -> None:
    (tmp_path / "guest.xml").write_text(DOMAIN.format(osinfo="http://microsoft.com/win/2k19", boot=boot))
    assert virt_v2v.read_guest(tmp_path / "guest.xml") == Guest("efi" if boot else "bios", "win2k19")


def test_guest_that_nobody_knows(tmp_path: Path) -> None:
    (tmp_path / "guest.xml").write_text("<domain><os firmware='efi'/></domain>")
    assert virt_v2v.read_guest(tmp_path / "guest.xml") == Guest("efi", "")


def test_letters_of_disks() -> None:
    assert [virt_v2v.disk_letters(n) for n in (0, 25, 26, 27, 701, 702)] == ["a", "z", "aa", "ab", "zz", "aaa"]
