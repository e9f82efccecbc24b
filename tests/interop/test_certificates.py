"""Real clients that prove by certificates who they are."""

import dataclasses

import pytest

from tests.interop.authority import Authority
from tests.interop.conftest import Serve
from tests.interop.lab import Client, LoginFailed
from tests.interop.server import SALES

pytestmark = pytest.mark.interop


def test_strongswan(serve: Serve, authority: Authority, anywhere: Client) -> None:
    server = serve(ipsec=authority.of_the_server())
    by_certificate = dataclasses.replace(SALES, settings=authority.of_a_client())
    anywhere.connect(by_certificate)
    assert " 0% packet loss" in anywhere.ping()
    server.wait_for_log("authenticated as", "CN=laptop", "with certificate")
    anywhere.connect(SALES)
    server.wait_for_log("authenticated as", "with psk")


def test_libreswan(serve: Serve, authority: Authority, libreswan: Client) -> None:
    server = serve(ipsec=authority.of_the_server())
    libreswan.connect(dataclasses.replace(SALES, settings=authority.of_a_client()))
    assert " 0% packet loss" in libreswan.ping()
    server.wait_for_log("authenticated as", "CN=laptop", "with certificate")


def test_a_revoked_certificate(
    serve: Serve, tmp_path_factory: pytest.TempPathFactory, direct: Client
) -> None:
    authority = Authority(tmp_path_factory.mktemp("authority"))
    server = serve(ipsec=authority.of_the_server())
    by_certificate = dataclasses.replace(SALES, settings=authority.of_a_client())
    direct.connect(by_certificate)
    authority.revoke()
    server.reload()
    server.wait_for_log("reloaded")
    assert " 0% packet loss" in direct.ping(), "whoever is in stays in"
    with pytest.raises(LoginFailed) as failed:
        direct.connect(by_certificate)
    assert failed.value.stage == "ike"
    server.wait_for_log("the certificate of CN=laptop,O=Example is revoked")
