"""What the NRRD reader of ITK passes over in silence: data that are damaged or of another length, numbers and places that the header does not give.

The format: https://teem.sourceforge.net/nrrd/format.html
"""

from __future__ import annotations

import gzip
import math
import re
import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from dose_prediction.case.errors import CaseError, CaseWarning

_LONGEST_LINE = 10_000_000
_CHUNK = 2**20
_FARTHEST = 1e6  # in mm, and in voxels
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?"
_NUMBERS = re.compile(_NUMBER)
_VECTOR = rf"(?:none|\(\s*{_NUMBER}\s*(?:,\s*{_NUMBER}\s*)*\))"
_FORMS = {
    "sizes": re.compile(r"\d+(\s+\d+)*"),
    "space directions": re.compile(rf"{_VECTOR}(\s+{_VECTOR})*"),
    "space origin": re.compile(_VECTOR),
}
_PLACE = ("space", "space directions", "space origin")
_BYTES = {"char": 1, "int8": 1, "short": 2, "int16": 2, "int": 4, "int32": 4, "float": 4, "double": 8}  # signed or not


def check_nrrd(path: Path) -> None:
    """Raise CaseError for an NRRD file whose data are not those that its header promises; tell with a CaseWarning of a missing place.

    The file has been read by ITK, so that its fields are known to be ones of the format.
    """
    with path.open("rb") as file:
        fields = _fields(file)
        for field, form in _FORMS.items():
            value = fields.get(field)
            if value is not None and not (form.fullmatch(value) and all(abs(float(number)) < _FARTHEST for number in _NUMBERS.findall(value))):
                raise CaseError(f"{path} has a damaged header: {field} is {value[:80]!r}. Export or copy it again.")
        if not fields.keys() & {"data file", "datafile", "line skip", "byte skip"}:
            _check_length(path, file, fields)
    missing = [field for field in _PLACE if field not in fields]
    if missing:
        warnings.warn(
            f"{path.name} does not say where its voxels lie (no {', '.join(map(repr, missing))}); ITK's defaults were taken, check its place.",
            CaseWarning,
            stacklevel=4,
        )


def _fields(file: BinaryIO) -> dict[str, str]:
    """The fields of the header by their names in lower case; the file then stands at its data."""
    fields = {}
    for line in iter(lambda: file.readline(_LONGEST_LINE).rstrip(b"\r\n"), b""):
        name, colon, value = line.decode("utf-8", "replace").partition(": ")
        if colon and not name.startswith("#"):
            fields[name.strip().lower()] = value.strip().lower()
    return fields


def _check_length(path: Path, file: BinaryIO, fields: Mapping[str, str]) -> None:
    kind = fields.get("type", "").removeprefix("signed ").removeprefix("unsigned ").removeprefix("u").removesuffix("_t")
    encoding = fields.get("encoding", "")
    if kind not in _BYTES or encoding not in ("raw", "gzip", "gz"):
        return
    found = path.stat().st_size - file.tell() if encoding == "raw" else _unpacked_length(path, file)
    promised = math.prod(map(int, fields["sizes"].split())) * _BYTES[kind]
    if found != promised:
        raise CaseError(f"{path} holds {found:,} bytes of voxels and its header promises {promised:,}; export or copy it again.")


def _unpacked_length(path: Path, file: BinaryIO) -> int:
    """Bytes in the gzip data at which the file stands, which is read to its end and so to its checksum."""
    length = 0
    try:
        with gzip.GzipFile(fileobj=file) as stream:
            while chunk := stream.read(_CHUNK):
                length += len(chunk)
    except (OSError, EOFError, zlib.error) as error:
        raise CaseError(f"{path} is damaged: its compressed data fail their check ({error}). Export or copy it again.") from None
    return length
