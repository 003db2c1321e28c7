"""Tensor files in safetensors' own layout, written piece by piece and read in place, without a copy in memory.

The layout (https://github.com/huggingface/safetensors#format): eight bytes with the header's length, the header as
JSON (a name, a type, a shape and two offsets a tensor), then the tensors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

TYPES = {"F32": np.float32, "I64": np.int64, "I32": np.int32, "U8": np.uint8, "BOOL": np.bool_}
"""Those that an index writes; no other is read."""
NAME_OF = {np.dtype(type_): name for name, type_ in TYPES.items()}
MAX_HEADER = 2**16
PIECE = 2**24
"""Bytes written at a time."""


def write_tensors(tensors: Mapping[str, NDArray[Any]], file: BinaryIO) -> None:
    """Write them, those of large numbers first, so that each begins where its numbers may."""
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].itemsize, item[0]))
    header, end = {}, 0
    for name, tensor in ordered:
        start, end = end, end + tensor.nbytes
        header[name] = {"dtype": NAME_OF[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for _, tensor in ordered:
        flat = np.ascontiguousarray(tensor).reshape(-1).view(np.uint8)
        for start in range(0, len(flat), PIECE):
            file.write(flat[start : start + PIECE].data)


def read_tensors(data: memoryview | bytes) -> dict[str, NDArray[Any]]:
    """Read-only arrays over the same memory. `ValueError` for what was not written like this."""
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > min(MAX_HEADER, len(data) - 8):
        raise ValueError("its header does not fit.")
    header = json.loads(bytes(data[8 : 8 + size]))
    body = memoryview(data)[8 + size :].toreadonly()
    return {str(name): _tensor(said, body) for name, said in header.items()}


def _tensor(said: Mapping[str, Any], body: memoryview) -> NDArray[Any]:
    dtype, shape, (start, end) = np.dtype(TYPES[said["dtype"]]), said["shape"], said["data_offsets"]
    if not all(type(number) is int and 0 <= number < 2**48 for number in (*shape, start, end)) or len(shape) > 2:
        raise ValueError("its shapes and offsets are not whole numbers in a sensible range.")
    count = 1
    for number in shape:
        count *= number
    if not start <= end <= len(body) or end - start != count * dtype.itemsize or start % dtype.itemsize:
        raise ValueError("its shapes and offsets do not fit.")
    return np.frombuffer(body[start:end], dtype=dtype).reshape(shape)
