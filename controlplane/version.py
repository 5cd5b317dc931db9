"""The collection's version, from its galaxy.yml or, when installed, from its MANIFEST.json."""

from __future__ import annotations

import json
import re
from pathlib import Path


def collection_version(root: Path) -> str:
    manifest, galaxy = root / "MANIFEST.json", root / "galaxy.yml"
    if manifest.exists():
        return str(json.loads(manifest.read_text())["collection_info"]["version"])
    found = re.search(r"^version: (\S+)", galaxy.read_text(), re.MULTILINE) if galaxy.exists() else None
    return found.group(1) if found else "unknown"


VERSION = collection_version(Path(__file__).resolve().parent.parent)
