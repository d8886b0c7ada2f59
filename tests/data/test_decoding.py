"""Tests of decode: each kind of file gives the right image or a clear error.  The files are made here, or are real."""

import io
import os
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from dataclasses import asdict, replace

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps, PngImagePlugin, TiffImagePlugin, features

from minicnn import ArgumentError, DataError, ModelFileError
from minicnn.data import Preprocessing, decode, decoding, resizing
from minicnn.data.pixels import packed_rgb

SIZE = Preprocessing(height=40, width=60)


@pytest.fixture
def scene():
    """An image that is red on the left, blue on the right and bright at the top, so all corners differ."""
    pixels = np.zeros((80, 120, 3), np.uint8)
    pixels[:, :60, 0] = pixels[:, 60:, 2] = 200
    pixels[:20, :, 1] = 160
    return Image.fromarray(pixels)


def saved(image, path, **options):
    image.save(path, **options)
    return path


def like(got, wanted, tolerance=12):
    assert got.shape == (40, 60, 3) and got.dtype == np.uint8
    assert np.abs(got.astype(int) - np.asarray(wanted, int)).mean() < tolerance


def right(scene):
    return np.asarray(scene.resize((60, 40), Image.Resampling.BILINEAR))


@pytest.mark.parametrize("ending", ["jpg", "png", "bmp", "gif", "webp", "tif"])
def test_each_format_is_decoded(tmp_path, scene, ending):
    like(decode(saved(scene, tmp_path / f"x.{ending}"), SIZE), right(scene))


def test_a_png_named_jpg_a_progressive_jpeg_and_a_cmyk_jpeg(tmp_path, scene):
    like(decode(saved(scene, tmp_path / "x.jpg", format="PNG"), SIZE), right(scene), 1)
    like(decode(saved(scene, tmp_path / "p.jpg", progressive=True), SIZE), right(scene))
    like(decode(saved(scene.convert("CMYK"), tmp_path / "c.jpg"), SIZE), right(scene))


def test_grey_palette_one_bit_and_16_bit_images(tmp_path, scene):
    grey = scene.convert("L")
    wanted = np.repeat(right(grey)[..., None], 3, axis=2)
    like(decode(saved(grey, tmp_path / "g.png"), SIZE), wanted, 1)
    like(decode(saved(grey.convert("P"), tmp_path / "p.png"), SIZE), wanted, 3)
    sixteen = Image.fromarray(np.asarray(grey, np.uint16) * 257)
    like(decode(saved(sixteen, tmp_path / "s.png"), SIZE), wanted, 1)
    like(decode(saved(grey.convert("F"), tmp_path / "f.tif"), SIZE), wanted, 1)
    assert set(np.unique(decode(saved(Image.new("1", (9, 9), 1), tmp_path / "1.png"), SIZE))) == {255}


def test_transparent_parts_are_white(tmp_path, scene):
    see_through = scene.convert("RGBA")
    see_through.putalpha(
        Image.fromarray(np.where(np.arange(120) < 60, 0, 255).astype(np.uint8)[None].repeat(80, 0))
    )
    got = decode(saved(see_through, tmp_path / "x.png"), SIZE)
    assert (got[:, :28] == 255).all() and (got[20:, 32:] == (0, 0, 200)).all()


@pytest.mark.parametrize("draft", [0, 1])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright_by_their_exif_orientation(tmp_path, scene, orientation, draft):
    undo = {
        2: "FLIP_LEFT_RIGHT",
        3: "ROTATE_180",
        4: "FLIP_TOP_BOTTOM",
        5: "TRANSPOSE",
        6: "ROTATE_90",
        7: "TRANSVERSE",
        8: "ROTATE_270",
    }
    stored = scene.transpose(Image.Transpose[undo[orientation]]) if orientation > 1 else scene
    exif = Image.Exif()
    exif[0x0112] = orientation
    size = replace(SIZE, draft=draft)  # with draft=1 the decoder halves the file to exactly this size
    like(decode(saved(stored, tmp_path / "x.jpg", exif=exif, quality=95), size), right(scene))


