"""Headers of image files: the format, the camera's orientation, and a copy of the file without other metadata.

Pillow warns about damaged metadata, and a warning can be silenced only for the whole process, not for one thread.  So
the metadata is removed before Pillow opens the file.  Only the orientation is needed, and the functions below read it.
No pixels are decoded here.

Called by decoding.py.

References: Exif 2.32, section 4.6; TIFF 6.0, section 2; PNG (third edition), section 5; ITU-T T.81, annex B.
"""

import re
import struct
from collections.abc import Iterator

# The first bytes of each format, in the order in which they are tried.
SIGNATURES = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "WEBP": rb"RIFF....WEBP",
    "GIF": rb"GIF8[79]a",
    "BMP": rb"BM",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "PPM": rb"P[1-6fF]\s",
    "JPEG 2000": rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n",
    "AVIF": rb"....ftyp(.{4})*?avi[fs]",
    "HEIC": rb"....ftyp(.{4})*?(hei[cxms]|hevc|mif1)",
    "PDF": rb"%PDF",
}
KINDS = {name: re.compile(signature, re.DOTALL) for name, signature in SIGNATURES.items()}
MANY = 100_000  # the most segments or chunks; ordinary files have at most some thousand
XMP = b"http://ns.adobe.com/xap/1.0/\0"
# LAYOUT: the tags of a TIFF file that describe how its pixels are stored.  SINGLE: those of them that hold one number.
SINGLE = {
    256,
    257,
    259,
    262,
    266,
    274,
    277,
    278,
    284,
    292,
    293,
    317,
    322,
    323,
    332,
    334,
    512,
    513,
    514,
    515,
    531,
}
LAYOUT = SINGLE | {258, 273, 279, 320, 324, 325, 338, 339, 347, 517, 518, 519, 520, 521, 529, 530, 532, 50674}
SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}


def kind(data: bytes) -> str | None:
    """The format of an image file by its first bytes; its name is ignored.

    Examples
    --------
    >>> kind(b"GIF89a..."), kind(b"%!PS-Adobe-3.0")
    ('GIF', None)
    """
    start = data[:64]
    return next((name for name, signature in KINDS.items() if signature.match(start)), None)


# ------------------------------------------------------------------------------- orientation
def exif_orientation(block: bytes) -> int:
    """The orientation in an EXIF block, from 1 to 8; 0 if it has none or is damaged."""
    block = block.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return 0
    try:
        (place,) = struct.unpack_from(f"{order}I", block, 4)
        (count,) = struct.unpack_from(f"{order}H", block, place)
        for entry in range(place + 2, place + 2 + 12 * count, 12):
            tag, type_, _ = struct.unpack_from(f"{order}HHI", block, entry)
            if tag == 274:
                (value,) = struct.unpack_from(order + ("I" if type_ == 4 else "H"), block, entry + 8)
                return value if 1 <= value <= 8 else 0
    except struct.error:
        pass
    return 0


def xmp_orientation(block: bytes) -> int:
    """The orientation in an XMP block, from 1 to 8; 0 if it has none."""
    found = re.search(rb'tiff:Orientation(?:="|>)([1-8])', block)
    return int(found[1]) if found else 0


def jpeg_orientation(data: bytes) -> int:
    """The orientation in a JPEG file, from 1 to 8; 0 if it has none.  EXIF takes precedence over XMP."""
    xmp = 0
    for marker, start, end in _segments(data):
        if marker == 0xE1 and data[start + 4 : start + 10] == b"Exif\0\0":
            orientation = exif_orientation(data[start + 4 : end])
            if orientation:
                return orientation
        elif marker == 0xE1 and data.startswith(XMP, start + 4):
            xmp = xmp or xmp_orientation(data[start + 4 : end])
    return xmp


def is_progressive(data: bytes) -> bool:
    """Whether a JPEG file is progressive; its decoder keeps the whole image in memory before it returns a pixel."""
    return any(marker == 0xC2 for marker, _, _ in _segments(data))


