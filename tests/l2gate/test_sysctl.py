"""Kernel settings, in a directory that stands for /proc/sys/net."""

import logging
from pathlib import Path

import pytest

from l2gate.sysctl import Sysctls


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "forward").write_text("0\n")
    (tmp_path / "redirects").write_text("1\n")
    return tmp_path


def test_settings_are_put_back(root: Path) -> None:
    sysctls = Sysctls(root)
    sysctls.set("forward", "1")
    sysctls.try_set("redirects", "0")
    assert [(root / name).read_text() for name in ("forward", "redirects")] == ["1", "0"]
    sysctls.restore()
    assert [(root / name).read_text() for name in ("forward", "redirects")] == ["0", "1"]


def test_what_was_so_before_stays_so(root: Path) -> None:
    sysctls = Sysctls(root)
    sysctls.set("redirects", "1")
    (root / "redirects").write_text("0")
    sysctls.restore()
    assert (root / "redirects").read_text() == "0"


def test_what_somebody_else_has_changed_since_stays(root: Path) -> None:
    sysctls = Sysctls(root)
    sysctls.set("forward", "1")
    (root / "forward").write_text("2")
    sysctls.restore()
    assert (root / "forward").read_text() == "2"


def test_what_is_gone_with_its_device_is_no_error(root: Path) -> None:
    sysctls = Sysctls(root)
    sysctls.set("forward", "1")
    sysctls.set("redirects", "0")
    (root / "redirects").unlink()
    sysctls.restore()
    assert (root / "forward").read_text() == "0"


def test_what_cannot_be_set(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(FileNotFoundError):
        Sysctls(root).set("no/such", "1")
    with caplog.at_level(logging.WARNING):
        Sysctls(root).try_set("no/such", "1")
    assert "net/no/such stays as it is: No such file" in caplog.text
