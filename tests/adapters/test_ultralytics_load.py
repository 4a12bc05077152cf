"""Ultralytics checkpoints are not trusted, and the library is kept from network and installer."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from adapters.types import InputError
from adapters.ultralytics_env import import_ultralytics
from adapters.ultralytics_load import load_yolo
from tests.adapters.making import encode, picture

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "fixtures"


class Payload:
    """Unpickled, it would make a file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self._file}",)


def refused(path: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        load_yolo(str(path), fuse=True)
    assert "checkpoint" in caught.value.message
    return caught.value


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process whose environment has none of the switches yet."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("YOLO_", "ULTRALYTICS_"))}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=clean,
        capture_output=True,
        text=True,
        check=False,
    )


def plain(content: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps(content))


@pytest.mark.parametrize("save", [torch.save, plain], ids=["torch", "plain pickle"])
@pytest.mark.parametrize("wrap", [lambda p: p, lambda p: {"model": p, "train_args": {}}])
def test_a_payload_is_not_run(
    tmp_path: Path, save: Callable[[Any, Path], None], wrap: Callable[[Any], Any]
) -> None:
    mark = tmp_path / "was run"
    save(wrap(Payload(mark)), tmp_path / "evil.pt")
    assert refused(tmp_path / "evil.pt").code in {"CHECKPOINT_UNSAFE", "CHECKPOINT_UNREADABLE"}
    assert not mark.exists()


@pytest.mark.parametrize(
    ("data", "codes"),
    [
        (b"", {"CHECKPOINT_UNREADABLE", "CHECKPOINT_INVALID"}),
        (b"not a checkpoint", {"CHECKPOINT_UNREADABLE", "CHECKPOINT_UNSAFE"}),
        (encode(picture(), "JPEG"), {"CHECKPOINT_UNREADABLE", "CHECKPOINT_UNSAFE"}),
    ],
    ids=["empty", "text", "JPEG"],
)
def test_what_is_no_checkpoint(tmp_path: Path, data: bytes, codes: set[str]) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(data)
    assert refused(path).code in codes


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_checkpoint(tmp_path: Path, share: float) -> None:
    data = (FIXTURES / "tiny-detect.pt").read_bytes()
    (tmp_path / "x.pt").write_bytes(data[: int(len(data) * share)])
    assert refused(tmp_path / "x.pt").code in {"CHECKPOINT_UNREADABLE", "CHECKPOINT_INVALID"}


@pytest.mark.parametrize(
    "content", [[1, 2], 7, None, {}, {"model": None}, {"model": 1, "train_args": {}}]
)
def test_what_holds_no_model(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "x.pt")
    assert refused(tmp_path / "x.pt").code == "CHECKPOINT_INVALID"


def test_quantised_checkpoints_would_install_packages(tmp_path: Path) -> None:
    torch.save({"model": None, "modelopt": {"state": 1}}, tmp_path / "x.pt")
    error = refused(tmp_path / "x.pt")
    assert error.code == "CHECKPOINT_UNSAFE"
    assert "modelopt" in error.message


def test_weights_that_are_not_finite(tmp_path: Path) -> None:
    import_ultralytics()
    from ultralytics.nn.tasks import torch_safe_load

    content = torch_safe_load(str(FIXTURES / "tiny-classify.pt"), safe_only=True)[0]
    next(content["model"].parameters()).data.view(-1)[0] = float("nan")
    torch.save(content, tmp_path / "x.pt")
    error = refused(tmp_path / "x.pt")
    assert error.code == "CHECKPOINT_INVALID"
    assert "holds NaN or infinity" in error.message


def test_addresses_and_names_are_not_fetched(tmp_path: Path) -> None:
    for name in ("https://example.org/a.pt", "ul://user/model", "hf-hub:a/b.pt"):
        assert refused(Path(name)).code in {"REMOTE_REFUSED", "CHECKPOINT_NOT_FOUND"}
        with pytest.raises(InputError) as caught:
            load_yolo(name, fuse=True)
        assert caught.value.code == "REMOTE_REFUSED"
    assert refused(tmp_path / "yolo11n.pt").code == "CHECKPOINT_NOT_FOUND"
    (tmp_path / "model.onnx").write_bytes(b"x")
    assert "has the ending .pt" in refused(tmp_path / "model.onnx").message


def test_importing_leaves_pillow_alone_and_sets_the_switches() -> None:
    code = (
        "from PIL import Image; import os; before = Image.open\n"
        "from adapters.ultralytics_env import import_ultralytics\n"
        "import_ultralytics(); import_ultralytics()\n"
        "assert Image.open is before\n"
        "from ultralytics.nn import tasks; assert tasks.SAFE_LOAD\n"
        "names = ('ULTRALYTICS_SAFE_LOAD', 'YOLO_OFFLINE', 'YOLO_AUTOINSTALL',\n"
        "         'ULTRALYTICS_SKIP_REQUIREMENTS_CHECKS')\n"
        "print(*(os.environ[name] for name in names))\n"
        "folder = os.environ['YOLO_CONFIG_DIR']; assert os.path.isdir(folder); print(folder)\n"
    )
    done = python(code)
    assert done.returncode == 0, done.stderr
    switches, folder = done.stdout.splitlines()
    assert switches == "1 1 0 1"
    assert not Path(folder).exists()  # private to the process, and gone with it
    assert Image.open.__module__ == "PIL.Image"


def test_loading_and_inferring_need_no_network() -> None:
    code = (
        "import socket\n"
        "def no(*_, **__): raise SystemExit('the network was asked')\n"
        "socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = no\n"
        "socket.socket.sendto = no\n"
        "import snellen, numpy as np\n"
        "for task in ('detect', 'segment', 'pose', 'classify'):\n"
        f"    path = {str(FIXTURES)!r} + f'/tiny-{{task}}.pt'\n"
        "    adapter = snellen.load_adapter('ultralytics', checkpoint=path, device='cpu')\n"
        "    adapter.infer_single(np.full((90, 70, 3), 99, np.uint8))\n"
        "print('done')\n"
    )
    done = python(code)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


@pytest.mark.parametrize("task", ["detect", "segment", "pose", "classify"])
def test_the_fixtures_are_small_and_tell_nothing_of_where_they_were_made(task: str) -> None:
    path = FIXTURES / f"tiny-{task}.pt"
    assert path.stat().st_size < 2_000_000
    with zipfile.ZipFile(path) as archive:
        pickled = next(archive.read(n) for n in archive.namelist() if n.endswith("data.pkl"))
    for trace in (b"/tmp", b"/root", b"/home", b"save_dir", b"project", b"optimizer", b"branch"):
        assert trace not in pickled
