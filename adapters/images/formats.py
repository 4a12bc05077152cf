"""Image formats, recognised by content, and warnings about a file."""

from __future__ import annotations

from pathlib import PurePath

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

CORRUPT_EXIF = "corrupt EXIF ignored"

# The classes are named here, not found by PIL.Image.open: other libraries replace that function,
# and only these formats may be opened.
FORMATS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
}
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
)
_EXTENSIONS: dict[str, str] = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".png": "PNG",
    ".apng": "PNG", ".webp": "WEBP", ".bmp": "BMP", ".dib": "BMP", ".gif": "GIF",
    ".tif": "TIFF", ".tiff": "TIFF",
}  # fmt: skip


def sniff_format(data: bytes) -> str | None:
    """Return the name of the allowed format that the first bytes belong to, else None."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    return next((kind for magic, kind in _SIGNATURES if data.startswith(magic)), None)


def extension_warnings(name: str, kind: str) -> list[str]:
    """Return a warning if the extension belongs to another format than the content."""
    suffix = PurePath(name).suffix.lower()
    if suffix in _EXTENSIONS and _EXTENSIONS[suffix] != kind:
        return [f"extension {suffix} but the content is {kind}"]
    return []


def metadata_warnings(image: Image.Image) -> list[str]:
    """Return warnings about the metadata of an opened image, all of which is optional."""
    found = []
    if "exif" in image.info:
        try:
            Image.Exif().load(image.info["exif"])
        except Exception:  # a parser may raise anything on broken metadata
            found.append(CORRUPT_EXIF)
    profile = image.info.get("icc_profile")
    if profile is not None and (len(profile) < 128 or profile[36:40] != b"acsp"):
        found.append("corrupt ICC profile ignored")
    return found
