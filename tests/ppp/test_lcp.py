"""LCP of a server and of a client: options, echo, extensions and rejects."""

import pytest

from ppp.config import LinkConfig, Method
from ppp.constants import Code, LcpOption, Protocol
from ppp.events import LinkClosed, LinkOpened, Reason
from tests.support.ppp import CREDENTIALS, Sent, Server, configure

MRU, ACCM, AUTH, QUALITY, MAGIC, PFC, ACFC = 1, 2, 3, 4, 5, 7, 8
CALLBACK, MRRU, ENDPOINT = 13, 17, 19
MS_CHAP_V2, CHAP_MD5, PAP, EAP = "c22381", "c22305", "c023", "c227"


def request(*options: tuple[int, str], identifier: int = 1) -> Sent:
    return configure(Protocol.LCP, Code.CONFIGURE_REQUEST, identifier, *options)


def reply(server: Server, *options: tuple[int, str]) -> Sent:
    """Return the answer to a first request; our own request, repeated, comes before it."""
    server.start()
    again, answer = server.give(request(*options))
    assert again.code == Code.CONFIGURE_REQUEST
    return answer


def client(methods: tuple[Method, ...] = LinkConfig().methods) -> Server:
    return Server(LinkConfig(credentials=CREDENTIALS, methods=methods))


def test_a_server_asks_for_mru_authentication_and_magic_number() -> None:
    sent = Server().start()
    assert list(sent.options) == [MRU, AUTH, MAGIC]
    assert sent.options[MRU].hex() == "0578"
    assert sent.options[AUTH].hex() == MS_CHAP_V2
    assert any(sent.options[MAGIC])


def test_a_client_asks_for_no_authentication() -> None:
    assert list(client().start().options) == [MRU, MAGIC]


def test_the_default_mru_is_not_asked_for() -> None:
    assert MRU not in Server(LinkConfig(mru=1500)).start().options


@pytest.mark.parametrize("mru", ["04f6", "0500", "0578", "05b4", "05dc", "0ffb", "0240"])
def test_mru_of_all_kinds_of_peers(mru: str) -> None:
    assert reply(Server(), (MRU, mru)).code == Code.CONFIGURE_ACK


@pytest.mark.parametrize(
    ("option", "value", "better"),
    [
        (MRU, "023f", "0240"),
        (MRU, "0000", "0240"),
        (MRU, "05", "0578"),
        (ACCM, "0000", "00000000"),
    ],
)
def test_nak(option: int, value: str, better: str) -> None:
    answer = reply(Server(), (option, value))
    assert answer == configure(Protocol.LCP, Code.CONFIGURE_NAK, 1, (option, better))


@pytest.mark.parametrize("accm", ["00000000", "ffffffff", "000a0000"])
def test_any_accm_will_do(accm: str) -> None:
    assert reply(Server(), (ACCM, accm), (PFC, ""), (ACFC, "")).code == Code.CONFIGURE_ACK


@pytest.mark.parametrize(
    "option",
    [
        (CALLBACK, "06"),
        (MRRU, "064e"),
        (ENDPOINT, "011d161f228c70460f"),
        (QUALITY, "c02500000064"),
        (AUTH, PAP),
        (PFC, "00"),
        (0, ""),
        (255, "aa"),
    ],
)
def test_reject(option: tuple[int, str]) -> None:
    answer = reply(Server(), (MRU, "0578"), option, (MAGIC, "01020304"))
    assert answer == configure(Protocol.LCP, Code.CONFIGURE_REJECT, 1, option)


def test_a_magic_number_of_zero_is_refused() -> None:
    answer = reply(Server(), (MAGIC, "00000000"))
    assert answer.code == Code.CONFIGURE_NAK
    assert any(answer.options[MAGIC])


def test_our_own_magic_number_may_be_a_loop() -> None:
    server = Server()
    magic = server.start().options[MAGIC]
    _, answer = server.give(request((MAGIC, magic.hex())))
    assert answer.code == Code.CONFIGURE_NAK
    assert answer.options[MAGIC] not in (magic, bytes(4))


def test_a_looped_link_is_closed() -> None:
    server = Server()
    echoes = [server.start()]
    for _ in range(100):
        echoes = server.give(*echoes)
    assert isinstance(server.events[-1], LinkClosed)
    assert not any(isinstance(event, LinkOpened) for event in server.events)


def test_a_nakd_magic_number_is_chosen_anew() -> None:
    server = Server()
    first = server.start()
    nak = configure(Protocol.LCP, Code.CONFIGURE_NAK, first.identifier, (MAGIC, "01020304"))
    (second,) = server.give(nak)
    assert second.options[MAGIC] not in (first.options[MAGIC], bytes(4))
    assert second.identifier != first.identifier


