"""Image formats: recognition by content, the formats that are read, and warnings about a file."""

from __future__ import annotations

from pathlib import PurePath

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
    features,
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
# Some builds of Pillow lack these two decoders.
if AvifImagePlugin.SUPPORTED:
    FORMATS["AVIF"] = AvifImagePlugin.AvifImageFile
if features.check("jpg_2000"):
    FORMATS["JPEG2000"] = Jpeg2KImagePlugin.Jpeg2KImageFile

SUPPORTED_FORMATS = tuple(FORMATS)
"""Names of the formats that are decoded."""

HEADER_BYTES = 132
"""Number of first bytes that `sniff_format` needs."""

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff\xf7", "JPEG-LS"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"II*\x00\x10\x00\x00\x00CR", "Canon RAW"),
    (b"II\x1a\x00\x00\x00HEAPCCDR", "Canon RAW"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"IIRO", "Olympus RAW"),
    (b"IIRS", "Olympus RAW"),
    (b"MMOR", "Olympus RAW"),
    (b"IIU\x00", "Panasonic RAW"),
    (b"FUJIFILMCCD-RAW", "Fujifilm RAW"),
    (b"FOVb", "Sigma RAW"),
    (b"\x00MRM", "Minolta RAW"),
    (b"II\xbc\x01", "JPEG XR"),
    (b"8BPS", "PSD"),
    (b"gimp xcf ", "XCF"),
    (b"SIMPLE  =", "FITS"),
    (b"%!PS-Adobe", "EPS"),
    (b"\xc5\xd0\xd3\xc6", "EPS"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"#?RADIANCE\n", "Radiance HDR"),
    (b"qoif", "QOI"),
    (b"DDS |\x00\x00\x00", "DDS"),
    (b"icns", "ICNS"),
    (b"BPG\xfb", "BPG"),
    (b"FLIF", "FLIF"),
    (b"AT&TFORM", "DjVu"),
)
_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
    **dict.fromkeys(
        (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"), "HEIC"
    ),
    b"crx ": "Canon RAW",
}
"""Formats by the brands of ISO base media files."""
_BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}
_EXTENSIONS: dict[str, str] = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".mpo": "JPEG",
    ".png": "PNG", ".apng": "PNG", ".webp": "WEBP", ".bmp": "BMP", ".dib": "BMP", ".gif": "GIF",
    ".tif": "TIFF", ".tiff": "TIFF", ".avif": "AVIF", ".jp2": "JPEG2000", ".j2k": "JPEG2000",
    ".jpx": "JPEG2000", ".jpf": "JPEG2000", ".j2c": "JPEG2000", ".heic": "HEIC", ".heif": "HEIC",
}  # fmt: skip


def sniff_format(header: bytes) -> str | None:
    """Return the name of the image format that the first bytes of a file belong to.

    Formats that are not decoded have a name, too; `SUPPORTED_FORMATS` lists the others. An MPO
    file (JPEG with several pictures) is a JPEG, and most RAW formats of cameras are TIFF files.

    Args:
        header: the first `HEADER_BYTES` of the file, or all of a shorter file.

    Returns:
        None for bytes of no known image format.
    """
    if header[:4] == b"RIFF" and header[8:12] == b"WEBP":
        return "WEBP"
    if header[4:8] == b"ftyp":
        return _brand(header)
    if header[:2] == b"BM":
        # Two letters alone would make an image of any text that begins with them.
        known = int.from_bytes(header[14:18], "little") in _BMP_HEADERS
        return "BMP" if known else None
    if header[:4] == b"\x00\x00\x01\x00" and header[5:6] == b"\x00" and header[4:5] > b"\x00":
        return "ICO"
    if header[:1] == b"P" and header[1:2] in b"123456" and header[2:3].isspace():
        return "PNM" if header[3:4].isdigit() or header[3:4] == b"#" else None
    if header[128:132] == b"DICM":
        return "DICOM"
    return next((name for magic, name in _SIGNATURES if header.startswith(magic)), None)


def _brand(header: bytes) -> str | None:
    """Return the format of an ISO base media file by its major, then its compatible brands."""
    size = min(int.from_bytes(header[:4], "big"), len(header))
    brands = [header[8:12], *(header[at : at + 4] for at in range(16, size, 4))]
    named = next((_BRANDS[brand] for brand in brands if brand in _BRANDS), None)
    # HEIF pictures may declare nothing but the container: the codec is in the file's body.
    return named or ("HEIC" if header[8:12] in (b"mif1", b"msf1") else None)


def unsupported_message(header: bytes) -> str:
    """Return why content that is not decoded is rejected, and what to do about it."""
    name = sniff_format(header)
    expected = f"Expected one of {', '.join(SUPPORTED_FORMATS)}"
    if name is None:
        found = f"the content starts with {header[:8]!r}"
        return f"{found}. {expected}; convert the file or leave it out."
    hint = ""
    if name == "HEIC":
        hint = " (heif-convert IN.heic OUT.jpg)"
    return f"the content is {name}, which is not supported. {expected}; convert the file{hint}."


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
