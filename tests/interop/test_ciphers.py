"""Proposals of clients, old and new, and libreswan, which is stricter about a server's identity."""

import dataclasses
import re

import pytest

from tests.interop import tshark
from tests.interop.conftest import Serve
from tests.interop.lab import SERVER, Client, Lab, LoginFailed
from tests.interop.server import SALES, Server

pytestmark = pytest.mark.interop

AES, TRIPLE_DES, GCM = "enc cbc(aes)", "enc cbc(des3_ede)", "aead rfc4106(gcm(aes))"
SHA1, SHA2 = "auth-trunc hmac(sha1)", "auth-trunc hmac(sha256)"


@pytest.mark.parametrize(
    ("ike", "esp", "in_the_kernel"),
    [
        ("aes256-sha256-modp2048", "aes256-sha256", (AES, SHA2)),
        ("aes128-sha256-ecp256", "aes128gcm16", (GCM,)),
        ("aes256-sha384-ecp384", "aes256-sha1", (AES, SHA1)),
        ("aes128-sha1-modp2048", "aes128-sha1-modp2048", (AES, SHA1)),
        ("3des-sha1-modp2048", "3des-sha1", (TRIPLE_DES, SHA1)),
    ],
)
def test_default_proposals(
    server: Server, direct: Client, ike: str, esp: str, in_the_kernel: tuple[str, ...]
) -> None:
    direct.connect(dataclasses.replace(SALES, settings={"IKE": ike, "ESP": esp}))
    keys = direct.ipsec_keys()
    assert all(algorithm in keys for algorithm in in_the_kernel)
    assert " 0% packet loss" in direct.ping()


def test_a_long_message_comes_in_fragments(server: Server, lab: Lab, direct: Client) -> None:
    """The public value of MODP-4096 alone is longer than a fragment of ours."""
    with lab.capture("fragments") as capture:
        direct.connect(dataclasses.replace(SALES, settings={"IKE": "aes256-sha256-modp4096"}))
    assert " 0% packet loss" in direct.ping()
    ours = f"ip.src == {SERVER} && isakmp.nextpayload == 132"
    assert len(tshark.fields(capture, ours, ["frame.number"])) == 2
    # Its threads take fragments in any order.
    reassembled = r"received fragment #[12], reassembled fragmented IKE message"
    assert re.search(reassembled, direct.log("ike.log"))


OLD = dataclasses.replace(SALES, settings={"IKE": "3des-sha1-modp1024", "ESP": "3des-sha1"})


def test_modp1024_is_for_legacy_clients_only(serve: Serve, direct: Client) -> None:
    server = serve()
    with pytest.raises(LoginFailed) as failed:
        direct.connect(OLD)
    assert failed.value.stage == "ike"
    assert "NO_PROPOSAL_CHOSEN" in direct.log("ike.log")
    server.stop()
    serve(ipsec={"proposals": "legacy"})
    direct.connect(OLD)
    assert TRIPLE_DES in direct.ipsec_keys()
    assert " 0% packet loss" in direct.ping()


def test_no_encryption_is_for_the_lab_only(serve: Serve, direct: Client) -> None:
    clear = dataclasses.replace(SALES, settings={"ESP": "null-sha1"})
    server = serve(ipsec={"proposals": "legacy"})
    with pytest.raises(LoginFailed) as failed:
        direct.connect(clear)
    assert failed.value.stage == "ike"
    server.stop()
    serve(ipsec={"proposals": "lab"})
    direct.connect(clear)
    assert "cipher_null" in direct.ipsec_keys()
    assert " 0% packet loss" in direct.ping()


def test_libreswan(server: Server, libreswan: Client) -> None:
    assert libreswan.connect(SALES).address.startswith("172.16.1.")
    assert " 0% packet loss" in libreswan.ping()
    libreswan.transfer("get", 2_000_000)


def test_rekeying_does_not_disturb_the_session(server: Server, direct: Client) -> None:
    """The client replaces its SAs after some seconds (RFC 2409 section 5.5)."""
    hasty = {"SA_LIFETIME": "18s", "REKEY_MARGIN": "9s"}
    direct.connect(dataclasses.replace(SALES, settings=hasty))
    first = direct.ipsec_keys()
    assert " 0% packet loss" in direct.ping(count=150)
    assert direct.ipsec_keys() != first
    assert direct.log("ike.log").count("CHILD_SA vpn") >= 2
    assert "Connection terminated" not in direct.log("pppd.log")
