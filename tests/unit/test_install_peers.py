"""The installer of the peers says in one line what it cannot do."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "install-peers.sh"


@pytest.mark.parametrize(
    ("tools", "message"),
    [
        ([], "no apt-get here; please install by hand:"),
        (["apt-get", "id"], "needs root; please run as root: apt-get install"),
    ],
)
def test_it_tells_what_stands_in_the_way(tmp_path: Path, tools: list[str], message: str) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    for tool, answer in {"apt-get": "exit 9", "id": "echo 1000"}.items():
        if tool in tools:
            (tmp_path / tool).write_text(f"#!{bash}\n{answer}\n")
            (tmp_path / tool).chmod(0o755)
    result = subprocess.run(
        [bash, str(SCRIPT)], capture_output=True, text=True, env={"PATH": str(tmp_path)}, timeout=30, check=False
    )
    assert result.returncode == 1
    assert result.stderr.startswith(f"install-peers: {message}")
    assert "chromium" in result.stderr
    assert result.stderr.count("\n") == 1