def test_draft_is_close_to_full_decoding_and_closer_with_a_higher_draft(tmp_path, rng):
    """The size is odd, so the decoder's last pixel lies half outside.  The noise is smooth, so a shift would show."""
    noise = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((501, 375))
    path = saved(noise, tmp_path / "x.jpg", quality=95)
    full = decode(path, SIZE).astype(int)
    apart = [np.abs(decode(path, replace(SIZE, draft=draft)) - full).mean() for draft in (1, 2, 4, 8)]
    assert 1 > apart[0] > apart[1] > apart[2] > 0 == apart[3]


def test_draft_lets_the_decoder_halve_as_often_as_possible(tmp_path, monkeypatch):
    """Also for a rotated image, which is 800 pixels high while its file is 800 pixels wide."""
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(Image.new("RGB", (800, 640)), tmp_path / "x.jpg")
    lying = saved(Image.new("RGB", (800, 640)), tmp_path / "y.jpg", exif=exif)
    sizes, resize = [], resizing.resize
    monkeypatch.setattr(
        resizing, "resize", lambda pixels, *size: (sizes.append(pixels.shape), resize(pixels, *size))[1]
    )
    for draft in (0, 1, 2, 8):
        decode(path, replace(SIZE, draft=draft))
    assert sizes == [(640, 800), (80, 100), (160, 200), (640, 800)]
    for height, width in ((100, 80), (80, 100), (400, 80)):
        decode(lying, Preprocessing(height, width, draft=1))
    assert sizes[4:] == [(80, 100), (160, 200), (320, 400)]


def test_a_subsampling_that_simplejpeg_does_not_know_is_decoded_by_pillow(tmp_path):
    """4:1:1 turned by 90 degrees; libjpeg-turbo calls it 4:4:1, and simplejpeg does not know it."""
    grey = np.full((32, 32, 3), 90, np.uint8)
    content = bytearray(simplejpeg.encode_jpeg(grey, colorsubsampling="411"))
    frame = content.index(b"\xff\xc0")  # then length, precision, height, width, components: number, sampling
    assert content[frame + 11] == 0x41
    content[frame + 11] = 0x14
    (tmp_path / "x.jpg").write_bytes(content)
    assert decoding._jpeg((tmp_path / "x.jpg").read_bytes(), SIZE) is None
    assert np.abs(decode(tmp_path / "x.jpg", SIZE).astype(int) - 90).max() <= 3


@pytest.mark.skipif(not features.check_feature("libjpeg_turbo"), reason="a Pillow with another library")
@settings(max_examples=60)
@given(
    width=st.integers(6, 200), height=st.integers(6, 200), mode=st.sampled_from(["RGB", "L"]),
    subsampling=st.sampled_from(["4:4:4", "4:2:2", "4:2:0"]), progressive=st.booleans(),
    smaller=st.integers(1, 20), draft=st.integers(0, 3), seed=st.integers(0, 99),
)  # fmt: skip
def test_jpeg_files_have_the_same_pixels_as_with_pillow(
    tmp_path_factory, width, height, mode, subsampling, progressive, smaller, draft, seed
):
    noise = np.random.default_rng(seed).integers(0, 256, (height // 6 + 2, width // 6 + 2, 3), np.uint8)
    image = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).convert(mode)
    path = tmp_path_factory.mktemp("jpeg") / "x.jpg"
    image.save(path, quality=80, subsampling=subsampling, progressive=progressive)
    size = Preprocessing(-(-height // smaller), -(-width // smaller), draft=draft)
    pixels, _, extent = decoding._jpeg(path.read_bytes(), size)
    with Image.open(path) as image:
        drafted = image.draft(None, (draft * size.width, draft * size.height)) if draft else None
        assert extent == (drafted[1][:1:-1] if drafted else (height, width))
        np.testing.assert_array_equal(pixels & 0xFFFFFF, packed_rgb(image.convert("RGB")) & 0xFFFFFF)


@pytest.mark.parametrize("side", [1, 2, 3, 4, 5])
def test_tiny_jpeg_files_are_decoded_in_full(rng, side):
    """At these sizes, simplejpeg can decode at another scale than the one that was requested."""
    data = encoded(Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)), "JPEG")
    for draft in (1, 2):
        np.testing.assert_array_equal(decode(data, Preprocessing(1, 1, draft=draft)), decode(data, 1))


def test_jpeg_files_that_simplejpeg_refuses_are_decoded_by_pillow(tmp_path, scene):
    """CMYK, and an extra byte before a marker, which only causes a warning in Pillow."""
    cmyk = saved(scene.convert("CMYK"), tmp_path / "c.jpg")
    content = saved(scene, tmp_path / "x.jpg").read_bytes()
    table = content.index(b"\xff\xdb")
    (tmp_path / "y.jpg").write_bytes(content[:table] + b"\0" + content[table:])
    for path in (cmyk, tmp_path / "y.jpg"):
        assert decoding._jpeg(path.read_bytes(), SIZE) is None
        like(decode(path, replace(SIZE, draft=1)), right(scene))


def test_draft_does_not_affect_other_formats(tmp_path, scene):
    for ending in ("png", "webp", "tif"):
        path = saved(scene, tmp_path / f"x.{ending}")
        np.testing.assert_array_equal(decode(path, replace(SIZE, draft=1)), decode(path, SIZE))


@pytest.mark.parametrize("ending", [".jpg", ".png", ".webp"])
def test_a_damaged_exif_block_only_loses_the_orientation(tmp_path, scene, ending):
    for name, extra in (("plain", {}), ("broken", {"exif": b"Exif\x00\x00garbage", "dpi": (72, 72)})):
        scene.save(tmp_path / f"{name}{ending}", **extra)
    plain, broken = (
        decode(tmp_path / f"{name}{ending}", Preprocessing(8, 8)) for name in ("plain", "broken")
    )
    np.testing.assert_array_equal(plain, broken)


def test_one_pixel_fills_the_image(tmp_path):
    got = decode(saved(Image.new("RGB", (1, 1), (9, 8, 7)), tmp_path / "x.png"), SIZE)
    assert (got == (9, 8, 7)).all()


def bomb(path):
    """Write a PNG file with a valid header for 20000 x 20000 pixels and hardly any data."""

    def chunk(kind, content):
        return (
            len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")
        )

    header = (20000).to_bytes(4, "big") * 2 + bytes([1, 0, 0, 0, 0])
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(100)))
        + chunk(b"IEND", b"")
    )


