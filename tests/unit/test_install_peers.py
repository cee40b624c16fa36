"""The installer of the peers says in one line what it cannot do."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT, VIEWER = ROOT / "scripts" / "install-peers.sh", ROOT / "deploy" / "ohif" / "fetch-viewer.sh"


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


@pytest.mark.parametrize(
    ("npm", "message"),
    [
        (None, "fetch-viewer: npm is not installed"),
        ("exit 1", "fetch-viewer: npm could not bring OHIF"),
        ("echo something else >ohif-app-$(grep -o '[0-9.]*$' <<<\"$*\").tgz", "is not what was pinned"),
    ],
)
def test_a_viewer_that_is_not_the_pinned_one_is_refused(tmp_path: Path, npm: str | None, message: str) -> None:
    """And nothing is left behind."""
    tools, folder = tmp_path / "tools", tmp_path / "peers" / "ohif"
    tools.mkdir()
    for tool in ("cat", "dirname", "grep", "mkdir", "mktemp", "rm", "sha512sum"):
        (tools / tool).symlink_to(str(shutil.which(tool)))
    if npm is not None:
        (tools / "npm").write_text(f"#!{shutil.which('bash')}\n{npm}\n")
        (tools / "npm").chmod(0o755)
    result = subprocess.run(
        [str(shutil.which("bash")), str(VIEWER), str(folder)],
        capture_output=True,
        text=True,
        env={"PATH": str(tools)},
        timeout=30,
        check=False,
    )
    assert result.returncode == 1
    assert message in result.stderr
    assert list(tmp_path.glob("peers/*")) == []
