"""Keys of the section ``dataset`` that a format does not use are rejected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from snellen.adapters.errors import ConfigError
from snellen.pipelines.config.dataset import DatasetConfig, ImagesConfig
from snellen.pipelines.data.sources.base import DatasetInfo, Source
from snellen.pipelines.data.sources.registry import open_source
from snellen.pipelines.data.sources.unlabelled import open_images
from snellen.pipelines.storage.remote_path import Place
from tests.pipelines.making import grey_folder


class Plugin(Source):
    """A format that declares no keys."""

    @classmethod
    def recognises(cls, path: Place) -> bool:
        return False

    def describe(self) -> DatasetInfo:
        return DatasetInfo(self.place(self.config.path), None, ("a",))

    def batches(self, info: DatasetInfo) -> Iterator[dict[str, Sequence[Any]]]:
        yield from ()


class StrictPlugin(Plugin):
    keys = frozenset({"root"})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"missing_labels": "background"}, "dataset.missing_labels: 'background' has no effect on "
         "'{path}' (format imagefolder). Expected only the keys class_level, class_order, "
         "first_label, split, follow_links, format, limit, path, storage_options, strict. Remove "
         "dataset.missing_labels, or set another dataset.format."),
        ({"annotations": "/a.json"}, "dataset.annotations: '/a.json' has no effect on"),
        ({"root": "/r"}, "dataset.root: '/r' has no effect on"),
        ({"columns": {"label": "l"}}, "dataset.columns: {{'path': None, 'label': 'l', 'id': None}} "
         "has no effect on"),
    ],
    ids=["E-labels", "E-annotations", "E-root", "E-columns"],
)  # fmt: skip
def test_the_error_names_key_format_and_keys(
    tmp_path: Path, given: dict[str, Any], message: str
) -> None:
    path = str(grey_folder(tmp_path / "data"))
    with pytest.raises(ConfigError) as caught:
        open_source(DatasetConfig(path=path, **given))
    assert (caught.value.code, caught.value.exit_code) == ("DATASET_KEY", 2)
    assert caught.value.message.startswith(message.format(path=path))


@pytest.mark.parametrize("given", [{"annotations": "a.json"}, {"path": "a.json"}])
def test_a_split_chooses_no_named_annotation_file(tmp_path: Path, given: dict[str, str]) -> None:
    (tmp_path / "a.json").write_text("{}")
    paths = {key: str(tmp_path / value) for key, value in {"path": ".", **given}.items()}
    with pytest.raises(ConfigError, match=r"dataset\.split: 'val' has no effect"):
        open_source(DatasetConfig(format="coco", split="val", **paths))
    for split in ("auto", None):
        assert open_source(DatasetConfig(format="coco", split=split, **paths)).config.split == split


@pytest.mark.parametrize("named", [False, True], ids=["I-folder", "I-paths"])
@pytest.mark.parametrize("key", ["root", "columns"])
def test_images_to_predict_have_no_table(tmp_path: Path, key: str, named: bool) -> None:
    folder = str(grey_folder(tmp_path / "data"))
    value: Any = {"root": "/r", "columns": {"path": "p"}}[key]
    config = ImagesConfig.model_validate({"path": [folder] if named else folder, key: value})
    with pytest.raises(ConfigError, match=rf"dataset\.{key}: .* \(format images\)"):
        open_images(config)


def test_a_plugin_takes_the_keys_that_it_declares(tmp_path: Path) -> None:
    every = {"path": str(tmp_path), "root": "/r", "split": "val", "first_label": 1}
    plain = f"{__name__}:{Plugin.__name__}"
    assert open_source(DatasetConfig.model_validate({**every, "format": plain}))
    strict = f"{__name__}:{StrictPlugin.__name__}"
    with pytest.raises(ConfigError, match=r"dataset\.split: 'val' has no effect on"):
        open_source(DatasetConfig.model_validate({**every, "format": strict}))
