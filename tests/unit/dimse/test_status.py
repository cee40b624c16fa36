"""Status categories and meanings against pynetdicom's tables."""

from __future__ import annotations

import pytest
from pynetdicom.status import (
    QR_FIND_SERVICE_CLASS_STATUS,
    QR_GET_SERVICE_CLASS_STATUS,
    QR_MOVE_SERVICE_CLASS_STATUS,
    STORAGE_SERVICE_CLASS_STATUS,
    code_to_category,
)

from gateway.dimse.status import Category, describe_status, status_category

THEIRS = {
    "Success": Category.SUCCESS,
    "Pending": Category.PENDING,
    "Warning": Category.WARNING,
    "Cancel": Category.CANCEL,
    "Failure": Category.FAILURE,
}


@pytest.mark.parametrize(
    ("operation", "table"),
    [
        ("C-STORE", STORAGE_SERVICE_CLASS_STATUS),
        ("C-FIND", QR_FIND_SERVICE_CLASS_STATUS),
        ("C-GET", QR_GET_SERVICE_CLASS_STATUS),
        ("C-MOVE", QR_MOVE_SERVICE_CLASS_STATUS),
    ],
)
def test_every_code_pynetdicom_knows(operation: str, table: dict[int, tuple[str, str]]) -> None:
    for status, (category, _) in table.items():
        assert status_category(status) is THEIRS[category], f"{status:04X}"
        assert describe_status(operation, status), f"{status:04X}"


def test_categories_of_all_codes_agree_where_pynetdicom_is_sure() -> None:
    for status in range(0x10000):
        category = THEIRS.get(code_to_category(status))
        if category is not None:
            assert status_category(status) is category, f"{status:04X}"


@pytest.mark.parametrize("status", [0x0003, 0x7777, 0xD000, 0xFF02, 0xFFFF, -1])
def test_unassigned_codes_are_failures(status: int) -> None:
    assert status_category(status) is Category.FAILURE


def test_the_service_wins_over_the_general_meaning() -> None:
    assert describe_status("C-STORE", 0xA900) != describe_status("C-FIND", 0xA900)
    assert describe_status("C-MOVE", 0xA801) == "move destination unknown"
    assert describe_status("C-ECHO", 0x0122) == "SOP class not supported"
    assert describe_status("C-ECHO", 0xC123) == ""