def test_what_the_peer_rejects_is_not_asked_again() -> None:
    server = Server()
    first = server.start()
    options = [(kind, first.options[kind].hex()) for kind in (MRU, MAGIC)]
    (second,) = server.give(
        configure(Protocol.LCP, Code.CONFIGURE_REJECT, first.identifier, *options)
    )
    assert list(second.options) == [AUTH]


@pytest.mark.parametrize(
    ("suggested", "taken"), [("05d4", "05d4"), ("04f6", "04f6"), ("0010", "0578"), ("ffff", "0578")]
)
def test_a_nakd_mru_is_followed_within_reason(suggested: str, taken: str) -> None:
    server = Server()
    nak = configure(Protocol.LCP, Code.CONFIGURE_NAK, server.start().identifier, (MRU, suggested))
    (second,) = server.give(nak)
    assert second.options[MRU].hex() == taken


def test_an_empty_option_list_is_acknowledged() -> None:
    assert reply(Server()) == configure(Protocol.LCP, Code.CONFIGURE_ACK, 1)


def nak_auth(server: Server, sent: Sent, wanted: str) -> list[Sent]:
    return server.give(configure(Protocol.LCP, Code.CONFIGURE_NAK, sent.identifier, (AUTH, wanted)))


def test_the_peer_chooses_among_the_allowed_methods() -> None:
    server = Server()
    (second,) = nak_auth(server, server.start(), PAP)
    assert second.options[AUTH].hex() == PAP


def test_our_order_counts_where_the_peer_wants_what_we_have_not() -> None:
    server = Server(LinkConfig(methods=(Method.MS_CHAP_V2, Method.CHAP_MD5, Method.PAP)))
    sent = server.start()
    asked = []
    for _ in range(3):
        asked.append(sent.options[AUTH].hex())
        (sent,) = nak_auth(server, sent, EAP)
    assert asked == [MS_CHAP_V2, CHAP_MD5, PAP]
    assert sent.code == Code.TERMINATE_REQUEST
    server.give(Sent(Protocol.LCP, Code.TERMINATE_ACK, sent.identifier))
    closed = server.events[-1]
    assert isinstance(closed, LinkClosed)
    assert closed.reason is Reason.METHODS_REFUSED
    assert "MS-CHAPv2, CHAP-MD5, PAP" in closed.why
    assert not closed.by_peer


def test_a_method_that_is_not_allowed_is_named() -> None:
    server = Server(LinkConfig(methods=(Method.MS_CHAP_V2,)))
    (terminate,) = nak_auth(server, server.start(), PAP)
    assert terminate.code == Code.TERMINATE_REQUEST
    assert terminate.data.decode() == "the peer refuses all that we allow (MS-CHAPv2) and wants PAP"


def test_a_server_does_not_do_without_authentication() -> None:
    server = Server()
    sent = server.start()
    reject = (AUTH, MS_CHAP_V2)
    (terminate,) = server.give(
        configure(Protocol.LCP, Code.CONFIGURE_REJECT, sent.identifier, reject)
    )
    assert terminate.code == Code.TERMINATE_REQUEST


def test_a_client_consents_to_its_methods_only() -> None:
    assert reply(client(), (AUTH, PAP)).code == Code.CONFIGURE_ACK
    strict = client((Method.MS_CHAP_V2, Method.CHAP_MD5))
    answer = reply(strict, (AUTH, PAP))
    assert answer == configure(Protocol.LCP, Code.CONFIGURE_NAK, 1, (AUTH, MS_CHAP_V2))


def opened(config: LinkConfig | None = None) -> Server:
    server = Server(config or LinkConfig())
    server.open_lcp((MAGIC, "01020304"), (MRU, "0500"))
    assert LinkOpened(1280, Method.MS_CHAP_V2) in server.events
    return server


def test_an_echo_is_answered_with_our_magic_number() -> None:
    server = opened()
    answers = server.give(Sent(Protocol.LCP, Code.ECHO_REQUEST, 0, b"\1\2\3\4hello"))
    assert answers == [Sent(Protocol.LCP, Code.ECHO_REPLY, 0, server.magic + b"hello")]


def test_an_echo_before_opened_is_discarded() -> None:
    server = Server()
    server.start()
    assert server.give(Sent(Protocol.LCP, Code.ECHO_REQUEST, 0, bytes(4))) == []


@pytest.mark.parametrize(
    "silent",
    [
        Sent(Protocol.LCP, Code.DISCARD_REQUEST, 1, bytes(4)),
        Sent(Protocol.LCP, Code.IDENTIFICATION, 2, b"\1\2\3\4MSRASV5.20"),
        Sent(Protocol.LCP, Code.IDENTIFICATION, 3, b"\1\2\3\4" + bytes(range(16))),
        Sent(Protocol.LCP, Code.TIME_REMAINING, 4, bytes(8)),
        Sent(Protocol.LCP, Code.ECHO_REPLY, 5, bytes(4)),
    ],
)
def test_silently_accepted(silent: Sent) -> None:
    assert opened().give(silent) == []


