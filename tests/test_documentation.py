"""The pages of documentation: each link leads somewhere, and each example is a configuration."""

import re
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
import yaml

from l2gate.configuration import load

ROOT = Path(__file__).resolve().parent.parent
PAGES = (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")))
SECRET = "ZZp4u9mVbC7kTqRx3sWd8yNe"
ELSEWHERE = {"certificates.md"}
"""Pages whose examples have a test of their own."""

_SECTIONS = {"server", "ipsec", "l2tp", "ppp", "lockout", "radius", "state", "departments", "users"}
_FENCED = re.compile(r"^```yaml\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(rf"^    (?:{'|'.join(sorted(_SECTIONS))}):.*\n(?:(?: {{4}}.*)?\n)*", re.M)


def anchors(page: Path) -> set[str]:
    """Return those that the headings of a page make."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def examples() -> list[Any]:
    """Return the YAML of all pages, with the page that it is in."""
    found = []
    for page in PAGES:
        if page.name in ELSEWHERE:
            continue
        text = page.read_text()
        for example in _FENCED.findall(text) + _INDENTED.findall(text):
            found.append(pytest.param(example, id=f"{page.name}-{len(found)}"))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        other = page.parent / name if name else page
        assert other.exists(), target
        assert not anchor or anchor in anchors(other), target


def test_there_are_examples() -> None:
    assert len(examples()) >= 9


@pytest.mark.parametrize("example", examples())
def test_every_example_is_valid(example: str, tmp_path: Path) -> None:
    """With what an excerpt leaves out, and a file wherever it names one."""
    written: dict[str, Any] = yaml.safe_load(example)
    assert set(written) <= _SECTIONS
    written.setdefault("ipsec", {"psk": SECRET})
    departments = written.setdefault("departments", {})
    for number, (name, department) in enumerate(departments.items()):
        department.setdefault("domains", [f"{name}.example.com"])
        department.setdefault("pool", f"172.20.{number}.0/24")
        department.setdefault("gateway", f"172.20.{number}.1")
    for user in written.get("users", ()):
        _, _, suffix = user["name"].partition("@")
        if suffix and not any(suffix in each["domains"] for each in departments.values()):
            departments[suffix.replace(".", "-")] = {
                "domains": [suffix],
                "pool": "172.21.0.0/24",
                "gateway": "172.21.0.1",
            }
    departments.setdefault("default", {"pool": "172.22.0.0/24", "gateway": "172.22.0.1"})
    if written.get("server", {}).get("user"):
        written["server"]["user"] = "nobody"
    if any("radius" in each.get("authenticate", ()) for each in departments.values()):
        written.setdefault("radius", {"servers": [{"address": "192.0.2.10", "secret": SECRET}]})
    for file in re.findall(r"_file: ([\w-]+)", example):
        (tmp_path / file).write_text(f"{file}{SECRET}\n")
        (tmp_path / file).chmod(0o600)
    path = tmp_path / "l2gate.yaml"
    path.write_text(yaml.safe_dump(written))
    path.chmod(0o600)
    load(path, [IPv4Network("192.168.1.0/24")])


def test_every_module_of_the_program_has_its_place() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    (table,) = re.findall(r"^## The program$(.*?)^## ", page, re.DOTALL | re.MULTILINE)
    named = re.findall(r"`(\w+)/?`", table)
    modules = {path.stem for path in (ROOT / "l2gate").glob("*.py")} - {"__init__", "__main__"}
    packages = {path.parent.name for path in (ROOT / "l2gate").glob("*/__init__.py")}
    assert sorted(named) == sorted(modules | packages)
