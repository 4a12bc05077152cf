"""Fresh Python environments that see the installed libraries, and not this checkout."""

from __future__ import annotations

import sysconfig
import venv
from pathlib import Path


def environment_with_libraries(folder: Path) -> Path:
    """Create an environment in ``folder`` and return its interpreter; snellen is not in it."""
    venv.create(folder, symlinks=True)
    packages = sysconfig.get_path("purelib", vars={"base": str(folder)})
    # A line in a .pth file adds a folder; the .pth files in it are not read, and so not
    # the link to this checkout.
    (Path(packages) / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin" / "python"
