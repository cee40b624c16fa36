"""The typed configuration: frozen models, one per section, each default with its reason.

The models only say what a configuration is. Where values come from (TOML, environment, flags) and how a wrong
one is reported is ``gateway/settings_sources.py``. Units stand in the names; every value is passed as an
argument, nothing reads settings from a module.
"""

from __future__ import annotations

from enum import Enum
from ipaddress import ip_network
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from gateway.errors import ConfigurationError

__all__ = [
    "AETitle",
    "BackendName",
    "BackendSettings",
    "CacheSettings",
    "CommitmentSettings",
    "DimseSettings",
    "EmptySearch",
    "GatewaySettings",
    "HttpSettings",
    "LogSettings",
    "RetrieveMethod",
    "SearchSettings",
    "StoreSettings",
    "split_address",
]


def _check_ae_title(value: str) -> str:
    value = value.strip(" ")  # leading and trailing spaces mean nothing
    if not 1 <= len(value) <= 16 or "\\" in value or not all(" " <= character <= "~" for character in value):
        raise ValueError("an AE title has 1 to 16 printable ASCII characters and no backslash")
    return value


def _check_backend_name(value: str) -> str:
    if not value[:1].isalnum() or not all(c.isascii() and (c.isalnum() or c in "-_") for c in value):
        raise ValueError("a backend name has letters, digits, - and _, and begins with a letter or digit")
    return value


AETitle = Annotated[str, AfterValidator(_check_ae_title)]
"""1 to 16 characters of the default repertoire without backslash, not all spaces (PS3.5 §6.2, VR AE)."""

BackendName = Annotated[str, AfterValidator(_check_backend_name)]
"""The name of a backend: a segment of a URL path, and part of environment variable names."""

Seconds = Annotated[float, Field(gt=0, le=86_400)]
SecondsOrNone = Annotated[float, Field(ge=0, le=604_800)]
Port = Annotated[int, Field(ge=1, le=65_535)]


def split_address(address: str) -> tuple[str, int]:
    """Split ``host:port`` or ``[v6]:port``.

    Raises
    ------
    ValueError
        No port, or one outside 0–65535 (0 lets the system choose).
    """
    host, colon, port = address.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ValueError("must be HOST:PORT")
    return host.strip("[]") or "0.0.0.0", int(port)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RetrieveMethod(Enum):
    """How instances are fetched; ``auto`` prefers C-GET and falls back to C-MOVE."""

    AUTO = "auto"
    C_GET = "c-get"
    C_MOVE = "c-move"


class EmptySearch(Enum):
    """How a search without matches is answered (PS3.18 §10.6.3.1 against CP-2473)."""

    EMPTY_ARRAY = "200"
    NO_CONTENT = "204"