def bad_files(folder, scene):
    """Write bad files; returns, for each name, the reason that the error must give."""
    whole = io.BytesIO()
    scene.save(whole, "JPEG")
    for name, content in {
        "empty.jpg": b"",
        "page.jpg": b"<!DOCTYPE html><html>404</html>",
        "pointer.jpg": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        "cut.jpg": whole.getvalue()[: len(whole.getvalue()) // 2],
        "head.jpg": whole.getvalue()[:200],
        "noise.jpg": bytes(range(256)),
    }.items():
        (folder / name).write_bytes(content)
    bomb(folder / "bomb.png")
    return {
        "empty.jpg": "an empty file", "page.jpg": "HTML", "pointer.jpg": "Git LFS pointer",
        "cut.jpg": "damaged", "head.jpg": "damaged", "noise.jpg": "no image format that is known",
        "bomb.png": "too large an image", "missing.jpg": "no such file",
    }  # fmt: skip


def test_the_error_for_a_bad_file_names_it_and_the_reason(tmp_path, scene):
    for name, reason in bad_files(tmp_path, scene).items():
        with pytest.raises(DataError, match=f"{name}: expected an image, received .*{reason}"):
            decode(tmp_path / name, SIZE)
    with pytest.raises(DataError, match="received a folder"):
        decode(tmp_path, SIZE)


@pytest.mark.parametrize(
    ("ending", "limit"), [("png", "MAX_OTHER_PIXELS"), ("webp", "MAX_COSTLY_PIXELS"), ("jpg", "MAX_PIXELS")]
)
def test_an_image_just_above_the_limit_is_refused_before_decoding(tmp_path, monkeypatch, ending, limit):
    path = saved(Image.new("RGB", (100, 100)), tmp_path / f"x.{ending}")
    monkeypatch.setattr(decoding, limit, 10_000)
    decode(path, SIZE)
    monkeypatch.setattr(decoding, limit, 9_999)
    with pytest.raises(DataError, match="too large an image .100x100 pixels"):
        decode(path, SIZE)


@pytest.mark.parametrize(
    "settings",
    [
        {"height": 0},
        {"width": 5000},
        {"height": 2.5},
        {"resample": "magic"},
        {"draft": -1},
        {"draft": True},
        {"draft": 9},
        {"draft": None},
        {"height": True},
        {"scale": 1},
        {"scale": "no"},
        {"height": "8"},
        {"resample": np.zeros(3)},
    ],
)
def test_preprocessing_out_of_range_is_refused(settings):
    with pytest.raises(ArgumentError):
        Preprocessing(**({"height": 8, "width": 8} | settings))


def test_preprocessing_of_a_model_without_draft_decodes_in_full():
    class Model:
        preprocessing = {"height": 3, "width": 4, "resample": "bilinear"}

    assert Preprocessing.of(Model).draft == 0 and Preprocessing.of(Model).scale is True
    Model.preprocessing = asdict(Preprocessing(3, 4, draft=2))
    assert Preprocessing.of(Model) == Preprocessing(3, 4, draft=2)


@pytest.mark.parametrize(
    "preprocessing",
    [None, {}, {"height": 3}, {"height": -1, "width": 2}, {"height": 3, "width": 3, "x": 1}, 7],
)
def test_a_model_without_preprocessing_is_refused(preprocessing):
    class Model:
        pass

    model = Model()
    model.preprocessing = preprocessing
    with pytest.raises(ModelFileError):
        Preprocessing.of(model)


def test_real_bad_files(photos):
    broken = {
        "real_git_lfs_pointer_cat.0.jpg": "Git LFS", "real_truncated_test490.jpg": "damaged",
        "synthetic_bomb_20000x20000_1bit.png": "too large", "synthetic_half.jpg": "damaged",
        "synthetic_header_only.jpg": "damaged",
        "synthetic_html_named.jpg": "HTML", "synthetic_zero_bytes.jpg": "empty",
    }  # fmt: skip
    files = sorted((photos / "bad").iterdir())
    assert len(files) == 20
    dog = decode(photos / "bad" / "synthetic_png_named.jpg", SIZE).astype(int)
    for path in files:
        if path.name in broken:
            with pytest.raises(DataError, match=f"{path.name}.*{broken[path.name]}"):
                decode(path, SIZE)
            continue
        got = decode(path, SIZE).astype(int)
        assert got.shape == (40, 60, 3)
        if path.stem in (
            "synthetic_cmyk",
            "synthetic_exif_orientation6",
            "synthetic_progressive",
            "synthetic_rgba",
        ):
            assert np.abs(got - dog).mean() < 25  # the same dog, from larger or smaller originals
        if "grey" in path.name:
            assert (got[..., 0] == got[..., 1]).all() and got.std() > 20
            if "synthetic" in path.name:
                assert np.abs(got[..., 0] - dog.mean(2)).mean() < 25


# ------------------------------------------------------------------------------- sources
def encoded(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def test_all_kinds_of_sources_give_the_same_image(tmp_path, scene, monkeypatch):
    path = saved(scene, tmp_path / "x.png")
    data, pixels, archive = path.read_bytes(), np.asarray(scene), tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("pets/x.png", data)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))

    class Upload:  # returns a few bytes at a time, like a socket
        filename = "upload.png"

        def __init__(self):
            self.file = io.BytesIO(data)

        def read(self, count):
            return self.file.read(min(count, 100))

    wanted = decode(path, SIZE)
    with path.open("rb") as file, Image.open(path) as image:
        sources = [
            str(path), "~/x.png", data, bytearray(data), memoryview(data), io.BytesIO(data), file, Upload(),
            image, scene, pixels, pixels.astype(np.int64), pixels / 255, pixels.astype(np.float32), pixels[::-1][::-1],
            zipfile.Path(archive, "pets/x.png"),
        ]  # fmt: skip
        for source in sources:
            np.testing.assert_array_equal(decode(source, SIZE), wanted)
    for preprocessing in ((40, 60), [40, 60], np.array([40, 60]), asdict(SIZE)):
        np.testing.assert_array_equal(decode(data, preprocessing), wanted)
    assert decode(data, 7).shape == decode(data, np.int64(7)).shape == (7, 7, 3)


