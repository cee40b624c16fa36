"""The base URL is what the client can reach, and no stranger can change it."""

from __future__ import annotations

from collections.abc import Mapping
from unittest.mock import Mock

import pytest
from aiohttp.test_utils import make_mocked_request

from gateway.config import HttpSettings
from gateway.web.urls import ServiceUrls, service_path

TRUSTED = ("10.0.0.0/8", "2001:db8::/32", "127.0.0.1")


def base_url(
    headers: Mapping[str, str],
    *,
    peer: object = ("10.0.0.1", 5000),
    local: object = ("10.0.0.2", 8080),
    backend: str | None = None,
    settings: HttpSettings | None = None,
) -> str:
    transport = Mock()
    transport.get_extra_info = {"peername": peer, "sockname": local}.get
    request = make_mocked_request("GET", "/", headers=headers, transport=transport)
    return ServiceUrls(settings or HttpSettings(trusted_proxies=TRUSTED)).base_url(request, backend)


def test_the_public_url_outranks_everything() -> None:
    settings = HttpSettings(public_url="https://images.example.org/dicomweb/", trusted_proxies=TRUSTED)
    headers = {"Host": "evil", "Forwarded": "host=other;proto=http"}
    assert base_url(headers, settings=settings) == "https://images.example.org/dicomweb"
    assert base_url(headers, settings=settings, backend="old") == "https://images.example.org/backends/old/dicomweb"
    settings = HttpSettings(public_url="https://example.org/pacs")
    assert base_url(headers, settings=settings) == "https://example.org/pacs"
    assert base_url(headers, settings=settings, backend="old") == "https://example.org/pacs/backends/old/dicomweb"


@pytest.mark.parametrize(
    ("headers", "url"),
    [
        ({"Host": "h:8080"}, "http://h:8080/dicomweb"),
        ({"Host": "h:9"}, "http://h:9/dicomweb"),
        ({"Host": "h"}, "http://h:8080/dicomweb"),  # dicomweb-client leaves the port out
        ({"Host": "[::1]:8080"}, "http://[::1]:8080/dicomweb"),
        ({"Host": "[::1]"}, "http://[::1]:8080/dicomweb"),
        ({"Host": 'h"><script>'}, "http://10.0.0.2:8080/dicomweb"),
        ({}, "http://10.0.0.2:8080/dicomweb"),
        # Forwarded, RFC 7239
        ({"Host": "h", "Forwarded": "for=1.2.3.4;proto=https;host=pub.example"}, "https://pub.example/dicomweb"),
        ({"Host": "h", "Forwarded": 'FOR="[2001:dead::1]:99";Proto=HTTPS;Host="pub:444"'}, "https://pub:444/dicomweb"),
        (
            {"Host": "h", "Forwarded": "for=9.9.9.9;host=evil, for=1.2.3.4;host=pub;proto=https"},
            "https://pub/dicomweb",
        ),
        (
            {"Host": "h", "Forwarded": 'for=9.9.9.9;host=evil, for=1.2.3.4;host=pub, for="10.1.1.1:77";host=inner'},
            "http://pub/dicomweb",
        ),
        ({"Host": "h", "Forwarded": "for=1.2.3.4;host=a/b;proto=ftp"}, "http://h:8080/dicomweb"),
        ({"Host": "h", "Forwarded": 'host="open'}, "http://h:8080/dicomweb"),
        ({"Host": "h:1", "Forwarded": "proto=https"}, "https://h:1/dicomweb"),
        (
            {"Host": "h", "Forwarded": "host=pub;proto=https", "X-Forwarded-Prefix": "/pacs/"},
            "https://pub/pacs/dicomweb",
        ),
        # what most proxies send instead
        ({"Host": "h", "X-Forwarded-Host": "pub", "X-Forwarded-Proto": "https"}, "https://pub/dicomweb"),
        (
            {"Host": "h", "X-Forwarded-Host": "pub", "X-Forwarded-Proto": "https", "X-Forwarded-Port": "8443"},
            "https://pub:8443/dicomweb",
        ),
        (
            {"Host": "h", "X-Forwarded-Host": "pub", "X-Forwarded-Proto": "https", "X-Forwarded-Port": "443"},
            "https://pub/dicomweb",
        ),
        ({"Host": "h", "X-Forwarded-Host": "pub:1", "X-Forwarded-Port": "2"}, "http://pub:1/dicomweb"),
        ({"Host": "h", "X-Forwarded-Prefix": "/../x y"}, "http://h:8080/dicomweb"),
        (
            {"Host": "h", "X-Forwarded-For": "9.9.9.9, 1.2.3.4", "X-Forwarded-Host": "evil, pub"},
            "http://pub/dicomweb",
        ),
        (
            {"Host": "h", "X-Forwarded-For": "1.2.3.4, 10.1.1.1", "X-Forwarded-Host": "pub, inner"},
            "http://pub/dicomweb",
        ),
        (
            {"Host": "h", "X-Forwarded-For": "1.2.3.4, 10.1.1.1", "X-Forwarded-Host": "pub"},
            "http://pub/dicomweb",
        ),
    ],
)
def test_behind_a_trusted_proxy(headers: dict[str, str], url: str) -> None:
    assert base_url(headers) == url


@pytest.mark.parametrize("peer", [("192.0.2.9", 1), ("2001:dead::1", 1, 0, 0), "", None, ("not an address", 1)])
def test_headers_of_strangers_are_ignored(peer: object) -> None:
    headers = {
        "Host": "h:8080",
        "Forwarded": "host=evil;proto=https",
        "X-Forwarded-Host": "evil",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Prefix": "/evil",
    }
    assert base_url(headers, peer=peer) == "http://h:8080/dicomweb"


@pytest.mark.parametrize("peer", [("::ffff:10.0.0.1", 1, 0, 0), ("2001:db8::7", 1, 0, 0), ("127.0.0.1", 1)])
def test_trusted_networks_of_both_families(peer: object) -> None:
    assert base_url({"Host": "h", "X-Forwarded-Host": "pub"}, peer=peer) == "http://pub/dicomweb"


def test_nobody_is_trusted_by_default() -> None:
    headers = {"Host": "h:8080", "X-Forwarded-Host": "evil"}
    assert base_url(headers, settings=HttpSettings()) == "http://h:8080/dicomweb"


def test_default_ports_are_not_written() -> None:
    assert base_url({"Host": "h"}, local=("10.0.0.2", 80)) == "http://h/dicomweb"
    assert base_url({}, local=("::1", 8080, 0, 0)) == "http://[::1]:8080/dicomweb"
    assert base_url({"Host": "h"}, local="/run/socket") == "http://h/dicomweb"
    assert base_url({}, local="/run/socket") == "http://localhost/dicomweb"


def test_backends_have_their_own_base() -> None:
    assert base_url({"Host": "h:1"}, backend="old") == "http://h:1/backends/old/dicomweb"
    assert service_path(None) == "/dicomweb"


def test_a_trusted_proxy_must_be_an_address_or_network() -> None:
    with pytest.raises(ValueError, match="does not appear"):
        ServiceUrls(HttpSettings(trusted_proxies=("proxy.example",)))
