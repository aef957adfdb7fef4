"""Structures of a plan: what each contour is and which voxels it covers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dose_prediction.case.errors import CaseError

MAX_PRESCRIPTION_GY = 100.0


class RoleKind(Enum):
    """What a structure is to the plan."""

    TARGET = "target"
    ORGAN = "organ"
    EXTERNAL = "external"
    IGNORED = "ignored"


@dataclass(frozen=True)
class Role:
    """The part that a structure plays: its kind, its TG-263 name ("" if not recognised; "PTV" for every target) and, for a target, its prescription.

    A target may lack its prescription while a case is being put together; a `PlanCase` needs it.
    """

    kind: RoleKind
    standard_name: str = ""
    prescription_gy: float | None = None

    def __post_init__(self) -> None:
        if self.prescription_gy is None:
            return
        if self.kind is not RoleKind.TARGET:
            raise CaseError(
                f"A prescription of {self.prescription_gy:g} Gy was given to a structure with the role {self.kind.value!r}; only a target has one."
            )
        if not 0 < self.prescription_gy <= MAX_PRESCRIPTION_GY:
            raise CaseError(f"Prescription is {self.prescription_gy:g} Gy; give a dose in Gy above 0 and at most {MAX_PRESCRIPTION_GY:g}.")
        object.__setattr__(self, "prescription_gy", float(self.prescription_gy))

    @classmethod
    def target(cls, prescription_gy: float | None = None) -> Role:
        return cls(RoleKind.TARGET, "PTV", prescription_gy)

    @classmethod
    def organ(cls, standard_name: str) -> Role:
        return cls(RoleKind.ORGAN, standard_name)

    @classmethod
    def external(cls) -> Role:
        return cls(RoleKind.EXTERNAL, "External")

    @classmethod
    def ignored(cls) -> Role:
        return cls(RoleKind.IGNORED)


@dataclass(frozen=True, eq=False)
class Structure:
    """A contoured volume: the user's own name for it, its role, and its voxels as a read-only mask (z, y, x)."""

    name: str
    role: Role
    mask: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise CaseError("A structure has no name; name it.")
        if np.ndim(self.mask) != 3:
            raise CaseError(f"The mask of {self.name!r} has {np.ndim(self.mask)} dimensions; give one array of slices, rows and columns.")
        object.__setattr__(self, "mask", read_only(self.mask, np.bool_))


def read_only(array: ArrayLike, dtype: type[np.generic]) -> NDArray[Any]:
    """`array` as `dtype` in C order, never to be written again; copied unless nobody could write it already."""
    given = np.asarray(array)
    owner = given.base if isinstance(given.base, np.ndarray) else given
    if given.dtype == dtype and given.flags.c_contiguous and not given.flags.writeable and not owner.flags.writeable:
        return given
    frozen = np.array(given, dtype=dtype, order="C", copy=True)
    frozen.flags.writeable = False
    return frozen
