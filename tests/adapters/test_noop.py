"""The adapter that does nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from snellen.adapters.errors import ConfigError, InputError
from snellen.adapters.noop import NoopAdapter
from snellen.adapters.types import AdapterSpec
from tests.contracts.adapter_contract import AdapterContract


class TestNoopContract(AdapterContract):
    @pytest.fixture
    def spec(self) -> AdapterSpec:
        return AdapterSpec("noop", options={"num_classes": 3})


def test_it_predicts_class_0_of_its_names_without_reading() -> None:
    adapter = NoopAdapter.from_spec(AdapterSpec("noop", class_names=("cat", "dog")))
    assert not adapter.reads_images
    result = adapter.infer_single(b"GIF89a" + b"\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0"
                                  b"\x01\0\x01\0\0\x02\x02D\x01\0;")  # fmt: skip
    assert (result.predicted_label, result.predicted_label_id) == ("cat", 0)


def test_its_options_are_checked() -> None:
    for options in ({"num_classes": 0}, {"num_classes": "2"}, {"classes": 2}):
        with pytest.raises(ConfigError, match="num_classes"):
            NoopAdapter.from_spec(AdapterSpec("noop", options=options))
    with pytest.raises(InputError, match="2 class names for 3 outputs"):
        NoopAdapter.from_spec(
            AdapterSpec("noop", class_names=("a", "b"), options={"num_classes": 3})
        )


def test_declarations_of_adapters_import_no_framework() -> None:
    code = (
        "import sys\n"
        "import snellen.adapters.checkpoints.layouts\n"
        "import snellen.adapters.checkpoints.run_directory\n"
        "from snellen.adapters.registry import ADAPTERS, adapter_for_file, load_adapter_class\n"
        "from snellen.adapters.types import AdapterSpec\n"
        "load_adapter_class('noop').from_spec(AdapterSpec('noop'))\n"
        "assert all(adapter.tasks for _, adapter in ADAPTERS)\n"
        "assert adapter_for_file('model.onnx') == 'onnx'\n"
        "heavy = {'torch', 'torchvision', 'timm', 'ultralytics', 'onnx', 'onnxruntime'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
