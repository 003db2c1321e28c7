"""DICOM as hospitals write it: what a screen shows, in [0, 1]; never a patient's name in anything that is said."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    MPEG4HP41,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from nearkin.contracts import InputSpec
from nearkin.data import BadImage, decode
from nearkin.data.contrast import with_contrast
from nearkin.data.preparing import prepared
from nearkin.errors import PluginError
from nearkin.recipe.contrast import PercentileOptions, WindowOptions
from nearkin.recipe.preparation import CropOptions, Preparation

NAME = "DOE^JANE"
SPEC = InputSpec(channels=1, size=(24, 24), mean=(0.5,), std=(0.5,))
CROPPED = Preparation(
    contrast=PercentileOptions(type="percentile", low=1, high=99), crop=CropOptions(fill=0.7, threshold=0.001)
)
RAMP = np.linspace(0, 4095, 64 * 48).round().astype(np.uint16).reshape(48, 64)


def written(folder: Path, values: NDArray[Any] = RAMP, *, bits: int = 12, **tags: Any) -> Path:
    """A DICOM file of one gray frame, any tag replaced."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    meta.TransferSyntaxUID = tags.pop("TransferSyntaxUID", ExplicitVRLittleEndian)
    path = folder / "image.dcm"
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.PatientName, dataset.PatientID = NAME, "4711"
    dataset.Rows, dataset.Columns = values.shape[:2]
    dataset.SamplesPerPixel = 3 if values.ndim == 3 else 1
    dataset.PhotometricInterpretation = "RGB" if values.ndim == 3 else "MONOCHROME2"
    dataset.BitsAllocated = 8 * values.dtype.itemsize
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    if values.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.PixelData = values.tobytes()
    for tag, value in tags.items():
        setattr(dataset, tag, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize(("bits", "dtype"), [(8, np.uint8), (10, np.uint16), (12, np.uint16), (16, np.uint16)])
def test_the_whole_stored_range_is_kept_where_no_window_is_given(tmp_path: Path, bits: int, dtype: Any) -> None:
    """Half of what can be stored is gray, even if this image holds nothing brighter."""
    half = np.linspace(0, 2 ** (bits - 1), 48 * 64).astype(dtype).reshape(48, 64)
    picture = decode(written(tmp_path, half, bits=bits))
    assert picture.bits == bits
    np.testing.assert_allclose(picture.pixels, half / (2**bits - 1), atol=1e-6)


def test_monochrome1_is_turned_round(tmp_path: Path) -> None:
    plain = decode(written(tmp_path)).pixels
    np.testing.assert_allclose(
        decode(written(tmp_path, PhotometricInterpretation="MONOCHROME1")).pixels, 1 - plain, atol=1e-6
    )


def test_the_files_first_window_is_applied_as_the_standard_has_it(tmp_path: Path) -> None:
    """PS3.3 C.11.2.1.2: linear from center - 0.5 - (width - 1) / 2 to center - 0.5 + (width - 1) / 2."""
    path = written(tmp_path, WindowCenter=[2048, 100], WindowWidth=[1024, 10])
    expected = np.clip((RAMP - (2048 - 0.5)) / (1024 - 1) + 0.5, 0, 1)
    np.testing.assert_allclose(decode(path).pixels, expected, atol=1e-5)


def test_a_window_is_in_rescaled_units(tmp_path: Path) -> None:
    path = written(tmp_path, RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=1000, WindowWidth=500)
    expected = np.clip((RAMP * 2.0 - 1000 - (1000 - 0.5)) / (500 - 1) + 0.5, 0, 1)
    np.testing.assert_allclose(decode(path).pixels, expected, atol=1e-5)


def test_an_empty_tag_says_nothing_and_a_rescale_takes_both_its_tags(tmp_path: Path) -> None:
    plain = decode(written(tmp_path))
    for tags in (
        {"WindowCenter": None, "WindowWidth": None},
        {"WindowCenter": None, "WindowWidth": None, "VOILUTFunction": ""},
        {"WindowCenter": 40},
        {"RescaleSlope": None, "RescaleIntercept": None},
        {"RescaleSlope": 2},
        {"RescaleIntercept": -1024},
    ):
        found = decode(written(tmp_path, **tags))
        np.testing.assert_array_equal(found.pixels, plain.pixels, err_msg=str(tags))
        assert found.whole is None


def test_a_rescale_that_falls_turns_values_round(tmp_path: Path) -> None:
    """White is the largest rescaled value, with a window and without."""
    plain, tags = decode(written(tmp_path)), {"RescaleSlope": -1, "RescaleIntercept": 4095}
    falling = decode(written(tmp_path, **tags))
    np.testing.assert_allclose(falling.pixels, 1 - plain.pixels, atol=1e-6)
    assert falling.span == (0, 4095)
    own = decode(written(tmp_path, **tags, WindowCenter=1000, WindowWidth=500, VOILUTFunction="LINEAR_EXACT"))
    np.testing.assert_allclose(own.pixels, np.clip((4095.0 - RAMP - 750) / 500, 0, 1), atol=1e-5)


def test_signed_values_span_their_signed_range(tmp_path: Path) -> None:
    signed = (RAMP.astype(np.int32) - 2048).astype(np.int16)
    np.testing.assert_allclose(decode(written(tmp_path, signed)).pixels, RAMP / 4095, atol=1e-6)


def test_a_voi_table_is_looked_up(tmp_path: Path) -> None:
    table = Dataset()
    table.LUTDescriptor = [4096, 0, 16]
    table.LUTData = np.linspace(65535, 0, 4096).round().astype(np.uint16).tobytes()
    table["LUTData"].VR = "OW"
    np.testing.assert_allclose(decode(written(tmp_path, VOILUTSequence=[table])).pixels, 1 - RAMP / 4095, atol=1e-4)


@pytest.mark.parametrize(("bits", "least"), [(8, 0), (8, 100), (16, 0)])
def test_a_voi_table_may_have_more_entries_than_its_values_have_bits(tmp_path: Path, bits: int, least: int) -> None:
    table = Dataset()
    table.LUTDescriptor = [1024, least, bits]
    table.LUTData = (np.arange(1024) * (2**bits - 1) // 1023).astype(np.uint16).tobytes()
    table["LUTData"].VR = "OW"
    values = (RAMP // 4).astype(np.uint16)
    wanted = np.clip(values.astype(float) - least, 0, 1023) / 1023
    shown = decode(written(tmp_path, values, bits=10, VOILUTSequence=[table])).pixels
    np.testing.assert_allclose(shown, wanted, atol=1 / 255)


def table_of(entries: NDArray[Any], *, first: int = 0, bits: int = 16, vr: str = "US") -> Dataset:
    made = Dataset()
    made["LUTDescriptor"] = DataElement(0x00283002, vr, [len(entries), first, bits])
    made.LUTData = entries.tobytes()
    made["LUTData"].VR = "OW"
    return made


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_voi_table_may_begin_below_zero(tmp_path: Path, syntax: str) -> None:
    """Implicit files do not say that the first value has a sign: it was read as 64512, and all was black."""
    falling = np.linspace(65535, 0, 4096).round().astype(np.uint16)
    tags = {"RescaleSlope": 1, "RescaleIntercept": -1024, "TransferSyntaxUID": syntax}
    shown = decode(written(tmp_path, VOILUTSequence=[table_of(falling, first=-1024, vr="SS")], **tags)).pixels
    np.testing.assert_allclose(shown, 1 - RAMP / 4095, atol=1e-4)


def test_values_beyond_a_voi_table_are_its_ends(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    """Of values above 65535 too, and of rescaled ones nothing is warned of."""
    table = table_of(np.array([0, 65535], np.uint16), first=3000)
    values = np.linspace(0, 65535, 48 * 64).round().astype(np.uint16).reshape(48, 64)
    shown = decode(
        written(tmp_path, values, bits=16, VOILUTSequence=[table], RescaleSlope=2, RescaleIntercept=0)
    ).pixels
    np.testing.assert_array_equal(shown, values * 2.0 > 3000.5)
    assert not list(recwarn)


def test_entries_of_8_bits_may_be_packed(tmp_path: Path) -> None:
    values, falling = (RAMP // 16).astype(np.uint8), np.arange(255, -1, -1, dtype=np.uint8)
    for tag in ("VOILUTSequence", "ModalityLUTSequence"):
        tables: dict[str, Any] = {tag: [table_of(falling, bits=8)]}
        shown = decode(written(tmp_path, values, bits=8, **tables)).pixels
        np.testing.assert_allclose(shown, 1 - values / 255, atol=1e-6, err_msg=tag)


def test_a_modality_table_of_12_bits_is_looked_up(tmp_path: Path) -> None:
    falling = np.arange(4095, -1, -1).astype(np.uint16)
    found = decode(written(tmp_path, ModalityLUTSequence=[table_of(falling, bits=12)]))
    np.testing.assert_allclose(found.pixels, 1 - RAMP / 4095, atol=1e-6)
    assert found.span == (0.0, 4095.0)


def test_a_window_of_its_own_that_shows_nothing_is_refused_unless_another_is_asked(tmp_path: Path) -> None:
    blind = decode(written(tmp_path, WindowCenter=90000, WindowWidth=10))
    for contrast in (None, WindowOptions(type="window")):
        with pytest.raises(BadImage, match="shows nothing in its own window"):
            with_contrast(blind, contrast)
    assert with_contrast(blind, WindowOptions(type="window", center=2048, width=4096)).std() > 0.2
    blank = decode(written(tmp_path, np.zeros_like(RAMP), WindowCenter=2048, WindowWidth=4096))
    assert not with_contrast(blank, None).any(), "nothing was there to be shown"


@pytest.mark.parametrize("groups", ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"])
def test_what_an_enhanced_object_says_of_its_one_frame_holds(tmp_path: Path, groups: str) -> None:
    rescale, window, group = Dataset(), Dataset(), Dataset()
    rescale.RescaleSlope, rescale.RescaleIntercept, rescale.RescaleType = 1, -1024, "HU"
    window.WindowCenter, window.WindowWidth = 40, 400
    group.PixelValueTransformationSequence, group.FrameVOILUTSequence = [rescale], [window]
    found = decode(written(tmp_path, NumberOfFrames=1, **{groups: [group]}))
    plain = decode(written(tmp_path, RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=40, WindowWidth=400))
    assert found.span == plain.span == (-1024.0, 3071.0)
    np.testing.assert_array_equal(found.pixels, plain.pixels)


def test_where_the_file_says_that_there_is_no_image_tells_percentiles_nothing(tmp_path: Path) -> None:
    body = np.linspace(-1000, 1000, 48 * 64).astype(np.int16).reshape(48, 64)
    body[:, :20] = -2000
    body[:, 44:] = -2010
    percentiles = PercentileOptions(type="percentile", low=1, high=99)
    padded = {"PixelPaddingValue": -2000, "PixelPaddingRangeLimit": -2010}
    inside = with_contrast(decode(written(tmp_path, body, bits=16, **padded)), percentiles)[:, 20:44]
    assert inside.std() > 0.28  # of a ramp from 0 to 1: 0.29
    assert with_contrast(decode(written(tmp_path, body, bits=16)), percentiles)[:, 20:44].std() < 0.25
    shown = prepared(decode(written(tmp_path, body, bits=16, **padded)), SPEC, CROPPED)
    assert shown.shape == (1, 24, 24)
    assert shown[0, :, 8:16].std() > 0.2, "the padding moves with what is cropped"
    all_padding = np.full((48, 64), -2000, dtype=np.int16)
    assert decode(written(tmp_path, all_padding, bits=16, **padded)).padding is None


def test_colour_is_colour(tmp_path: Path) -> None:
    colour = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    np.testing.assert_allclose(decode(written(tmp_path, colour, bits=8)).pixels, colour / 255, atol=1e-6)


def test_an_8_bit_frame_is_a_copy_of_the_png_with_its_values(tmp_path: Path) -> None:
    values = (RAMP // 16).astype(np.uint8)
    Image.fromarray(values).save(tmp_path / "image.png")
    assert decode(written(tmp_path, values, bits=8)).digest == decode(tmp_path / "image.png").digest


def test_it_is_known_by_its_content_not_its_name(tmp_path: Path) -> None:
    renamed = written(tmp_path).rename(tmp_path / "IM0001")
    assert decode(renamed).pixels.shape == (48, 64)


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"NumberOfFrames": 7}, "7 frames; which one is meant"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "its colours are PALETTE COLOR"),
        ({"Rows": 60000, "Columns": 60000}, "60000x60000, too large"),
        ({"RescaleSlope": 0, "RescaleIntercept": 3}, "its rescale slope is 0"),
        ({"HighBit": 15}, "its values of 12 bits end at bit 15, as in old files, and not at 11"),
        ({"BitsStored": None, "SamplesPerPixel": None}, "its header lacks SamplesPerPixel, BitsStored"),
        ({"WindowCenter": 40, "WindowWidth": 0}, "its own window cannot be applied: The .0028,1051. Window Width"),
    ],
)
def test_what_is_no_single_image_is_refused_by_name(tmp_path: Path, tags: dict[str, Any], said: str) -> None:
    with pytest.raises(BadImage, match=said) as error:
        decode(written(tmp_path, **tags))
    assert "image.dcm" in str(error.value)
    assert "JANE" not in str(error.value)


def test_a_file_without_pixels_is_refused(tmp_path: Path) -> None:
    import pydicom

    path = written(tmp_path)
    dataset = pydicom.dcmread(path)
    del dataset.PixelData
    dataset.save_as(path)
    with pytest.raises(BadImage, match="no pixels"):
        decode(path)


@pytest.mark.parametrize(
    ("syntax", "said"),
    [
        (JPEGLSLossless, r"JPEG-LS Lossless.*Install .*pylibjpeg-libjpeg.*; or save it uncompressed"),
        (HTJ2KLossless, r"Install pylibjpeg\S* and pylibjpeg-openjpeg"),
        (MPEG4HP41, r"MPEG-4 .* which nothing here unpacks"),
        (JPEGBaseline8Bit, r"stored as JPEG Baseline .*, are damaged or cut short"),
    ],
)
def test_a_compression_names_itself_and_its_own_mend(tmp_path: Path, syntax: str, said: str) -> None:
    """What is at hand needs no installing: then the file is damaged."""
    from pydicom.encaps import encapsulate

    values = (RAMP // 16).astype(np.uint8)
    path = written(tmp_path, values, bits=8, PixelData=encapsulate([b"\xff\xd8 not really"]), TransferSyntaxUID=syntax)
    with pytest.raises(BadImage, match=said):
        decode(path)


def test_a_file_without_its_transfer_syntax_or_preamble_says_so(tmp_path: Path) -> None:
    import pydicom

    path = written(tmp_path)
    (tmp_path / "bare.dcm").write_bytes(path.read_bytes()[132:])
    with pytest.raises(BadImage, match="and DICOM with its preamble"):
        decode(tmp_path / "bare.dcm")
    dataset = pydicom.dcmread(path)
    del dataset.file_meta.TransferSyntaxUID
    pydicom.dcmwrite(path, dataset, implicit_vr=False, little_endian=True)
    with pytest.raises(BadImage, match="its header lacks TransferSyntaxUID"):
        decode(path)


@pytest.mark.parametrize("keep", [140, 400, 3000])
def test_a_file_cut_short_is_refused_without_a_name(tmp_path: Path, keep: int) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BadImage) as error:
        decode(path)
    assert "JANE" not in str(error.value)


def test_no_patient_is_named_in_anything_that_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    path = written(tmp_path, PatientBirthDate="no date at all", StudyDate="JANE")
    picture = decode(path)
    said = "".join(capfd.readouterr()) + "".join(str(warning.message) for warning in recwarn) + picture.source
    assert "JANE" not in said


def test_without_pydicom_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(PluginError, match=r'pip install "nearkin\[dicom\]"'):
        decode(path)