def test_arrays_of_one_and_four_channels(scene):
    grey, clear = np.asarray(scene.convert("L")), np.asarray(scene.convert("RGBA")).copy()
    clear[:, :60, 3] = 0
    wanted = decode(np.repeat(grey[..., None], 3, 2), SIZE)
    for array in (grey, grey[..., None], grey / 255, grey.astype(np.float16)):
        np.testing.assert_array_equal(decode(array, SIZE), wanted)
    assert (decode(clear, SIZE)[:, :28] == 255).all()
    assert set(np.unique(decode(np.ones((9, 9), bool), SIZE))) == {255}


def test_a_pillow_image_is_turned_upright(tmp_path, scene):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(scene.transpose(Image.Transpose.ROTATE_90), exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        like(decode(image, SIZE), right(scene), 1)
    like(decode(data, SIZE), right(scene), 1)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (None, "NoneType"), (7, "int"), (["a.jpg"], "list"), (Image.Image, "type"), (io.StringIO("x"), "str"),
    ],
)  # fmt: skip
def test_a_source_of_the_wrong_type_is_an_argument_error(source, reason):
    with pytest.raises(ArgumentError, match=reason):
        decode(source, SIZE)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (b"", "the bytes: expected an image, received no bytes"),
        (io.BytesIO(), "Call seek"),
        (b"x" * 100, "the bytes: .*no image format"),
        (b"%PDF-1.7", "a PDF file"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC file"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "no image format"),
        ("", "an empty path"), ("a\0b", "cannot be used"), ("x" * 300, "cannot be opened .File name too long"),
        ("https://example.org/cat.jpg", "Download it first"),
        (np.zeros((2, 8, 8, 3)), r"of a batch, batch\[0\]"), (np.zeros((3, 8, 8)), "last axis"),
        (np.zeros((8, 8, 2)), "shape"), (np.zeros((0, 8, 3)), "shape"), (np.float64(3), "ArgumentError"),
        (np.full((8, 8), np.nan), "finite"), (np.full((8, 8), -0.1), "finite"), (np.full((8, 8), 256), "0 to 255"),
        (np.full((8, 8), "a"), "dtype"), (np.zeros((8, 8), object), "dtype"), (np.zeros((8, 8), complex), "dtype"),
    ],
)  # fmt: skip
def test_the_error_for_a_bad_source_gives_the_reason(source, reason):
    if reason == "ArgumentError":
        with pytest.raises(ArgumentError):
            decode(source, SIZE)
        return
    with pytest.raises(DataError, match=reason):
        decode(source, SIZE)


