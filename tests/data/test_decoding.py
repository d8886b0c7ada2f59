"""Every kind of file gives the right picture or one clear error; the files are made here, or are real."""

import io
import os
import sys
import threading
import zlib
from dataclasses import asdict, replace

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features

from minicnn import ArgumentError, DataError, ModelFileError
from minicnn.data import Preprocessing, decode, decoding, resizing
from minicnn.data.pixels import words

SIZE = Preprocessing(height=40, width=60)


@pytest.fixture
def scene():
    """A picture with a red left, a blue right, and a bright top: no two corners are alike."""
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
def test_formats(tmp_path, scene, ending):
    like(decode(saved(scene, tmp_path / f"x.{ending}"), SIZE), right(scene))


def test_a_png_named_jpg_a_progressive_jpeg_and_cmyk(tmp_path, scene):
    like(decode(saved(scene, tmp_path / "x.jpg", format="PNG"), SIZE), right(scene), 1)
    like(decode(saved(scene, tmp_path / "p.jpg", progressive=True), SIZE), right(scene))
    like(decode(saved(scene.convert("CMYK"), tmp_path / "c.jpg"), SIZE), right(scene))


def test_grey_palette_one_bit_and_sixteen_bits(tmp_path, scene):
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
def test_the_cameras_orientation_is_undone(tmp_path, scene, orientation, draft):
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
    size = replace(SIZE, draft=draft)  # drafted, the file is halved to exactly this size
    like(decode(saved(stored, tmp_path / "x.jpg", exif=exif, quality=95), size), right(scene))


def test_draft_is_near_the_full_decoding_and_nearer_the_larger_it_stays(tmp_path, rng):
    """Odd sizes, so that the decoder's last pixel lies half outside; smooth noise, so that a shift would show."""
    noise = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((501, 375))
    path = saved(noise, tmp_path / "x.jpg", quality=95)
    full = decode(path, SIZE).astype(int)
    apart = [np.abs(decode(path, replace(SIZE, draft=draft)) - full).mean() for draft in (1, 2, 4, 8)]
    assert 1 > apart[0] > apart[1] > apart[2] > 0 == apart[3]


def test_a_draft_decodes_no_more_than_it_must(tmp_path, monkeypatch):
    """Of a picture that lies on its side, too: it is 800 pixels high, and the file 800 wide."""
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


def test_a_subsampling_without_a_name_is_pillows(tmp_path):
    """4:1:1 turned on its side, which libjpeg-turbo calls 4:4:1 and simplejpeg does not know."""
    grey = np.full((32, 32, 3), 90, np.uint8)
    content = bytearray(simplejpeg.encode_jpeg(grey, colorsubsampling="411"))
    frame = content.index(b"\xff\xc0")  # then length, precision, height, width, components: number, sampling
    assert content[frame + 11] == 0x41
    content[frame + 11] = 0x14
    (tmp_path / "x.jpg").write_bytes(content)
    assert decoding._jpeg(tmp_path / "x.jpg", SIZE) is None
    assert np.abs(decode(tmp_path / "x.jpg", SIZE).astype(int) - 90).max() <= 3


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes in the file system")
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # Pillow leaves a pipe open
def test_a_pipe_is_read_once(tmp_path, scene):
    content = saved(scene, tmp_path / "x.jpg").read_bytes()
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=[content])
    writer.start()
    like(decode(tmp_path / "pipe", SIZE), right(scene))
    writer.join()


