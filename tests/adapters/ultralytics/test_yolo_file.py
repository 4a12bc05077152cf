"""Ultralytics checkpoints are not trusted, and the library is kept from network and installer."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from snellen.adapters.errors import InputError
from snellen.adapters.types import AdapterSpec
from snellen.adapters.ultralytics.adapter import UltralyticsAdapter
from snellen.adapters.ultralytics.environment import import_ultralytics
from snellen.adapters.ultralytics.yolo_file import load_yolo
from tests.adapters.making import encode, picture

ROOT = Path(__file__).parents[3]
FIXTURES = ROOT / "tests" / "fixtures"


class Payload:
    """Object that creates a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self._file}",)


def rejected(path: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        load_yolo(str(path), fuse=True)
    assert "checkpoint" in caught.value.message
    return caught.value


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process whose environment has none of the switches yet."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("YOLO_", "ULTRALYTICS_"))}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=clean | environment,
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
    assert rejected(tmp_path / "evil.pt").code in {"CHECKPOINT_UNSAFE", "CHECKPOINT_UNREADABLE"}
    assert not mark.exists()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "the file is empty"),
        (b"not a checkpoint", "it is not a checkpoint"),
        (encode(picture(), "JPEG"), "it is not a checkpoint"),
        (b"PK\x03\x04 and no more", "a truncated archive"),
    ],
    ids=["empty", "text", "JPEG", "zip"],
)
def test_what_is_no_checkpoint(tmp_path: Path, data: bytes, why: str) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(data)
    error = rejected(path)
    assert error.code == "CHECKPOINT_UNREADABLE"
    assert why in error.message


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_checkpoint(tmp_path: Path, share: float) -> None:
    data = (FIXTURES / "tiny-detect.pt").read_bytes()
    (tmp_path / "x.pt").write_bytes(data[: int(len(data) * share)])
    assert rejected(tmp_path / "x.pt").code in {"CHECKPOINT_UNREADABLE", "CHECKPOINT_INVALID"}


@pytest.mark.parametrize(
    "content", [[1, 2], 7, None, {}, {"model": None}, {"model": 1, "train_args": {}}]
)
def test_what_holds_no_model(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "x.pt")
    assert rejected(tmp_path / "x.pt").code == "CHECKPOINT_INVALID"


def test_quantised_checkpoints_would_install_packages(tmp_path: Path) -> None:
    torch.save({"model": None, "modelopt": {"state": 1}}, tmp_path / "x.pt")
    error = rejected(tmp_path / "x.pt")
    assert error.code == "CHECKPOINT_UNSAFE"
    assert "modelopt" in error.message


def fixture_content(task: str) -> dict[str, Any]:
    import_ultralytics()
    from ultralytics.nn.tasks import torch_safe_load

    content: dict[str, Any] = torch_safe_load(str(FIXTURES / f"tiny-{task}.pt"), safe_only=True)[0]
    return content


def test_weights_that_are_not_finite(tmp_path: Path) -> None:
    content = fixture_content("classify")
    next(content["model"].parameters()).data.view(-1)[0] = float("nan")
    torch.save(content, tmp_path / "x.pt")
    error = rejected(tmp_path / "x.pt")
    assert error.code == "CHECKPOINT_INVALID"
    assert "holds NaN or infinite weights" in error.message


@pytest.mark.parametrize("place", ["parameter", "buffer"])
def test_tensors_that_are_larger_than_what_is_stored(tmp_path: Path, place: str) -> None:
    content = fixture_content("classify")
    bomb = torch.zeros(1).expand(100_000, 1_000_000)  # 400 GB, were it ever touched
    if place == "parameter":
        next(content["model"].parameters()).data = bomb
    else:
        content["model"].register_buffer("more", bomb, persistent=False)
    torch.save(content, tmp_path / "x.pt")
    assert (tmp_path / "x.pt").stat().st_size < 3e6
    error = rejected(tmp_path / "x.pt")
    assert error.code == "CHECKPOINT_INVALID"
    assert "claims 100000000000 elements" in error.message


