"""The configuration of the images: a labelled dataset, or images to predict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationInfo,
)

from snellen.pipelines.config.base import PositiveInt, Section
from snellen.pipelines.storage.address import check_no_user, check_options


def _no_user(value: str, info: ValidationInfo) -> str:
    check_no_user(value, f"dataset.{info.field_name}")
    return value


def _no_secrets(value: Any) -> Any:
    # Before any other validation, so that no message repeats the values.
    if isinstance(value, Mapping):
        check_options({str(name): item for name, item in value.items()})
    return value


Location = Annotated[str, AfterValidator(_no_user)]
"""A local path, or an address without credentials."""
StorageOptions = Annotated[
    dict[str, StrictBool | StrictInt | StrictFloat | StrictStr], BeforeValidator(_no_secrets)
]


class ColumnsConfig(Section):
    """Columns of a manifest; null: found by their usual names."""

    path: str | None = Field(None, description="Column with the path of the image.")
    label: str | None = Field(None, description="Column with the label.")
    id: str | None = Field(None, description="Column with the image id.")


class DatasetConfig(Section):
    """The images and their ground truth."""

    format: str = Field(
        "auto",
        description="imagefolder, manifest (Parquet or CSV), image_list, coco, yolo, webdataset.",
    )
    path: Location = Field(
        description="Folder or file of the dataset, or an address such as s3://bucket/folder."
    )
    annotations: Location | None = Field(None, description="COCO JSON file (format coco).")
    missing_labels: Literal["fail", "background"] = Field(
        "fail",
        description="An image without a label file (format yolo): fail makes a failed row, "
        "background counts it as empty.",
    )
    mixed_labels: Literal["refuse", "fail"] = Field(
        "refuse",
        description="Images with boxes alone among others with outlines or keypoints, which the "
        "model is scored on: refuse the dataset, or fail makes a failed row of each.",
    )
    split: str | None = Field(
        "auto", description="Sub-folder of an image folder; auto: test if it exists."
    )
    root: Location | None = Field(
        None, description="Folder for relative paths in a manifest or list."
    )
    columns: ColumnsConfig = Field(
        default_factory=ColumnsConfig, description="Columns of a manifest."
    )
    class_level: Literal["top", "leaf", "path"] = Field(
        "top",
        description="Class of an image in an image folder: top is the first folder below the "
        "split, leaf the folder of the image, path all folders down to it (animals/cat).",
    )
    class_order: Literal["natural", "lexicographic"] = Field(
        "natural", description="Order of class folders: 1, 2, 10 or 1, 10, 2."
    )
    first_label: Literal[0, 1] = Field(
        0, description="Label of the first class where labels are class ids (model.class_map: ids)."
    )
    follow_links: StrictBool = Field(
        False, description="Accept links to files outside the dataset."
    )
    limit: PositiveInt | None = Field(
        None, description="Maximum number of images, spread evenly over the dataset."
    )
    strict: StrictBool = Field(
        False,
        description="Reject a dataset whose report has warnings: files passed over, labels that "
        "cannot be used, annotations ignored or repaired.",
    )
    storage_options: StorageOptions = Field(
        default_factory=dict,
        description="Options of remote storage: region, endpoint_override, anonymous ...; no "
        "credentials: these come from the environment.",
    )


class ImagesConfig(Section):
    """The images to predict. Labels in a manifest or in shards are ignored."""

    format: str = Field(
        "auto", description="images, manifest (Parquet or CSV), image_list or webdataset."
    )
    path: Location | tuple[Location, ...] = Field(
        (),
        description="A folder of images at any depth, an image, a list of images, a manifest, a "
        ".txt list, or .tar shards; also addresses such as s3://bucket/folder.",
    )
    root: Location | None = Field(
        None, description="Folder for relative paths in a manifest or list."
    )
    columns: ColumnsConfig = Field(
        default_factory=ColumnsConfig, description="Columns of a manifest."
    )
    follow_links: StrictBool = Field(False, description="Accept links to files outside the folder.")
    limit: PositiveInt | None = Field(
        None, description="Maximum number of images, spread evenly over the dataset."
    )
    strict: StrictBool = Field(
        False,
        description="Reject a dataset whose report has warnings: files passed over, labels that "
        "cannot be used, annotations ignored or repaired.",
    )
    storage_options: StorageOptions = Field(
        default_factory=dict,
        description="Options of remote storage: region, endpoint_override, anonymous ...; no "
        "credentials: these come from the environment.",
    )
