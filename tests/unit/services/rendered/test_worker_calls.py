"""The functions that worker processes are given: they can be named there, and load nothing here."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

from gateway.services.rendered.worker_calls import make_animation, make_document, make_picture


@pytest.mark.parametrize("function", [make_animation, make_document, make_picture])
def test_they_travel_by_name(function: object) -> None:
    assert pickle.loads(pickle.dumps(function)) is function


def test_the_gateway_loads_neither_codecs_nor_arrays_for_them() -> None:
    program = (
        "import sys, gateway.services.rendered.service, gateway.web.uri, gateway.web.rendered\n"
        "print([name for name in ('numpy', 'imagecodecs', 'PIL', 'av') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
