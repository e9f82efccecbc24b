"""Each native client for a day and more: it renews in its own way, and nobody notices."""

import pytest

from tests.support.client import ClientState
from tests.support.native.day import Day
from tests.support.native.profile import OldSas, Profile
from tests.support.native.profiles import PROFILES

HOURS = 26


def assert_unharmed(day: Day) -> None:
    client, server = day.client, day.lab.server
    assert client.state is ClientState.UP, client.why
    assert client.refusals == []
    assert day.words(client) == day.talk, "PPP and L2TP have noticed"
    assert day.new_lines() == []
    assert len(server.gateway.tables.addresses) == 1
    assert len(server.noted("authenticated as")) == day.logins
    assert day.sent_up - day.came_up == day.lost(up=True)
    assert day.sent_down - day.came_down == day.lost(up=False) + day.late


@pytest.mark.parametrize("behind_nat", [False, True], ids=["direct", "behind NAT"])
@pytest.mark.parametrize("old_sas", OldSas, ids=lambda old: old.name)
@pytest.mark.parametrize("profile", PROFILES, ids=str)
def test_a_day(profile: Profile, old_sas: OldSas, behind_nat: bool) -> None:
    day = Day(profile, behind_nat, old_sas, loss=0.02)
    day.run(HOURS)
    print(day.logins, day.main_modes, day.quick_modes, day.sent_up, day.late, day.lost(True), day.sent_up - day.came_up, day.lost(False), day.sent_down - day.came_down)
    assert_unharmed(day)