def test_a_missing_file_in_a_zip_archive_is_a_data_error(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr("x.png", b"")
    for name, reason in (("none.png", "cannot be opened"), ("x.png", "nothing")):
        with pytest.raises(DataError, match=reason):
            decode(zipfile.Path(tmp_path / "x.zip", name), SIZE)


@pytest.mark.parametrize(
    "preprocessing", [None, "64", (1, 2, 3), (0, 5), 0, 5000, True, 6.5, {"size": 3}, (None, 3)]
)
def test_invalid_preprocessing_is_refused(scene, preprocessing):
    with pytest.raises(ArgumentError):
        decode(scene, preprocessing)


def test_numpy_numbers_become_python_numbers():
    settings = Preprocessing(np.int64(3), np.int32(4), draft=np.uint8(1), scale=np.bool_(False))
    assert [type(value) for value in asdict(settings).values()] == [int, int, str, int, bool]


def test_closed_and_asynchronous_file_objects(scene):
    file = io.BytesIO(encoded(scene))
    file.close()
    with pytest.raises(DataError, match="cannot be read .*closed"):
        decode(file, SIZE)

    class Coroutine:
        name = "upload.png"

        async def read(self, count):
            return b""

    with pytest.raises(ArgumentError, match="upload.png: .*read.. gives coroutine"):
        decode(Coroutine(), SIZE)


# ------------------------------------------------------------------------------- bounded time and memory
@pytest.mark.skipif(os.name == "nt", reason="no named pipes in the file system")
def test_a_pipe_a_device_and_a_folder_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(DataError, match="a named pipe or a device"):
            decode(path, SIZE)
    with pytest.raises(DataError, match="a folder. Give a file in it"):
        decode(tmp_path, SIZE)


def test_a_file_that_is_too_large_is_refused_without_reading_it(tmp_path, scene):
    path = saved(scene, tmp_path / "x.jpg")
    with path.open("r+b") as file:
        file.truncate(319_000_000)
    begin = time.perf_counter()
    with path.open("rb") as file:
        for source in (path, file):
            with pytest.raises(DataError, match="x.jpg: .* where at most 64 are read"):
                decode(source, SIZE)
    assert time.perf_counter() - begin < 2


def png(width, height, bits=1, colour=0, chunks=b""):
    """The bytes of a PNG file whose pixels are all 0."""

    def chunk(kind, content):
        check = zlib.crc32(kind + content).to_bytes(4, "big")
        return len(content).to_bytes(4, "big") + kind + content + check

    line = 1 + -(-width * bits * {0: 1, 2: 3, 6: 4}[colour] // 8)
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    packer = zlib.compressobj(1)
    content = b"".join([packer.compress(bytes(line)) for _ in range(height)]) + packer.flush()
    extra = b"".join(chunk(kind, data) for kind, data in chunks)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", content) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(("width", "height"), [(80_000_000, 1), (1, 300_000), (65_536, 1)])
def test_long_thin_images_are_refused(width, height):
    with pytest.raises(DataError, match=f"too large an image .{width}x{height} pixels"):
        decode(png(width, height), SIZE)


@pytest.mark.parametrize(("width", "height"), [(65_535, 1), (1, 65_535)])
def test_the_longest_allowed_sides_are_decoded(width, height):
    assert not decode(png(width, height), SIZE).any()


@pytest.mark.skipif(os.name == "nt", reason="Windows tells no memory")
@pytest.mark.parametrize(
    ("bits", "colour"), [(8, 6), (16, 0), (16, 2)], ids=["RGBA", "16-bit grey", "16-bit RGB"]
)
def test_the_largest_allowed_images_take_less_than_500_mb(tmp_path, bits, colour):
    (tmp_path / "x.png").write_bytes(png(5000, 8000, bits, colour))
    code = """
import resource, sys
from minicnn.data import decode
decode(b"P5 1 1 255 x", 64)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
decode(sys.argv[1], 64)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // (1 << 20 if sys.platform == "darwin" else 1024))
"""
    command = [sys.executable, "-c", code, str(tmp_path / "x.png")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert int(done.stdout) < 500


def test_a_jpeg_file_with_too_many_scans_is_refused(scene, monkeypatch):
    data = encoded(scene, "JPEG", progressive=True)
    monkeypatch.setattr(decoding, "MAX_WORK", data.count(b"\xff\xda") * scene.width * scene.height)
    like(decode(data, SIZE), right(scene))
    last = data.rindex(b"\xff\xda")
    with pytest.raises(DataError, match="scans"):
        decode(data[:-2] + data[last:], SIZE)


def test_a_large_progressive_jpeg_file_is_refused_and_a_large_cmyk_is_halved(scene, monkeypatch):
    monkeypatch.setattr(decoding, "MAX_OTHER_PIXELS", 9_000)
    like(decode(encoded(scene, "JPEG"), SIZE), right(scene))
    like(decode(encoded(scene.convert("CMYK"), "JPEG"), SIZE), right(scene))
    with pytest.raises(DataError, match="too large an image"):
        decode(encoded(scene, "JPEG", progressive=True), SIZE)


def test_running_out_of_memory_is_a_data_error(scene, monkeypatch):
    def load(_):
        raise MemoryError

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", load)
    with pytest.raises(DataError, match="claims more memory than there is"):
        decode(encoded(scene), SIZE)


def test_only_the_first_frame_of_an_animation_is_decoded():
    control = struct.pack(">IIIIIHHBB", 0, 2**31 - 1, 2**31 - 1, 0, 0, 1, 1, 0, 0)
    for frames in (0, 1, 2**31):
        chunks = [(b"acTL", struct.pack(">II", frames, 0)), (b"acTL", bytes(8)), (b"fcTL", control)]
        assert not decode(png(9, 9, chunks=chunks), SIZE).any()


# ------------------------------------------------------------------------------- warnings
def test_pillows_warnings_and_limits_are_left_to_the_user():
    code = """
import warnings
import minicnn.data
assert not [filter for filter in warnings.filters if "PIL" in str(filter[3])]
from PIL import Image
Image.MAX_IMAGE_PIXELS = 50
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    Image.open(__import__("io").BytesIO(b"P5 9 9 255 " + bytes(81)))
    assert [warning.category for warning in told] == [Image.DecompressionBombWarning], told
    minicnn.data.decode(b"P5 9 9 255 " + bytes(81), 8)
    assert len(told) == 1
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_damaged_metadata_causes_no_warning(scene):
    """pytest turns warnings into errors."""
    broken = b"Exif\0\0II*\0\x08\0\0\0\x02\0" + struct.pack("<HHII", 0x9286, 2, 10**6, 10**6) * 2
    for kind in ("JPEG", "PNG", "WEBP"):
        like(decode(encoded(scene, kind, exif=broken), SIZE), right(scene))
    like(decode(encoded(scene.convert("CMYK"), "JPEG", exif=broken), SIZE), right(scene))
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[270], tags[700] = "a description" * 9, b"x" * 99
    data = bytearray(encoded(scene, "TIFF", tiffinfo=tags))
    (place,) = struct.unpack_from("<I", data, 4)
    for entry in range(place + 2, place + 2 + 12 * struct.unpack_from("<H", data, place)[0], 12):
        if struct.unpack_from("<H", data, entry)[0] in (270, 700):
            struct.pack_into("<I", data, entry + 4, 10**8)
    like(decode(data, SIZE), right(scene), 1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "XMP", "big-endian"])
def test_the_orientation_is_the_same_as_in_pillow(scene, kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"exif": exif}
    if kind == "XMP":
        options = {"xmp": b'<x tiff:Orientation="%d"/>' % orientation}
    elif kind == "big-endian":
        exif.endian = ">"
    data = encoded(scene, {"XMP": "JPEG", "big-endian": "JPEG"}.get(kind, kind), **options)
    with Image.open(io.BytesIO(data)) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    like(decode(data, SIZE), np.asarray(upright.resize((60, 40), Image.Resampling.BILINEAR)), 1)


# ------------------------------------------------------------------------------- grey of many bits
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_grey_values_are_scaled_as_documented(rng, compression):
    share = rng.random((64, 64), np.float32)
    share[0] = 0, *np.linspace(0, 1, 63)

    def read(values):
        return decode(encoded(Image.fromarray(values), "TIFF", compression=compression), 64)[..., 0].astype(
            int
        )

    def spoilt(values, value):
        values = values.copy()
        values[5, 5] = value
        return values

    for values in (
        share, share * 255, share * 65535, (share * 65535).astype(np.uint16),
        (share * (2.0**31 - 200)).astype(np.int32), (share * 65535).astype(np.int32), (share * 255).astype(np.int32),
        spoilt(share * 255, 300), spoilt(share * 255, 1e30),
    ):  # fmt: skip
        apart = np.abs(read(values) - share * 255)
        apart[5, 5] = 0
        assert apart.max() <= 1.01
    for values in (share, share * 255):
        for value, level in ((np.nan, 0), (np.inf, 255), (-np.inf, 0), (-7, 0)):
            got = read(spoilt(values, value))
            assert got[5, 5] == level and np.abs(np.delete(got - share * 255, 5, 0)).max() <= 1.01
    assert read((share * 4095).astype(np.uint16)).max() == 16  # 12 bits stored in 16 come out dark
    for value in (np.nan, np.inf, -np.inf, 0):
        assert not read(np.full((64, 64), value, np.float32))[:, 1:].any() or value == np.inf


def test_dark_16_bit_images_stay_dark(rng):
    dark = rng.integers(0, 200, (64, 64)).astype(np.uint16)
    assert decode(encoded(Image.fromarray(dark), "PNG"), 64).max() <= 1
    assert decode(b"P5 64 64 65535 " + dark.astype(">u2").tobytes(), 64).max() <= 1


# ------------------------------------------------------------------------------- damage
def test_a_hundred_damaged_files_give_an_image_or_a_data_error(scene, rng):
    small = scene.resize((40, 30))
    exif = Image.Exif()
    exif[0x0112] = 6
    files = [encoded(small, kind) for kind in ("PNG", "GIF", "BMP", "PPM", "WEBP")]
    files += [encoded(small, kind, exif=exif) for kind in ("JPEG", "PNG", "TIFF")]
    files += [
        encoded(small, "PNG", save_all=True, append_images=[small, small]),
        encoded(small.convert("CMYK"), "JPEG"),
    ]
    refused = 0
    for number in range(100):
        data = bytearray(files[number % len(files)])
        for _ in range(rng.integers(1, 8)):
            data[rng.integers(min(len(data), 200))] = rng.choice([0, 127, 255, rng.integers(256)])
        try:
            assert decode(data, SIZE).shape == (40, 60, 3)
        except DataError:
            refused += 1
    assert 20 < refused < 100