def test_an_archive_that_unpacks_to_a_hundred_times_its_size(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", bytes(50_000_000))
    error = rejected(tmp_path / "x.pt")
    assert error.code == "CHECKPOINT_INVALID"
    assert "would unpack to 50000000" in error.message


def test_weights_that_do_not_fit_their_layers(tmp_path: Path) -> None:
    content = fixture_content("detect")
    first = content["model"].model[1].conv
    first.weight = torch.nn.Parameter(torch.zeros(3, 5, 3, 3))
    torch.save(content, tmp_path / "x.pt")
    spec = AdapterSpec("ultralytics", checkpoint=str(tmp_path / "x.pt"))
    with pytest.raises(InputError) as caught:
        UltralyticsAdapter.from_spec(spec, device="cpu")
    assert caught.value.code == "CHECKPOINT_INVALID"


def test_addresses_and_names_are_not_fetched(tmp_path: Path) -> None:
    for name in ("https://example.org/a.pt", "ul://user/model", "hf-hub:a/b.pt"):
        assert rejected(Path(name)).code in {"REMOTE_REFUSED", "CHECKPOINT_NOT_FOUND"}
        with pytest.raises(InputError) as caught:
            load_yolo(name, fuse=True)
        assert caught.value.code == "REMOTE_REFUSED"
    assert rejected(tmp_path / "yolo11n.pt").code == "CHECKPOINT_NOT_FOUND"
    (tmp_path / "model.onnx").write_bytes(b"x")
    assert "Expected .pt; Ultralytics reads" in rejected(tmp_path / "model.onnx").message


@pytest.mark.slow
def test_importing_leaves_pillow_alone_and_sets_the_switches() -> None:
    code = (
        "from PIL import Image; import os; before = Image.open\n"
        "from snellen.adapters.ultralytics.environment import import_ultralytics\n"
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


INFER_ALL = (
    "import snellen, numpy as np\n"
    "for task in ('detect', 'segment', 'pose', 'classify'):\n"
    f"    path = {str(FIXTURES)!r} + f'/tiny-{{task}}.pt'\n"
    "    adapter = snellen.load_adapter('ultralytics', checkpoint=path, device='cpu')\n"
    "    adapter.infer_single(np.full((90, 70, 3), 99, np.uint8))\n"
    "print('done')\n"
)


@pytest.mark.slow
def test_loading_and_inferring_need_no_network() -> None:
    code = (
        "import socket\n"
        "def no(*_, **__): raise SystemExit('the network was asked')\n"
        "socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = no\n"
        "socket.socket.sendto = no\n"
    )
    done = python(code + INFER_ALL)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def can_trace() -> bool:
    """strace is a program of the system, and some containers forbid it."""
    try:
        return (
            subprocess.run(["strace", "-qq", "-o", os.devnull, "true"], check=False).returncode == 0
        )
    except FileNotFoundError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not can_trace(), reason="needs strace and the permission to use it")
def test_no_system_call_reaches_for_the_network_and_no_program_is_started(tmp_path: Path) -> None:
    # What Python cannot see, C++ libraries and child processes, the kernel does.
    (tmp_path / "infer.py").write_text(INFER_ALL)
    log = tmp_path / "calls"
    done = python(
        "import subprocess, sys\n"
        f"sys.exit(subprocess.call(['strace', '-f', '-qq', '-o', {str(log)!r}, '-e',"
        " 'trace=connect,sendto,sendmsg,sendmmsg,execve', sys.executable,"
        f" {str(tmp_path / 'infer.py')!r}]))\n",
        PYTHONPATH=str(ROOT),
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
    calls = log.read_text().splitlines()
    assert not [call for call in calls if "AF_INET" in call]
    assert not [call for call in calls if "execve" in call and ("pip" in call or "curl" in call)]
    assert any("execve" in call for call in calls)  # strace saw something


@pytest.mark.parametrize("task", [path.stem[5:] for path in sorted(FIXTURES.glob("tiny-*.pt"))])
def test_the_fixtures_are_small_and_tell_nothing_of_where_they_were_made(task: str) -> None:
    path = FIXTURES / f"tiny-{task}.pt"
    assert path.stat().st_size < 2_000_000
    with zipfile.ZipFile(path) as archive:
        pickled = next(archive.read(n) for n in archive.namelist() if n.endswith("data.pkl"))
    for trace in (b"/tmp", b"/root", b"/home", b"save_dir", b"project", b"optimizer", b"branch"):
        assert trace not in pickled


def test_what_is_loaded_is_what_was_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file may be replaced between the check and the load."""
    import_ultralytics()
    from ultralytics.nn import tasks

    file = tmp_path / "best.pt"
    shutil.copy(FIXTURES / "tiny-detect.pt", file)
    read = tasks.torch_safe_load

    def read_and_replace(*args: Any, **options: Any) -> Any:
        content = read(*args, **options)
        file.write_bytes(b"replaced")
        return content

    monkeypatch.setattr(tasks, "torch_safe_load", read_and_replace)
    loaded = load_yolo(str(file), fuse=True)
    expected = load_yolo(str(FIXTURES / "tiny-detect.pt"), fuse=True)
    assert tasks.torch_safe_load is read_and_replace
    for name, value in expected.model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], value)
