"""Single elements of DICOM data sets: read with their errors turned into sentences, and written within the limits of their value representations."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dose_prediction.case import CaseError

# Larger than any file of a plan; what is larger is not read.
LARGEST_FILE_BYTES = 2**31
_UNDEFINED_LENGTH = 0xFFFFFFFF
UNCOMPRESSED = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)


@contextmanager
def values_as_they_are() -> Iterator[None]:
    """Keep pydicom's remarks on values that bend their value representation (long names, odd characters) off the user's screen."""
    log = logging.getLogger("pydicom")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pydicom")
            warnings.filterwarnings("error", message=".*End of file reached", module="pydicom")  # what follows is lost
            yield
    finally:
        log.setLevel(level)


def read_whole(path: Path) -> Dataset:
    """The data set of a DICOM file.  Raises CaseError if it is damaged or cut off."""
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise CaseError(f"{path.name} has {path.stat().st_size:,} bytes; no file of a plan is that large, leave it out.")
        data = dcmread(path, force=True)
        if "TransferSyntaxUID" not in data.file_meta:  # a file without the prefix and header of PS3.10
            data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if data.is_implicit_VR else ExplicitVRLittleEndian
        _refuse_cut_off(path, data)
        return data
    except CaseError:
        raise
    except Exception as error:  # pydicom trips over damaged bytes in many ways
        raise CaseError(f"{path.name} is damaged; export or copy it again.") from error


def _refuse_cut_off(path: Path, data: Dataset) -> None:
    """pydicom takes the items of a sequence as far as the file goes, and says nothing of those that are missing."""
    for element in data.values():
        if isinstance(element, RawDataElement) and len(element.value or b"") < element.length < _UNDEFINED_LENGTH:
            raise CaseError(f"{path.name} is cut off: an element of {element.length:,} bytes ends too early. Export or copy it again.")


def text(data: Dataset, keyword: str) -> str:
    """The value of an element as text; "" if it is absent, empty or unreadable."""
    try:
        value = data.get(keyword)
        return "" if value is None else str(value).strip()
    except Exception:  # an unreadable text says as much as an empty one
        return ""


def number(data: Dataset, keyword: str, where: str, default: float | None = None) -> float:
    """A finite number; `default` where the element is absent or empty.  Raises CaseError naming `where` and the element."""
    try:
        value = data.get(keyword)
        if (value is None or value == "") and default is not None:
            return default
        result = float(value)
    except Exception as error:
        raise CaseError(f"{where} has no usable {spaced(keyword)} ({_shown(data, keyword)}); export it again.") from error
    if not np.isfinite(result):
        raise CaseError(f"{where} has no usable {spaced(keyword)} ({result}); export it again.")
    return result


def numbers(data: Dataset, keyword: str, where: str, count: int | None = None) -> NDArray[np.float64]:
    """Finite numbers, `count` of them if that is given.  Raises CaseError naming `where` and the element.

    A list that pydicom has not looked at yet is read from its bytes at once: contours of a hundred thousand points would take pydicom a minute.
    """
    try:
        raw = data.get_item(keyword)
        value = getattr(raw, "value", None)
        if isinstance(value, bytes) and getattr(raw, "VR", None) in ("DS", "IS", None, "UN"):
            parts: Sequence[Any] = [] if not value.strip(b" \0") else value.strip(b" \0").split(b"\\")
        else:
            found = data.get(keyword)
            parts = [] if found is None or found == "" else [found] if isinstance(found, (int, float, str)) else list(found)
        result = np.array([float(part) for part in parts], dtype=float)
    except Exception as error:
        raise CaseError(f"{where} has no usable {spaced(keyword)} ({_shown(data, keyword)}); export it again.") from error
    if (count is not None and len(result) != count) or not np.all(np.isfinite(result)):
        wanted = f"{count} finite numbers" if count is not None else "finite numbers"
        raise CaseError(f"{where} has no usable {spaced(keyword)} ({_shown(data, keyword)}, not {wanted}); export it again.")
    return result


def items(data: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence; none if it is absent.  Raises CaseError if it cannot be read."""
    try:
        found = data.get(keyword)
        listed = list(found) if found is not None and found != b"" else []
    except Exception as error:  # pydicom trips over damaged bytes in many ways
        raise CaseError(f"The {spaced(keyword)} of a DICOM file is damaged; export it again.") from error
    if not all(isinstance(item, Dataset) for item in listed):
        raise CaseError(f"The {spaced(keyword)} of a DICOM file holds no items but other values; export it again.")
    return listed


def items_by_number(data: Dataset, sequence: str, keyword: str, words: str) -> dict[int, Dataset]:
    """The items of a sequence by their numbers, the element `keyword`; `words` say what one item is.

    Raises CaseError if one has no number or two have the same.
    """
    found: dict[int, Dataset] = {}
    for item in items(data, sequence):
        item_number = int(number(item, keyword, f"A {words}"))
        if item_number in found:
            raise CaseError(f"The number {item_number} stands for more than one {words}; export it again.")
        found[item_number] = item
    return found


def pixels(data: Dataset) -> NDArray[Any]:
    """The stored pixel values.  Raises one of the many exceptions of pydicom if they are damaged, ValueError if there are more than promised."""
    values: NDArray[Any] = np.asarray(data.pixel_array)
    if data.file_meta.TransferSyntaxUID in UNCOMPRESSED and len(data.PixelData) - values.nbytes not in (0, 1):  # 1 makes the length even
        raise ValueError(f"{len(data.PixelData)} bytes of pixels, not {values.nbytes}")
    return values


def decimal(value: float) -> str:
    """A number as a decimal string (DS, at most 16 characters), as exactly as that allows.

    >>> decimal(-1234.56789012345678)
    '-1234.5678901235'
    """
    for digits in range(15, 0, -1):
        written = f"{value:.{digits}g}"
        if len(written) <= 16:
            return written
    raise ValueError(f"{value} cannot be written in 16 characters.")


def decimals(values: Sequence[float] | NDArray[np.floating]) -> list[str]:
    return [decimal(float(value)) for value in values]


def _shown(data: Dataset, keyword: str) -> str:
    try:
        element = data.get_item(keyword)
        value = getattr(element, "value", None)
    except Exception:  # what cannot be read cannot be shown
        return "unreadable"
    if value is None or value in (b"", ""):
        return "it is missing"
    shown = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)
    return repr(shown[:60])


def spaced(keyword: str) -> str:
    """The name of an element as the standard writes it.

    >>> spaced("ImagePositionPatient")
    'Image Position Patient'
    """
    return "".join(f" {letter}" if letter.isupper() and position else letter for position, letter in enumerate(keyword))
