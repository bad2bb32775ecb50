"""The page's modules, run by node."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

PAGE = Path(__file__).parents[3] / "server" / "page"
NODE = shutil.which("node")

Run: TypeAlias = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs JavaScript beside the page's modules, with files; its `out` comes back through JSON."""
    for module in PAGE.glob("*.js"):
        shutil.copy(module, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')

    def run(script: str, **files: bytes) -> Any:  # whatever JSON holds
        for name, content in files.items():
            (tmp_path / name).write_bytes(content)
        whole = f"""
            import {{ readFileSync }} from "node:fs";
            const file = (name) => {{
              const bytes = readFileSync(name);
              return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
            }};
            {script}
            console.log(JSON.stringify(out));
        """
        assert NODE is not None
        done = subprocess.run(
            [NODE, "--input-type=module", "-e", whole],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run
