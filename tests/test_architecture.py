"""The dependency rule, read from the imports: wire <- ipsec, l2tp, ppp, aaa <- l2gate."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("wire", "ipsec", "l2tp", "ppp", "aaa", "l2gate")
PROTOCOLS = ("ipsec", "l2tp", "ppp", "aaa")
ALLOWED = {"wire": {"wire"}, "l2gate": set(PACKAGES)} | {
    protocol: {"wire", protocol} for protocol in PROTOCOLS
}
OUTSIDE_WORLD = {
    "asyncio",
    "os",
    "random",
    "secrets",
    "select",
    "socket",
    "subprocess",
    "threading",
    "time",
}
MODULES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def identifier(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=identifier)
def test_imports(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    imported = set(imports(path))
    assert imported & set(PACKAGES) <= ALLOWED[package]
    assert "scapy" not in imported, "scapy is GPL-2.0: tests only"
    if package != "l2gate":
        assert not imported & OUTSIDE_WORLD


def test_tls_is_the_only_entropy_of_its_own() -> None:
    """`ssl` draws random numbers and reads the clock by itself: nothing but EAP-TLS may have it."""
    having = {identifier(path) for path in MODULES if "ssl" in imports(path)}
    assert having == {"ppp/config.py", "ppp/eap_tls.py", "l2gate/configuration/eap.py"}


@pytest.mark.parametrize("path", MODULES, ids=identifier)
def test_no_module_is_too_long(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 600


@pytest.mark.parametrize("path", MODULES, ids=identifier)
def test_no_assert_statement(path: Path) -> None:
    asserts = [n.lineno for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Assert)]
    assert asserts == [], "an assert vanishes under -O; raise LocalError or PeerError"
