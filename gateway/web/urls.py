"""The absolute URL of a DICOMweb service as the client sees it, for Retrieve and Bulkdata URLs (PS3.18 §8.2).

Behind a reverse proxy the gateway's own address is not the client's. In this order: the configured public URL; the
Forwarded or X-Forwarded headers of a proxy that is trusted; the Host header. Headers of anybody else are ignored,
since they would let one client write URLs into another's cache. Called by the handlers of ``gateway/web``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from aiohttp import hdrs, web
from multidict import MultiMapping

from gateway.codecs.media_types import parse_parameters, split_list
from gateway.config import HttpSettings
from gateway.errors import DecodeError

__all__ = ["DEFAULT_PREFIX", "ServiceUrls", "service_path"]

DEFAULT_PREFIX = "/dicomweb"
"""Path of the DICOMweb service of the default backend."""

_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class _Origin:
    """What a client's URLs begin with, as far as one source knows it; empty where it does not."""

    scheme: str = ""
    host: str = ""
    prefix: str = ""


class ServiceUrls:
    """Base URLs of the services, for one configuration.

    Parameters
    ----------
    settings : HttpSettings
        `public_url` is the base of the default backend's service; `trusted_proxies` are addresses or networks.

    Raises
    ------
    ValueError
        A trusted proxy that is neither.
    """

    def __init__(self, settings: HttpSettings) -> None:
        self._public_url = settings.public_url
        self._trusted = tuple(ip_network(text, strict=False) for text in settings.trusted_proxies)

    def base_url(self, request: web.BaseRequest, backend: str | None = None) -> str:
        """The service root without trailing slash, ``https://host/dicomweb``.

        Parameters
        ----------
        backend : str or None
            Name of a backend addressed by ``/backends/{name}/dicomweb``; None for the default one.
        """
        if self._public_url is not None:
            if backend is None:
                return self._public_url
            return self._public_url.removesuffix(DEFAULT_PREFIX) + service_path(backend)
        told = self._told_by_proxy(request)
        scheme = told.scheme or request.scheme
        host = told.host or _own_host(request, scheme)
        return f"{scheme}://{host}{told.prefix}{service_path(backend)}"

    def base_url_as_addressed(self, request: web.BaseRequest, backend: str) -> str:
        """The service root of `backend` by the name the client used: its own, or that of the default one."""
        is_named = request.path.startswith(service_path(backend) + "/")
        return self.base_url(request, backend if is_named else None)

    def _told_by_proxy(self, request: web.BaseRequest) -> _Origin:
        peer = request.transport.get_extra_info("peername") if request.transport is not None else None
        if not isinstance(peer, tuple) or not self._is_trusted(str(peer[0])):
            return _Origin()
        return self._read_forwarded(request.headers) or self._read_x_forwarded(request.headers)

    def _read_forwarded(self, headers: MultiMapping[str]) -> _Origin | None:
        """Read Forwarded (RFC 7239 §4): one element for each proxy, the nearest last."""
        text = _join(headers, hdrs.FORWARDED)
        try:
            hops = [dict(parse_parameters(element)) for element in split_list(text) if element.strip()]
        except DecodeError:
            return _Origin()
        if not hops:
            return None
        hop = hops[self._outermost([_node_address(hop.get("for", "")) for hop in hops])]
        prefix = _checked(_PREFIX, headers.get("X-Forwarded-Prefix", "").rstrip("/"))
        return _Origin(_checked_scheme(hop.get("proto", "")), _checked(_HOST, hop.get("host", "")), prefix)

    def _read_x_forwarded(self, headers: MultiMapping[str]) -> _Origin:
        """Read the X-Forwarded headers; lists in them are taken to grow to the right, as X-Forwarded-For does."""
        senders = [piece.strip() for piece in _join(headers, hdrs.X_FORWARDED_FOR).split(",") if piece.strip()]
        back = len(senders) - self._outermost([_node_address(sender) for sender in senders]) if senders else 1

        def pick(name: str) -> str:
            values = [piece.strip() for piece in _join(headers, name).split(",")]
            return values[-min(back, len(values))]

        scheme = _checked_scheme(pick(hdrs.X_FORWARDED_PROTO))
        host = _checked(_HOST, pick(hdrs.X_FORWARDED_HOST))
        port = pick("X-Forwarded-Port")
        if host and port.isascii() and port.isdigit() and not _has_port(host):
            host += _port_suffix(int(port), scheme)
        return _Origin(scheme, host, _checked(_PREFIX, pick("X-Forwarded-Prefix").rstrip("/")))

    def _outermost(self, senders: Sequence[str]) -> int:
        """Index of the element written by the outermost proxy that is trusted.

        Each proxy appends whom it was asked by: an element can be believed if all to its right come from trusted
        proxies; what a client sent in advance stands further left.
        """
        index = len(senders) - 1
        while index > 0 and self._is_trusted(senders[index]):
            index -= 1
        return index

    def _is_trusted(self, address: str) -> bool:
        try:
            found = ip_address(address)
        except ValueError:
            return False
        found = getattr(found, "ipv4_mapped", None) or found
        return any(_contains(network, found) for network in self._trusted)


def service_path(backend: str | None) -> str:
    """Path of the DICOMweb service of a backend, None for the default one."""
    return DEFAULT_PREFIX if backend is None else f"/backends/{backend}{DEFAULT_PREFIX}"


def _contains(network: IPv4Network | IPv6Network, address: object) -> bool:
    return getattr(address, "version", 0) == network.version and address in network


def _own_host(request: web.BaseRequest, scheme: str) -> str:
    """The Host header, with the port of the connection where a client leaves it out (dicomweb-client does)."""
    local = request.transport.get_extra_info("sockname") if request.transport is not None else None
    port = local[1] if isinstance(local, tuple) else 0
    host = _checked(_HOST, request.headers.get(hdrs.HOST, ""))
    if not host:
        address = str(local[0]) if isinstance(local, tuple) else "localhost"
        host = f"[{address}]" if ":" in address else address
    return host if _has_port(host) or not port else host + _port_suffix(port, scheme)


def _join(headers: MultiMapping[str], name: str) -> str:
    """All lines of a header as one list: a proxy may add a line of its own below the client's (RFC 9110 §5.3)."""
    return ", ".join(headers.getall(name, []))


def _port_suffix(port: int, scheme: str) -> str:
    return "" if _DEFAULT_PORTS.get(scheme) == port else f":{port}"


def _has_port(host: str) -> bool:
    return ":" in host.rpartition("]")[2]


def _node_address(node: str) -> str:
    """The address in a node of RFC 7239 §6, ``[2001:db8::1]:80`` or ``192.0.2.1:80``."""
    if node.startswith("["):
        return node[1:].partition("]")[0]
    return node.partition(":")[0] if node.count(":") == 1 else node


def _checked(pattern: re.Pattern[str], text: str) -> str:
    return text if pattern.fullmatch(text) else ""


def _checked_scheme(text: str) -> str:
    return text.lower() if text.lower() in _DEFAULT_PORTS else ""
