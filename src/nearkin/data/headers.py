"""What an image's file says of its pixels besides Pillow's mode: a TIFF's tags, and bits a channel."""

from __future__ import annotations

from PIL import Image

TIFF_BITS, TIFF_PHOTOMETRIC, TIFF_SAMPLE_FORMAT = 258, 262, 339


def tag(image: Image.Image, number: int) -> int | None:
    """A TIFF's tag, of its first channel; `None` where it has none, and of other files."""
    value = getattr(image, "tag_v2", {}).get(number)
    return value[0] if isinstance(value, tuple) else value


def file_bits(image: Image.Image) -> int:
    """Bits a channel in a PNG, TIFF or PPM; 8 of other files, and of what is in memory.

    Pillow decodes deep colour, and deep gray with transparency, to 8 bits, and no mode says so. A PNG and a PPM tell
    it by how they are to be decoded, which is known until their pixels are read.
    """
    tiles = getattr(image, "tile", None)
    if image.format == "TIFF" or not tiles:
        return tag(image, TIFF_BITS) or 8
    _, _, _, how = tiles[0]  # "RGB;16B" of a PNG, ("RGB", 65535) of a PPM
    if image.format == "PPM" and isinstance(how, tuple):
        return max(8, int(how[1]).bit_length())
    return 16 if image.format == "PNG" and str(how).endswith(";16B") else 8
