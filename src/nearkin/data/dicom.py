"""DICOM: one frame as it should be seen, in [0, 1]: modality rescale, VOI window or table, MONOCHROME1 turned round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearkin.contracts import FloatArray
from nearkin.errors import PluginError, listing

MAGIC, MAGIC_AT = b"DICM", 128
GRAY = ("MONOCHROME1", "MONOCHROME2")
TABLES = ("VOILUTSequence", "ModalityLUTSequence")
GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
GROUPED = ("PixelValueTransformationSequence", "FrameVOILUTSequence")
"""Where enhanced objects say of their frames what others say of the whole image (PS3.3 C.7.6.16)."""
TONE_TAGS = ("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "VOILUTFunction", *TABLES)
NEEDED = (
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "BitsAllocated",
    "BitsStored",
    "PixelRepresentation",
)
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")


class NotOneImage(Exception):
    """Why a DICOM file cannot be used. It never holds anything that the file says of a patient."""


@dataclass(frozen=True)
class Frame:
    """One frame's values and the range that they may span."""

    pixels: FloatArray
    """(h, w) or (h, w, 3) in [0, 1]."""
    bits: int
    """Bits stored a channel: 8 to 16."""
    span: tuple[float, float]
    """The values that 0 and 1 stand for where no window or table is applied; of MONOCHROME1 the larger one first."""
    whole: FloatArray | None = None
    """Like `pixels`, before the file's window or table; `None` where it has none."""
    padding: NDArray[np.bool_] | None = None
    """(h, w): where the file says that there is no image (PS3.3 C.7.5.1.1.2); `None` where it says nothing."""


def is_dicom(path: Path) -> bool:
    """Whether the file says so itself, whatever it is called."""
    with path.open("rb") as file:
        file.seek(MAGIC_AT)
        return file.read(len(MAGIC)) == MAGIC


def read_dicom(path: Path, at_most: int) -> Frame:
    """The file's one frame (DICOM PS3.3 C.11.1, C.11.2). `NotOneImage` where it holds none, several, or is too large.

    Values go through the modality rescale, then through the file's first VOI window or table where it has one; without
    one the whole stored range is kept, never stretched to what this image happens to hold.
    """
    dataset = _pydicom().dcmread(path)
    _refuse(dataset, at_most)
    stored = _unpacked(dataset)
    bits = int(dataset.BitsStored)
    if dataset.PhotometricInterpretation in COLOUR:
        return Frame(stored.astype(np.float32) / np.float32(2**bits - 1), bits, (0.0, 2.0**bits - 1))
    return _gray(dataset, stored, bits)


def _pydicom() -> Any:
    try:
        import pydicom
        import pydicom.pixels
    except ImportError as error:
        raise PluginError('a DICOM file needs pydicom: pip install "nearkin[dicom]".') from error
    # Its warnings of malformed values would quote them, a patient's name too.
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    return pydicom


def _refuse(dataset: Any, at_most: int) -> None:
    """What can be told from the header, before any pixel is unpacked."""
    if "PixelData" not in dataset:
        raise NotOneImage("it holds no pixels")
    lacking = [tag for tag in NEEDED if dataset.get(tag) in (None, "")]
    lacking += [] if "TransferSyntaxUID" in dataset.file_meta else ["TransferSyntaxUID"]
    if lacking:
        raise NotOneImage(f"its header lacks {listing(lacking)}. Export it again")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames > 1:
        raise NotOneImage(f"it holds {frames} frames; which one is meant? Save the one you want on its own")
    if int(dataset.Rows) * int(dataset.Columns) > at_most:
        raise NotOneImage(f"it is {dataset.Columns}x{dataset.Rows}, too large: at most {at_most:,} pixels")
    kind = str(dataset.PhotometricInterpretation)
    if kind not in (*GRAY, *COLOUR):
        raise NotOneImage(f"its colours are {kind}; {', '.join((*GRAY, *COLOUR))} are read. Convert it")
    high, stored = dataset.get("HighBit"), int(dataset.BitsStored)
    if high not in (None, "") and int(high) != stored - 1:  # pydicom would drop the upper bits
        raise NotOneImage(
            f"its values of {stored} bits end at bit {high}, as in old files, and not at {stored - 1}. Convert it"
        )


def _unpacked(dataset: Any) -> NDArray[Any]:
    """The stored values; of a compression the mend is to install what unpacks it, unless something does already."""
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.pixels.utils import pixel_array

    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        stored: NDArray[Any] = pixel_array(dataset)
    # Decoders raise what they like. What they say might quote the file.
    except (RuntimeError, NotImplementedError, AttributeError) as error:
        try:
            decoder = get_decoder(syntax)
        except NotImplementedError:
            raise NotOneImage(
                f"its pixels are stored as {syntax.name}, which nothing here unpacks. Convert it"
            ) from error
        if decoder.is_available:
            raise NotOneImage(
                f"its pixels, stored as {syntax.name}, are damaged or cut short. Copy it again"
            ) from error
        wanted = "; or ".join(way.partition(" - requires ")[2] for way in decoder.missing_dependencies)
        raise NotOneImage(
            f"its pixels are stored as {syntax.name}, which cannot be unpacked here. Install {wanted}; or save it "
            "uncompressed"
        ) from error
    return stored