@pytest.mark.skipif(not features.check_feature("libjpeg_turbo"), reason="a Pillow with another library")
@settings(max_examples=60)
@given(
    width=st.integers(1, 200), height=st.integers(1, 200), mode=st.sampled_from(["RGB", "L"]),
    subsampling=st.sampled_from(["4:4:4", "4:2:2", "4:2:0"]), progressive=st.booleans(),
    smaller=st.integers(1, 20), draft=st.integers(0, 3), seed=st.integers(0, 99),
)  # fmt: skip
def test_jpeg_files_have_the_very_pixels_that_pillow_gives(
    tmp_path_factory, width, height, mode, subsampling, progressive, smaller, draft, seed
):
    noise = np.random.default_rng(seed).integers(0, 256, (height // 6 + 2, width // 6 + 2, 3), np.uint8)
    image = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).convert(mode)
    path = tmp_path_factory.mktemp("jpeg") / "x.jpg"
    image.save(path, quality=80, subsampling=subsampling, progressive=progressive)
    size = Preprocessing(-(-height // smaller), -(-width // smaller), draft=draft)
    pixels, _, extent = decoding._jpeg(path, size)
    with Image.open(path) as image:
        drafted = image.draft(None, (draft * size.width, draft * size.height)) if draft else None
        assert extent == (drafted[1][:1:-1] if drafted else (height, width))
        np.testing.assert_array_equal(pixels & 0xFFFFFF, words(image.convert("RGB")) & 0xFFFFFF)


def test_jpeg_files_that_pillow_must_forgive_are_its_own(tmp_path, scene):
    """CMYK; a byte too many before a marker, which is a warning."""
    cmyk = saved(scene.convert("CMYK"), tmp_path / "c.jpg")
    content = saved(scene, tmp_path / "x.jpg").read_bytes()
    table = content.index(b"\xff\xdb")
    (tmp_path / "y.jpg").write_bytes(content[:table] + b"\0" + content[table:])
    for path in (cmyk, tmp_path / "y.jpg"):
        assert decoding._jpeg(path, SIZE) is None
        like(decode(path, replace(SIZE, draft=1)), right(scene))


def test_a_draft_of_other_formats_is_the_full_decoding(tmp_path, scene):
    for ending in ("png", "webp", "tif"):
        path = saved(scene, tmp_path / f"x.{ending}")
        np.testing.assert_array_equal(decode(path, replace(SIZE, draft=1)), decode(path, SIZE))


@pytest.mark.parametrize("ending", [".jpg", ".png", ".webp"])
def test_a_broken_exif_block_only_loses_the_orientation(tmp_path, scene, ending):
    for name, extra in (("plain", {}), ("broken", {"exif": b"Exif\x00\x00garbage", "dpi": (72, 72)})):
        scene.save(tmp_path / f"{name}{ending}", **extra)
    plain, broken = (
        decode(tmp_path / f"{name}{ending}", Preprocessing(8, 8)) for name in ("plain", "broken")
    )
    np.testing.assert_array_equal(plain, broken)


def test_one_pixel_fills_the_picture(tmp_path):
    got = decode(saved(Image.new("RGB", (1, 1), (9, 8, 7)), tmp_path / "x.png"), SIZE)
    assert (got == (9, 8, 7)).all()


def bomb(path):
    """A valid PNG header for 20000 x 20000 pixels, and hardly any data."""

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
    """name -> the reason that must be given."""
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
        "cut.jpg": "damaged", "head.jpg": "damaged", "noise.jpg": "no kind of picture",
        "bomb.png": "too large a picture", "missing.jpg": "no such file",
    }  # fmt: skip


def test_bad_files_are_named_with_their_reason(tmp_path, scene):
    for name, reason in bad_files(tmp_path, scene).items():
        with pytest.raises(DataError, match=f"{name}: expected a picture, received .*{reason}"):
            decode(tmp_path / name, SIZE)
    with pytest.raises(DataError, match="received a folder"):
        decode(tmp_path, SIZE)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_a_picture_just_above_the_limit_is_refused_before_decoding(tmp_path, monkeypatch, ending):
    path = saved(Image.new("RGB", (100, 100)), tmp_path / f"x.{ending}")
    monkeypatch.setattr(decoding, "MAX_PIXELS", 9_999)
    with pytest.raises(DataError, match="too large a picture .100x100 pixels"):
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
    ],
)
def test_preprocessing_out_of_range_is_refused(settings):
    with pytest.raises(ArgumentError):
        Preprocessing(**({"height": 8, "width": 8} | settings))


def test_models_saved_before_there_were_drafts_are_decoded_in_full():
    class Model:
        preprocessing = {"height": 3, "width": 4, "resample": "bilinear"}

    assert Preprocessing.of(Model).draft == 0
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


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_each_of_the_real_bad_files(photographs):
    broken = {
        "real_git_lfs_pointer_cat.0.jpg": "Git LFS", "real_truncated_test490.jpg": "damaged",
        "synthetic_bomb_20000x20000_1bit.png": "too large", "synthetic_half.jpg": "damaged",
        "synthetic_header_only.jpg": "damaged",
        "synthetic_html_named.jpg": "HTML", "synthetic_zero_bytes.jpg": "empty",
    }  # fmt: skip
    files = sorted((photographs / "bad").iterdir())
    assert len(files) == 20
    dog = decode(photographs / "bad" / "synthetic_png_named.jpg", SIZE).astype(int)
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
