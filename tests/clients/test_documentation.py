"""docs/clients.md says of each simulated client what its profile says."""

import re
from pathlib import Path

import pytest

from tests.support.native.profile import Profile
from tests.support.native.profiles import GROUP_PROFILES, PROFILES

ALL = PROFILES + GROUP_PROFILES

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "clients.md").read_text()
ROWS = {
    row[0]: row[1:]
    for row in re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \| (.+?) \| (.+?) \|$", TEXT, re.M)
}


@pytest.mark.parametrize("profile", ALL, ids=str)
def test_row(profile: Profile) -> None:
    how, how_long, result, proposals = ROWS[profile.name]
    assert how == profile.provenance()
    assert how_long == profile.endurance()
    assert ("hangs up" in result) is profile.phase1.vital
    assert proposals.split(",")[0] == ("`legacy`" if profile.legacy else "`default`")


def test_no_row_is_of_a_client_that_nobody_simulates() -> None:
    simulated = {name for name, row in ROWS.items() if row[0].startswith("simulated")}
    assert simulated == {profile.name for profile in ALL}