def _segments(data) -> Iterator[tuple[int, int, int]]:
    """(marker, start, end) of each segment of a JPEG file before its first scan, or before damage."""
    place = 2
    for _ in range(MANY):
        head = data[place : place + 4]
        if len(head) < 4 or head[0] != 0xFF or head[1] in (0xDA, 0xD9):
            return
        if head[1] == 0xFF:  # a fill byte
            place += 1
            continue
        end = place + 2 + int.from_bytes(head[2:], "big")
        if end < place + 4 or end > len(data):
            return
        yield head[1], place, end
        place = end
    raise ValueError(f"more than {MANY:,} segments")


# ------------------------------------------------------------------------------- without metadata
def without_metadata(data: bytes, kind: str) -> bytes:
    """The image file without the metadata that Pillow could warn about; the pixels stay the same.

    Raises
    ------
    ValueError
        If the file's directory is damaged.
    """
    tidy = {"JPEG": _tidy_jpeg, "PNG": _tidy_png, "TIFF": _tidy_tiff}.get(kind)
    return tidy(data) if tidy else data


def _tidy_jpeg(data):
    """Without EXIF, profiles and comments.  The JFIF and Adobe segments stay, because they define the colours."""
    parts, place = [data[:2]], 2
    for marker, start, end in _segments(data):
        if 0xE0 < marker <= 0xEF and marker != 0xEE or marker == 0xFE:
            parts.append(data[place:start])
            place = end
    return b"".join([*parts, data[place:]])


def _tidy_png(data):
    """Without animation, so that the first frame is decoded, and without chunks that do not affect the pixels."""
    parts, place = [data[:8]], 8
    for _ in range(MANY):
        end = place + 12 + int.from_bytes(data[place : place + 4], "big")
        name = data[place + 4 : place + 8]
        if name in (b"IHDR", b"PLTE", b"IDAT", b"tRNS", b"IEND", b"eXIf", b"tEXt", b"zTXt", b"iTXt"):
            parts.append(data[place:end])
        if name == b"IEND" or end >= len(data):
            return b"".join(parts)
        place = end
    raise ValueError(f"more than {MANY:,} chunks")


def _tidy_tiff(data):
    """With one directory that holds only the tags of LAYOUT; tags that point outside the file are refused."""
    order = "<" if data[:2] == b"II" else ">"
    big = b"+" in data[2:4]
    first, number, entry = (
        (f"{order}Q", f"{order}Q", f"{order}HHQ8s") if big else (f"{order}I", f"{order}H", f"{order}HHI4s")
    )
    try:
        (place,) = struct.unpack_from(first, data, 8 if big else 4)
        (count,) = struct.unpack_from(number, data, place)
        begin, length = place + struct.calcsize(number), struct.calcsize(entry)
        entries = [
            struct.unpack_from(entry, data, begin + n * length)
            for n in range(min(count, len(data) // length + 1))
        ]
    except struct.error as error:
        raise ValueError("its directory lies outside of the file") from error
    kept, seen = [], set()
    for tag, type_, number_of, value in entries:
        if tag not in LAYOUT or tag in seen or type_ not in SIZES:
            continue
        seen.add(tag)
        size = number_of * SIZES[type_]
        if tag in SINGLE and number_of != 1:
            raise ValueError(f"its tag {tag} has {number_of} values")
        if size > len(value) and struct.unpack(first, value)[0] + size > len(data):
            raise ValueError(f"its tag {tag} lies outside of the file")
        kept.append(struct.pack(entry, tag, type_, number_of, value))
    directory = struct.pack(number, len(kept)) + b"".join(kept) + bytes(struct.calcsize(first))
    old = begin + count * length + struct.calcsize(first)
    return b"".join([data[:place], directory.ljust(min(old, len(data)) - place, b"\0"), data[old:]])