def test_an_unknown_code_is_rejected() -> None:
    strange = Sent(Protocol.LCP, 14, 7, b"?")
    (answer,) = opened().give(strange)
    assert answer.code == Code.CODE_REJECT
    assert answer.data == bytes.fromhex("0e070005") + b"?"


def echoes(server: Server, seconds: float) -> list[Sent]:
    sent = server.wait(seconds)
    return [packet for packet in sent if packet.protocol is Protocol.LCP]


QUIET = LinkConfig(authentication_timeout=10_000, echo_interval=20, echo_failures=3)


def test_a_peer_that_answers_echoes_is_alive() -> None:
    server = opened(QUIET)
    for _ in range(10):
        (echo,) = echoes(server, 20)
        assert echo.code == Code.ECHO_REQUEST
        assert echo.data == server.magic
        server.give(echo._replace(code=Code.ECHO_REPLY, data=b"\1\2\3\4"))
    assert not any(isinstance(event, LinkClosed) for event in server.events)


@pytest.mark.parametrize("looped", [False, True])
def test_a_peer_that_answers_no_echo_is_dead(looped: bool) -> None:
    server = opened(QUIET)
    for _ in range(3):
        (echo,) = echoes(server, 20)
        assert echo.code == Code.ECHO_REQUEST
        if looped:
            server.give(echo._replace(code=Code.ECHO_REPLY))
    assert [sent.code for sent in echoes(server, 30)] == [Code.TERMINATE_REQUEST] * 2
    closed = server.events[-1]
    assert isinstance(closed, LinkClosed)
    assert closed.reason is Reason.ECHO_TIMED_OUT
    assert server.link.next_timeout() is None


def test_no_echo_where_none_is_wanted() -> None:
    server = opened(LinkConfig(authentication_timeout=1000, echo_interval=0))
    assert echoes(server, 900) == []


def protocol_reject(protocol: int) -> Sent:
    data = protocol.to_bytes(2, "big") + b"\x01\x01\x00\x04"
    return Sent(Protocol.LCP, Code.PROTOCOL_REJECT, 9, data)


@pytest.mark.parametrize("protocol", [Protocol.LCP, Protocol.CHAP, Protocol.IPCP])
def test_a_rejected_protocol_that_the_link_needs(protocol: Protocol) -> None:
    server = opened()
    (terminate,) = server.give(protocol_reject(protocol))
    assert terminate.code == Code.TERMINATE_REQUEST
    server.wait(10)
    closed = server.events[-1]
    assert isinstance(closed, LinkClosed)
    assert closed.reason is Reason.PROTOCOL_REJECTED
    assert str(protocol) in closed.why


@pytest.mark.parametrize("protocol", [0x80FD, 0x8057, Protocol.IPV4])
def test_a_rejected_protocol_that_the_link_does_not_need(protocol: int) -> None:
    server = opened()
    assert server.give(protocol_reject(protocol)) == []
    assert not any(isinstance(event, LinkClosed) for event in server.events)


def test_a_protocol_reject_before_opened_is_discarded() -> None:
    server = Server()
    server.start()
    assert server.give(protocol_reject(Protocol.IPCP)) == []


def test_the_first_request_of_a_late_peer_is_answered_with_ours() -> None:
    """A pppd that is started for the call missed our first request (section 4.6)."""
    server = Server()
    first = server.start()
    assert server.wait(2.9) == [], "it would only come to nobody"
    again, ack = server.give(request())
    assert again == first
    assert ack.code == Code.CONFIGURE_ACK
    assert server.wait(0.99) == [], "a peer that listens has time to answer"
    assert server.wait(0.02) == [first]


def test_our_request_is_sent_ten_times_in_all() -> None:
    server = Server()
    server.start()
    times = []
    while (due := server.link.next_timeout()) is not None and server.wait(due - server.now):
        times.append(server.now)
    assert times == [3.0 * turn for turn in range(1, 10)]
    closed = server.events[-1]
    assert closed == LinkClosed(Reason.NO_ANSWER, "no answer from the peer to LCP")


def test_option_names() -> None:
    assert str(LcpOption(17)) == "LcpOption 17"


def test_a_peer_whose_data_comes_is_alive() -> None:
    server = opened(QUIET)
    for _ in range(10):
        (echo,) = echoes(server, 20)
        assert echo.code == Code.ECHO_REQUEST
        server.link.peer_is_alive()
    assert not any(isinstance(event, LinkClosed) for event in server.events)
