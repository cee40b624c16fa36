"""The OHIF viewer behind nginx as ``deploy/ohif`` serves it, on a free port, in front of a gateway of the test."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.peers import LOOPBACK, Peer, PeerError, find_free_port

__all__ = ["ViewerPeer"]

_ROOT = Path(__file__).resolve().parents[2]
_DEPLOYED = _ROOT / "deploy" / "ohif"
_BUILT = _ROOT / ".peers" / "ohif"

_AROUND = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 256; }}
http {{
    include /etc/nginx/mime.types;
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{server}
}}
"""


@dataclass
class ViewerPeer(Peer):
    """nginx with the configuration of ``deploy/ohif``; only addresses and folders in it are those of the test.

    Parameters
    ----------
    gateway_url : str
        Where ``/dicomweb`` and ``/backends`` are passed on to.
    """

    gateway_url: str = ""
    http_port: int = field(default_factory=find_free_port)

    program = "nginx"

    @property
    def url(self) -> str:
        """Origin of the viewer."""
        return f"http://{LOOPBACK}:{self.http_port}"

    def _ports(self) -> tuple[int, ...]:
        return (self.http_port,)

    def _prepare(self) -> list[str]:
        if not (_BUILT / "index.html").is_file():
            raise PeerError("OHIF is not there; scripts/install-peers.sh brings it")
        configuration = self.folder / "nginx.conf"
        configuration.write_text(_AROUND.format(folder=self.folder, server=self._server()))
        return ["-p", str(self.folder), "-c", str(configuration)]

    def _server(self) -> str:
        text = (_DEPLOYED / "nginx.conf").read_text()
        replacements = {
            "listen 8080;": f"listen {LOOPBACK}:{self.http_port};",
            "//gateway:8080": f"//{urlsplit(self.gateway_url).netloc}",
            "/usr/share/nginx/html": str(_BUILT),
            "/etc/ohif": str(_DEPLOYED),
        }
        for deployed, here in replacements.items():
            if deployed not in text:
                raise PeerError(f"deploy/ohif/nginx.conf lacks {deployed}")
            text = text.replace(deployed, here)
        return text
