"""Labs that run in processes of their own, and are found again by their folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from ansible_collections.vmshift.mtv.lab.commands import LabError


@dataclass
class StartedLab:
    """What is known of a lab, written down in its folder."""

    KIND: ClassVar[str]

    folder: Path

    @classmethod
    def attach(cls, folder: Path) -> Self:
        """The one that was started with this folder."""
        try:
            facts = json.loads((folder / "facts.json").read_text())
        except FileNotFoundError as error:
            raise LabError(f"no {cls.KIND} lab was started in {folder}") from error
        return cls(**{**facts, "folder": folder})

    def facts(self) -> dict[str, Any]:
        """All that a playbook needs to know, as plain data; with the password."""
        return {**asdict(self), "folder": str(self.folder)}

    def write_facts(self) -> None:
        target = self.folder / "facts.json"
        target.touch(mode=0o600)
        target.write_text(json.dumps(self.facts(), indent=2) + "\n")

    def remove_facts(self) -> None:
        (self.folder / "facts.json").unlink(missing_ok=True)
