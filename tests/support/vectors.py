"""Reading of the published test vectors in tests/vectors."""

import json
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent.parent / "vectors"


def load(name: str) -> dict[str, Any]:
    """Return what a JSON file holds; octets are in it as hex."""
    content: dict[str, Any] = json.loads((DATA / name).read_text())
    return content


def octets(case: dict[str, str], *names: str) -> tuple[bytes, ...]:
    """Return the named values of a case, from hex."""
    return tuple(bytes.fromhex(case[name]) for name in names)
