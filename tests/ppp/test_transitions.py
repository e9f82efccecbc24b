"""The table of RFC 1661 section 4.1, cell by cell."""

import re

import pytest

from ppp.transitions import TIMED, TRANSITIONS, Action, Event, State

LEFT = """
      | State
      |    0         1         2         3         4         5
Events| Initial   Starting  Closed    Stopped   Closing   Stopping
------+-----------------------------------------------------------
 Up   |    2     irc,scr/6     -         -         -         -
 Down |    -         -         0       tls/1       0         1
 Open |  tls/1       1     irc,scr/6     3r        5r        5r
 Close|    0       tlf/0       2         2         4         4
      |
  TO+ |    -         -         -         -       str/4     str/5
  TO- |    -         -         -         -       tlf/2     tlf/3
      |
 RCR+ |    -         -       sta/2 irc,scr,sca/8   4         5
 RCR- |    -         -       sta/2 irc,scr,scn/6   4         5
 RCA  |    -         -       sta/2     sta/3       4         5
 RCN  |    -         -       sta/2     sta/3       4         5
      |
 RTR  |    -         -       sta/2     sta/3     sta/4     sta/5
 RTA  |    -         -         2         3       tlf/2     tlf/3
      |
 RUC  |    -         -       scj/2     scj/3     scj/4     scj/5
 RXJ+ |    -         -         2         3         4         5
 RXJ- |    -         -       tlf/2     tlf/3     tlf/2     tlf/3
      |
 RXR  |    -         -         2         3         4         5
"""

RIGHT = """
      | State
      |    6         7         8           9
Events| Req-Sent  Ack-Rcvd  Ack-Sent    Opened
------+-----------------------------------------
 Up   |    -         -         -           -
 Down |    1         1         1         tld/1
 Open |    6         7         8           9r
 Close|irc,str/4 irc,str/4 irc,str/4 tld,irc,str/4
      |
  TO+ |  scr/6     scr/6     scr/8         -
  TO- |  tlf/3p    tlf/3p    tlf/3p        -
      |
 RCR+ |  sca/8   sca,tlu/9   sca/8   tld,scr,sca/8
 RCR- |  scn/6     scn/7     scn/6   tld,scr,scn/6
 RCA  |  irc/7     scr/6x  irc,tlu/9   tld,scr/6x
 RCN  |irc,scr/6   scr/6x  irc,scr/8   tld,scr/6x
      |
 RTR  |  sta/6     sta/6     sta/6   tld,zrc,sta/5
 RTA  |    6         6         8       tld,scr/6
      |
 RUC  |  scj/6     scj/7     scj/8       scj/9
 RXJ+ |    6         6         8           9
 RXJ- |  tlf/3     tlf/3     tlf/3   tld,irc,str/5
      |
 RXR  |    6         7         8         ser/9
"""

EVENTS = ["Up", "Down", "Open", "Close", "TO+", "TO-", "RCR+", "RCR-", "RCA", "RCN"]
EVENTS += ["RTR", "RTA", "RUC", "RXJ+", "RXJ-", "RXR"]


def rows(half: str) -> dict[str, list[str]]:
    lines = (line.split("|") for line in half.splitlines() if line.count("|") == 1)
    return {name.strip(): cells.split() for name, cells in lines if name.strip() in EVENTS}


def cells() -> dict[tuple[str, int], str]:
    left, right = rows(LEFT), rows(RIGHT)
    return {
        (event, state): cell
        for event in EVENTS
        for state, cell in enumerate(left[event] + right[event])
    }


def transition(event: str, state: int) -> tuple[tuple[Action, ...], State] | None:
    name = event.upper().replace("+", "_PLUS").replace("-", "_MINUS")
    return TRANSITIONS.get((Event[name], State(state)))


def test_the_transcription_is_whole() -> None:
    assert len(cells()) == 16 * 10


@pytest.mark.parametrize(("event", "state"), cells())
def test_cell(event: str, state: int) -> None:
    cell = cells()[event, state]
    if cell == "-":
        assert transition(event, state) is None
        return
    match = re.fullmatch(r"(?:([a-z,]+)/)?(\d)[rpx]?", cell)
    assert match
    actions = tuple(Action[name.upper()] for name in (match[1] or "").split(",") if name)
    assert transition(event, state) == (actions, State(int(match[2])))


def test_the_restart_timer_runs_where_there_is_a_timeout() -> None:
    assert {State(number) for number in (4, 5, 6, 7, 8)} == TIMED


def test_rows_and_columns_have_the_order_of_the_rfc() -> None:
    order = [(list(Event).index(event), state.value) for event, state in TRANSITIONS]
    assert order == sorted(order)