class HttpSettings(_Section):
    """The web side."""

    listen: str = "127.0.0.1:8080"  # loopback: patient data is not offered to a network by accident
    public_url: str | None = None  # base of Retrieve and Bulkdata URLs when a reverse proxy changes host or path
    trusted_proxies: tuple[str, ...] = ()  # networks whose Forwarded headers are believed; none by default
    header_timeout_s: Seconds = 30  # a client that never finishes its request head
    body_timeout_s: Seconds = 60  # no byte of an upload for this long
    write_timeout_s: Seconds = 60  # the client takes nothing for this long: the archive is not held for it
    max_body_bytes: int = Field(default=0, ge=0)  # 0: no limit, uploads are streamed and never held
    max_decoded_bytes: int = Field(default=4_294_967_296, ge=0)  # of a compressed upload: a bomb; 0: no limit
    require_accept: bool = False  # PS3.18 §8.7.5 wants 406 without Accept; HTTP means */*; viewers rely on HTTP
    cors_origins: tuple[str, ...] = ()  # origins of web viewers served from elsewhere; "*" for any
    shutdown_grace_s: SecondsOrNone = 30  # running streams may finish within this after a stop signal
    strict_dicom_codes: bool = False  # fold 502 and 504 into 503, the only code of PS3.18 for both

    @field_validator("listen")
    @classmethod
    def _check_listen(cls, value: str) -> str:
        split_address(value)
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _check_trusted_proxies(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ip_network(network)
        return value

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value.rstrip("/") if value else None


class DimseSettings(_Section):
    """Our own application entity as acceptor: the destination of C-MOVE."""

    listen: str | None = "0.0.0.0:11112"  # the registered DICOM port; archives connect to it; empty: no C-MOVE
    max_inbound_associations: int = Field(default=64, ge=1, le=4096)  # an archive may open many for one C-MOVE
    max_pdu_bytes: int = Field(default=131_072, ge=4_096, le=16_777_216)  # DCMTK's ceiling; fewer, larger reads
    artim_timeout_s: Seconds = 15  # a connection that never sends A-ASSOCIATE-RQ
    idle_timeout_s: Seconds = 120  # an inbound association that carries nothing (Sectra opens such)

    @field_validator("listen")
    @classmethod
    def _check_listen(cls, value: str | None) -> str | None:
        if not value:
            return None
        split_address(value)
        return value


class BackendSettings(_Section):
    """One archive."""

    ae_title: AETitle
    host: str = Field(min_length=1)
    port: Port = 104
    calling_ae_title: AETitle | None = None  # else the gateway's own
    move_destination: AETitle | None = None  # the AE title the archive knows us by; else the gateway's own
    retrieve: RetrieveMethod = RetrieveMethod.AUTO
    max_associations: int = Field(default=8, ge=1, le=256)  # archives commonly allow 10 to 20 in all
    max_idle_s: Seconds = 30  # shorter than the idle limit of common archives (60 s)
    max_age_s: Seconds = 600  # an association is renewed after this, so that changes of the archive are seen
    max_pdu_bytes: int = Field(default=131_072, ge=4_096, le=16_777_216)  # what we announce to receive
    connect_timeout_s: Seconds = 5
    associate_timeout_s: Seconds = 15
    response_timeout_s: Seconds = 60  # first answer to a request, and the next match of a search
    retrieve_timeout_s: Seconds = 300  # between sub-operations: tapes and remote tiers are slow
    store_timeout_s: Seconds = 120  # C-STORE-RSP after the last byte
    silence_timeout_s: Seconds = 60  # no byte while a message is under way
    operation_timeout_s: SecondsOrNone = 0  # whole operation; 0: none, big studies take their time
    pool_timeout_s: Seconds = 10  # waiting for a free association: then 503
    cancel_timeout_s: Seconds = 2  # from C-CANCEL to the final response; then A-ABORT
    move_grace_s: Seconds = 5  # the last C-STORE of a C-MOVE may arrive after its final response
    default_character_set: str = "ISO_IR 6"  # for answers without (0008,0005); many archives mean ISO_IR 100
    relational: bool | None = None  # None: negotiated; false: never ask, walk the levels
    extended_negotiation_bytes: int = Field(default=4, ge=0, le=7)  # 0 for archives that choke on it
    move_correlation: Literal["auto", "one-at-a-time"] = "auto"  # the latter for archives without originator
    # Requests for instances or frames of one series that come within this time share one operation; 0: each has its own
    coalesce_window_ms: Annotated[float, Field(ge=0, le=1_000)] = 3  # a viewer's burst arrives in less
    stop_early: bool = True  # abort once the wanted frames are here; an archive may be slow to recover from that
    # Side by side within one STOW request. One: some archives (dcmqrscp) acknowledge instances that arrive in the same
    # second and overwrite one with the other. More help where an archive takes its time to answer.
    store_associations: int = Field(default=1, ge=1, le=32)
    user_name: str | None = None  # user identity negotiation, PS3.7 D.3.3.7
    password: str | None = Field(default=None, repr=False)  # better from the environment or password_file
    password_file: str | None = None  # its content is the password, one trailing line end dropped


def _status_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) else value  # a status code is naturally written as a number


_EmptySearchSetting = Annotated[EmptySearch, BeforeValidator(_status_text)]


class SearchSettings(_Section):
    """QIDO-RS."""

    empty: _EmptySearchSetting = EmptySearch.EMPTY_ARRAY  # common viewers parse the body of any success
    max_results: int = Field(default=0, ge=0)  # 0: no limit of ours; a hidden limit surprises users
    max_walk: int = Field(default=1_000, ge=1)  # studies or series visited for an archive without relational queries
    walk_concurrency: int = Field(default=4, ge=1, le=32)  # C-FINDs side by side during such a walk
    compute_counts: bool = True  # counts and modalities that an archive leaves out cost further C-FINDs


class StoreSettings(_Section):
    """STOW-RS."""

    max_instance_bytes: int = Field(default=0, ge=0)  # 0: none
    reencode: bool = True  # Big Endian, deflated and the like to Explicit VR LE where the archive refuses them
    coerce: tuple[str, ...] = ()  # KEYWORD=VALUE given to every instance; none: what is sent is what is stored
    max_instances: int = Field(default=0, ge=0)  # parts of one request; 0: none, what is kept of each is small
    max_head_bytes: int = Field(default=4_194_304, ge=65_536)  # held of each instance while looking for its UIDs
    max_metadata_bytes: int = Field(default=16_777_216, ge=65_536)  # metadata of one request, which is held in memory
    max_spool_bytes: int = Field(default=4_294_967_296, ge=0)  # its bulk data on disk at a time; 0: no limit
    spool_folder: str = ""  # where that is; empty: the folder of temporary files


