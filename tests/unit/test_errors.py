"""Exceptions: their fields, their words, and the kinds they belong to."""

from __future__ import annotations

import pytest

from gateway import errors


def test_every_exception_is_exported_and_of_the_family() -> None:
    defined = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert set(errors.__all__) == {name for name in defined if issubclass(getattr(errors, name), errors.GatewayError)}


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (errors.ConfigurationError("http.listen", "must be HOST:PORT"), "http.listen: must be HOST:PORT"),
        (errors.BadParameter("limit", "not a number"), "limit: not a number"),
        (errors.UnknownResource("study"), "study not found"),
        (errors.UnsupportedMediaType("", ["a/b"]), "Content-Type (none) is not supported"),
        (errors.TooLarge("the body", 5), "the body is over the limit of 5 bytes"),
        (errors.DecodeError("no item", offset=7, path="00400275"), "no item at byte 7 in 00400275"),
        (errors.DecodeError("no item"), "no item"),
        (
            errors.AssociationRejected("A", 2, 3, 2, "local limit exceeded"),
            "A: association rejected: local limit exceeded (result 2, source 3, reason 2)",
        ),
        (errors.AssociationAborted("A", 2, 6), "A: association aborted (source 2, reason 6)"),
        (errors.NoAcceptedContext("A", "1.2", 3), "A: no presentation context accepted for 1.2 (result 3)"),
        (
            errors.DimseStatusError("A", "C-FIND", 0xA700, "out of resources"),
            "A: C-FIND failed with status A700 (out of resources)",
        ),
        (errors.DimseStatusError("A", "C-FIND", 0xC001), "A: C-FIND failed with status C001"),
        (errors.IncompleteRetrieval("A", 3, 5), "A: 2 of 5 instances could not be retrieved"),
    ],
)
def test_what_an_exception_says(error: errors.GatewayError, text: str) -> None:
    assert str(error) == text


def test_the_comment_of_an_archive_is_a_field_and_not_in_the_text() -> None:
    error = errors.DimseStatusError("A", "C-FIND", 0xA900, comment="Doe^Jane?", offending_elements=[0x00100010])
    assert (error.comment, error.offending_elements) == ("Doe^Jane?", (0x00100010,))
    assert "Jane" not in str(error)


def test_the_fault_of_the_client_is_never_that_of_the_archive() -> None:
    leaves = [value for value in vars(errors).values() if isinstance(value, type)]
    assert not [
        leaf for leaf in leaves if issubclass(leaf, errors.RequestError) and issubclass(leaf, errors.BackendError)
    ]
