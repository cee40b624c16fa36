"""The scanner of heads against the samples: UIDs as pydicom reads them, and where a data set may end."""

from __future__ import annotations

import pytest

from gateway.codecs.head_scanner import HeadScanner
from gateway.errors import DecodeError


def test_a_data_set_may_end_between_elements_only() -> None:
    explicit = "1.2.840.10008.1.2.1"
    element = b"\x08\0\x60\0CS\x02\0CT"
    for size in range(len(element) + 1):
        scanner = HeadScanner(explicit, max_inflated=1_000)
        scanner.feed(element[:size])
        if size in (0, len(element)):
            scanner.finish()
        else:
            with pytest.raises(DecodeError):
                scanner.finish()