class CacheSettings(_Section):
    """What is kept between requests, and how long it is trusted."""

    fresh_s: SecondsOrNone = 2  # an answer of the index serves the requests of one page; 0: each request asks anew
    metadata_memory_mib: int = Field(default=64, ge=0)  # some 5,000 instances; 0: no metadata is kept
    folder: str = ""  # where files may be kept; empty: nothing is written
    metadata_disk_mib: int = Field(default=0, ge=0)  # patient data at rest is for the operator to choose
    recheck_s: SecondsOrNone = 300  # the UIDs are compared even where the numbers agree
    max_age_s: SecondsOrNone = 86_400  # a change inside an instance that its study and series do not show is seen then
    cache_control: str = "private, no-cache"  # of pixels whose metadata is kept: a browser asks first

    @field_validator("cache_control")
    @classmethod
    def _check_cache_control(cls, value: str) -> str:
        directives = {piece.partition("=")[0].strip().lower() for piece in value.split(",")}
        if "public" in directives or "s-maxage" in directives or not directives & {"private", "no-store"}:
            raise ValueError("patient data is for private caches: private or no-store, never public")
        return value

    @model_validator(mode="after")
    def _check_disk(self) -> Self:
        if self.metadata_disk_mib and not (self.folder and self.metadata_memory_mib):
            raise ValueError("metadata_disk_mib needs folder, and metadata_memory_mib, through which it is filled")
        return self


class ImagingSettings(_Section):
    """Pictures: decoded, rendered and encoded in processes of their own."""

    workers: int = Field(default=0, ge=0, le=256)  # processes; 0: one per core
    task_timeout_s: Seconds = 30  # of processor time, of one picture; its process is ended then
    memory_mib: int = Field(default=1_024, ge=256)  # address space of a process: a bomb ends there
    max_frame_mib: int = Field(default=256, ge=1)  # a frame, or the frames of an animation, held for rendering


class CommitmentSettings(_Section):
    """Storage commitment."""

    database: str = ""  # SQLite file that keeps the transactions over a restart; empty: they live in memory
    wait_s: SecondsOrNone = 3  # a result that comes within this is the answer to the request itself
    same_association_s: SecondsOrNone = 5  # how long the archive may report on the association of the request
    repeat_after_s: Seconds = 3_600  # a client that asks after this has the archive asked again: it may have forgotten
    result_timeout_s: SecondsOrNone = 86_400  # then instances the archive never told of count as failed
    keep_s: SecondsOrNone = 604_800  # how long a result can be had
    forget_s: SecondsOrNone = 604_800  # and its Transaction UID is known after that
    max_references: int = Field(default=1_000, ge=1)  # instances in one request to the archive; more are divided
    max_body_bytes: int = Field(default=16_777_216, ge=1_024)  # of a request: some 100,000 instances


class LogSettings(_Section):
    """Structured log on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"  # one line a request, none a PDU
    format: Literal["auto", "json", "console"] = "auto"  # auto: console on a terminal


class GatewaySettings(BaseSettings):
    """The whole configuration; the first backend is the default one.

    Making one reads nothing: values come from arguments alone. `gateway.settings_sources` reads the file, the
    environment and the command line.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    ae_title: AETitle = "GATEWAY"
    http: HttpSettings = HttpSettings()
    dimse: DimseSettings = DimseSettings()
    search: SearchSettings = SearchSettings()
    store: StoreSettings = StoreSettings()
    cache: CacheSettings = CacheSettings()
    imaging: ImagingSettings = ImagingSettings()
    commitment: CommitmentSettings = CommitmentSettings()
    log: LogSettings = LogSettings()
    backends: dict[BackendName, BackendSettings] = Field(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """No source but the arguments."""
        return (init_settings,)

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.dimse.listen is not None and _overlap(self.http.listen, self.dimse.listen):
            raise ConfigurationError("dimse.listen", f"is the address of http.listen too ({self.http.listen})")
        for name, backend in self.backends.items():
            if backend.retrieve is RetrieveMethod.C_MOVE and self.dimse.listen is None:
                raise ConfigurationError(
                    f"backends.{name}.retrieve", "c-move needs dimse.listen, where the archive connects to"
                )
        return self


def _overlap(one: str, other: str) -> bool:
    (host, port), (other_host, other_port) = split_address(one), split_address(other)
    return port == other_port != 0 and (host == other_host or "0.0.0.0" in (host, other_host))