def _gray(dataset: Any, stored: NDArray[Any], bits: int) -> Frame:
    """Stored values to what a screen would show, white being 1, and to what it would show without window or table."""
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

    _take_from_groups(dataset)
    for tag in TONE_TAGS:
        if tag in dataset and not dataset[tag].value and dataset[tag].value != 0:
            del dataset[tag]  # an empty one says nothing; pydicom would reckon with it
    low, high = sorted(_range(dataset, bits, ("ModalityLUTSequence",)))
    reach = _range(dataset, bits, TABLES)
    for table in (dataset[tag].value[0] for tag in TABLES if tag in dataset):
        _as_words(table)
    values = apply_modality_lut(stored, dataset)
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    span = (high, low) if inverted else (low, high)
    whole, padding = _over(values, low, high, inverted), _padding(dataset, stored)
    if "VOILUTSequence" not in dataset and not {"WindowCenter", "WindowWidth"} <= set(dataset.dir()):
        return Frame(whole, bits, span, padding=padding)
    if "VOILUTSequence" in dataset:
        values = _entries(dataset.VOILUTSequence[0].LUTDescriptor, values, low, high)
    try:
        shown = apply_voi_lut(values, dataset, index=0)
    except ValueError as error:  # pydicom's own words: a tag and what it may be
        raise NotOneImage(f"its own window cannot be applied: {str(error).rstrip('.')}. Mend the file") from error
    # Where the rescale falls, pydicom gives what is below the window the range's first end, which is the larger one.
    return Frame(_over(shown, *reach, inverted), bits, span, whole, padding)


def _as_words(table: Any) -> None:
    """A table as pydicom reads every one: of 16 bits, a word an entry.

    It knows no modality table of 10 to 15 bits, numbers the entries of a VOI table of 8 bits in 8 bits too, and takes
    entries that are packed two to a word (PS3.3 C.11.1.1.1) for half as many.
    """
    packed, entries = table.LUTData, int(table.LUTDescriptor[0]) or 2**16
    if isinstance(packed, bytes) and len(packed) == entries + entries % 2:
        table.LUTData = np.frombuffer(packed, np.uint8).astype(np.uint16).tobytes()
    table.LUTDescriptor[2] = 16


def _entries(descriptor: Any, values: NDArray[Any], low: float, high: float) -> NDArray[Any]:
    """What pydicom can look up in a VOI table of the values that may be `low` to `high`, of each the nearest entry."""
    # Where a file leaves out its types, a first value below 0 is read without its sign.
    if low < 0 and descriptor[1] > high:
        descriptor[1] -= 2**16
    last = descriptor[1] + (descriptor[0] or 2**16) - 1
    # What lies beyond would be counted in 16 bits, and begin anew.
    entries: NDArray[Any] = np.clip(np.rint(values), descriptor[1], last).astype(np.int64)
    return entries


def _take_from_groups(dataset: Any) -> None:
    """What an enhanced object says of its one frame, as if it said so of the image."""
    for sequence in GROUPS:
        for group in list(dataset.get(sequence) or [])[:1]:
            for name in GROUPED:
                for item in list(group.get(name) or [])[:1]:
                    dataset.update({element.tag: element for element in item})


def _padding(dataset: Any, stored: NDArray[Any]) -> NDArray[np.bool_] | None:
    value = dataset.get("PixelPaddingValue")
    if value is None or value == "":
        return None
    limit = dataset.get("PixelPaddingRangeLimit")
    low, high = sorted((int(value), int(value if limit in (None, "") else limit)))
    found = (stored >= low) & (stored <= high)
    return None if found.all() or not found.any() else found


def _over(values: NDArray[Any], low: float, high: float, inverted: bool) -> FloatArray:
    scaled = np.clip((np.asarray(values, dtype=np.float64) - low) / (high - low), 0, 1).astype(np.float32)
    return np.float32(1) - scaled if inverted else scaled


def _range(dataset: Any, bits: int, tables: Sequence[str]) -> tuple[float, float]:
    """What the values may span after these tables or rescale: a table's own depth, else the stored depth, rescaled."""
    for table in tables:
        if table in dataset:
            return 0.0, float(2 ** int(dataset[table].value[0].LUTDescriptor[2]) - 1)
    least, most = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if dataset.PixelRepresentation else (0, 2**bits - 1)
    if not {"RescaleSlope", "RescaleIntercept"} <= set(dataset.dir()):
        return float(least), float(most)
    slope, intercept = float(dataset.RescaleSlope), float(dataset.RescaleIntercept)
    if not slope:
        raise NotOneImage("its rescale slope is 0, so every pixel is one value. Mend the file")
    return least * slope + intercept, most * slope + intercept
