"""docs/configuration.md has every key that is read, no other, and each with its true default."""

import ast
import re
from pathlib import Path

import pytest
import yaml

import l2gate.configuration.departments
import l2gate.configuration.eap
import l2gate.configuration.policy
import l2gate.configuration.radius
import l2gate.configuration.sections
import l2gate.configuration.state
from l2gate.configuration import Loaded, load

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENT = (ROOT / "docs" / "configuration.md").read_text()
PSK = "ZZp4u9mVbC7kTqRx3sWd8yNe"
BASE: dict[str, dict[str, object]] = {
    "server": {},
    "ipsec": {"psk": PSK},
    "l2tp": {},
    "ppp": {},
    "lockout": {},
    "radius": {"servers": [{"address": "192.0.2.10", "secret": PSK}]},
    "state": {"file": "/var/lib/l2gate/state.db"},
    "departments": {"pool": "172.16.9.0/24", "gateway": "172.16.9.1"},
    "users": {"name": "bob", "password": "pw"},
}
"""The required keys of each section, of one department and of one user."""

READERS = {
    "server": "read_server",
    "ipsec": "read_ipsec",
    "ipsec.keys": "_read_key",
    "l2tp": "read_l2tp",
    "ppp": "read_ppp",
    "lockout": "read_lockout",
    "state": "read_state",
    "ppp.eap": "read_eap",
    "radius": "read_radius",
    "radius.servers": "_read_server",
    "radius.dynamic_authorization": "_read_dynamic",
    "radius.dynamic_authorization.clients": "_read_client",
    "departments": "_read_department read_policy",
    "departments.rate": "_read_rate",
    "departments.allow": "_read_allowed",
    "users": "read",
}


def documented() -> dict[str, dict[str, str]]:
    """Return the keys of each section, with the text that stands for their default."""
    keys: dict[str, dict[str, str]] = {}
    section = ""
    for line in DOCUMENT.splitlines():
        if line.startswith("## "):
            section = line[3:]
        elif row := re.fullmatch(r"\| `(\w+)` \| .* \| (.*) \| .* \|", line):
            keys.setdefault(section, {})[row[1]] = row[2].strip("`")
    return keys


def keys_read() -> dict[str, set[str]]:
    """Return the keys that the readers ask for, out of their source."""
    functions = {
        node.name: node
        for module in (
            l2gate.configuration.sections,
            l2gate.configuration.eap,
            l2gate.configuration.radius,
            l2gate.configuration.departments,
            l2gate.configuration.state,
            l2gate.configuration.policy,
        )
        for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text()))
        if isinstance(node, ast.FunctionDef)
    }
    return {
        section: {key for name in names.split() for key in _keys(functions[name])}
        for section, names in READERS.items()
    }


def _keys(function: ast.FunctionDef) -> list[str]:
    keys: list[str] = []
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            texts = [str(arg.value) for arg in node.args if isinstance(arg, ast.Constant)]
            name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            if name in {"take", "take_all", "require", "require_all", "items", "require_items"}:
                keys.append(texts[0])
            elif isinstance(node.func, ast.Name) and node.func.id == "read_secret":
                keys += [texts[0], f"{texts[0]}_file"]
    return keys


def test_every_key_is_documented_and_no_other() -> None:
    assert {section: set(keys) for section, keys in documented().items()} == keys_read()


@pytest.mark.parametrize("section", BASE)
def test_the_documented_defaults_are_the_defaults(section: str, tmp_path: Path) -> None:
    path = tmp_path / "l2gate.yaml"

    def loaded(extra: dict[str, object]) -> Loaded:
        keys = {name: {**base, **(extra if name == section else {})} for name, base in BASE.items()}
        if section == "ppp.eap":
            keys["ppp"] = {"authentication": ["eap"], "eap": extra}
        departments, users = {"default": keys.pop("departments")}, [keys.pop("users")]
        path.write_text(yaml.safe_dump({**keys, "departments": departments, "users": users}))
        path.chmod(0o600)
        return load(path)

    defaults = {
        key: yaml.safe_load(default)
        for key, default in documented()[section].items()
        if default not in ("none", "required")
    }
    assert defaults
    assert loaded(defaults) == loaded({})


def test_the_example_is_valid(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)
    path, psk = tmp_path / "l2gate.yaml", tmp_path / "psk"
    path.write_text(example)
    psk.write_text(PSK)
    for file in (path, psk):
        file.chmod(0o600)
    loaded = load(path)
    assert loaded.warnings == ()
    assert len(loaded.configuration.directory.users) == 2
