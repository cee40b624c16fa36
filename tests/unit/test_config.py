"""The configuration models: what is accepted, and that making them reads nothing."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway.config import BackendSettings, EmptySearch, GatewaySettings, RetrieveMethod, split_address
from gateway.errors import ConfigurationError

BACKEND = {"ae_title": "ARCHIVE", "host": "pacs.example.org"}


def test_settings_come_from_arguments_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AE_TITLE", "ELSEWHERE")
    assert GatewaySettings().ae_title == "GATEWAY"


def test_settings_are_frozen() -> None:
    settings = GatewaySettings()
    with pytest.raises(ValidationError):
        settings.ae_title = "OTHER"
    with pytest.raises(ValidationError):
        settings.http.listen = "127.0.0.1:1"


def test_patient_data_is_offered_to_the_loopback_interface_by_default() -> None:
    assert GatewaySettings().http.listen == "127.0.0.1:8080"


@pytest.mark.parametrize(
    ("given", "meant"), [("ARCHIVE", "ARCHIVE"), (" ARCHIVE ", "ARCHIVE"), ("A B", "A B"), ("X" * 16, "X" * 16)]
)
def test_ae_titles(given: str, meant: str) -> None:
    assert BackendSettings(**{**BACKEND, "ae_title": given}).ae_title == meant


@pytest.mark.parametrize("wrong", ["", "   ", "X" * 17, "A\\B", "A\tB", "ÄRZTE"])
def test_wrong_ae_titles(wrong: str) -> None:
    with pytest.raises(ValidationError, match="an AE title has 1 to 16 printable ASCII characters"):
        BackendSettings(**{**BACKEND, "ae_title": wrong})


@pytest.mark.parametrize("name", ["main", "north-pacs", "pacs_2", "2"])
def test_backend_names(name: str) -> None:
    assert list(GatewaySettings(backends={name: BACKEND}).backends) == [name]


@pytest.mark.parametrize("name", ["", "-main", "north pacs", "a/b", "größe"])
def test_wrong_backend_names(name: str) -> None:
    with pytest.raises(ValidationError, match="a backend name has letters, digits"):
        GatewaySettings(backends={name: BACKEND})


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [("127.0.0.1:8080", "127.0.0.1", 8080), (":104", "0.0.0.0", 104), ("[::1]:0", "::1", 0)],
)
def test_addresses(address: str, host: str, port: int) -> None:
    assert split_address(address) == (host, port)


@pytest.mark.parametrize("address", ["", "localhost", "localhost:", "localhost:http", "localhost:65536", "h:²"])
def test_wrong_addresses(address: str) -> None:
    with pytest.raises(ValueError, match="must be HOST:PORT"):
        split_address(address)


def test_an_empty_dimse_address_means_no_listener() -> None:
    assert GatewaySettings(dimse={"listen": ""}).dimse.listen is None


def test_c_move_needs_a_listener() -> None:
    with pytest.raises(ConfigurationError) as caught:
        GatewaySettings(dimse={"listen": ""}, backends={"main": {**BACKEND, "retrieve": "c-move"}})
    assert caught.value.key == "backends.main.retrieve"
    assert "dimse.listen" in caught.value.reason


@pytest.mark.parametrize("dimse", ["127.0.0.1:8080", "0.0.0.0:8080"])
def test_one_address_cannot_be_listened_on_twice(dimse: str) -> None:
    with pytest.raises(ConfigurationError, match=r"dimse\.listen: is the address of http\.listen too"):
        GatewaySettings(dimse={"listen": dimse})


def test_system_chosen_ports_do_not_clash() -> None:
    settings = GatewaySettings(http={"listen": "127.0.0.1:0"}, dimse={"listen": "127.0.0.1:0"})
    assert settings.dimse.listen == settings.http.listen


def test_words_and_numbers_of_the_file_become_values() -> None:
    settings = GatewaySettings(
        search={"empty": 204},
        http={"public_url": "https://images.example.org/dicomweb/", "trusted_proxies": ["10.0.0.0/8"]},
        backends={"main": {**BACKEND, "retrieve": "c-get"}},
    )
    assert settings.search.empty is EmptySearch.NO_CONTENT
    assert settings.http.public_url == "https://images.example.org/dicomweb"
    assert settings.backends["main"].retrieve is RetrieveMethod.C_GET


@pytest.mark.parametrize("wrong", [{"public_url": "images.example.org"}, {"trusted_proxies": ["proxy.local"]}])
def test_wrong_web_settings(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        GatewaySettings(http=wrong)


def test_a_password_stays_out_of_the_representation() -> None:
    backend = BackendSettings(**BACKEND, user_name="gateway", password="opensesame")
    assert "opensesame" not in repr(backend)
    assert backend.password == "opensesame"
