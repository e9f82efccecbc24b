"""What a test needs of the machine it runs on."""

import os
import shutil

import pytest


def need(missing: str) -> None:
    """Skip the test for what is missing, unless that is nothing; where CI=true, fail it.

    The continuous integration has everything: what is skipped there would go unnoticed.
    """
    if missing and os.environ.get("CI") == "true":
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)


def need_program(name: str) -> None:
    """Skip a test, or fail it in continuous integration, where a program is missing."""
    need("" if shutil.which(name) else f"needs {name}: run 'make setup'")
