"""One patient as planned: CT, structures with their roles, prescriptions and beams."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dose_prediction.case.arc import Arc, static_fields
from dose_prediction.case.beam import Beam
from dose_prediction.case.body import find_body
from dose_prediction.case.errors import CaseError
from dose_prediction.case.grid import Grid
from dose_prediction.case.structure import RoleKind, Structure, read_only

# A CT in HU has air around or inside the patient, and soft tissue: at least this much between its darkest and brightest voxel.
SMALLEST_HU_SPAN = 200.0
# No CT in HU of a patient is without voxels below this.
DARKEST_VOXEL_AT_MOST_HU = -300.0
OUTSIDE_AIR_HU = -950.0


@dataclass(frozen=True, eq=False)
class PlanCase:
    """Everything that decides a dose: an immutable value, checked when it is made.

    `ct_hu` is float32 (z, y, x) on `grid`; so is the mask of every structure.  `isocentre_mm` is a point in LPS mm; left out, it is the centroid of
    the targets.  Raises `CaseError` naming the value at fault and the remedy.
    """

    name: str
    grid: Grid
    ct_hu: NDArray[np.float32]
    structures: tuple[Structure, ...]
    beams: tuple[Beam | Arc, ...]
    isocentre_mm: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "structures", tuple(self.structures))
        object.__setattr__(self, "beams", tuple(self.beams))
        object.__setattr__(self, "ct_hu", _checked_ct(self.ct_hu, self.grid))
        if self.isocentre_mm is not None:
            object.__setattr__(self, "isocentre_mm", _checked_isocentre(self.isocentre_mm, self.grid))
        self._check_structures()
        if not self.beams:
            raise CaseError("The case has no beam; give at least one, for example 0,40,...,320.")
        widths = sorted({beam.leaf_width_mm for beam in self.beams})
        if len(widths) > 1:
            raise CaseError(f"The beams have leaves of {' and '.join(f'{width:g}' for width in widths)} mm; a machine has one, so give all the same.")

    @cached_property
    def targets(self) -> tuple[Structure, ...]:
        """The targets, highest prescription first."""
        found = [structure for structure in self.structures if structure.role.kind is RoleKind.TARGET]
        return tuple(sorted(found, key=lambda target: -(target.role.prescription_gy or 0.0)))

    @cached_property
    def organs(self) -> tuple[Structure, ...]:
        return tuple(structure for structure in self.structures if structure.role.kind is RoleKind.ORGAN)

    @cached_property
    def external(self) -> Structure | None:
        """The contour of the body, the largest if there are several (a "BODY" and a "Skin")."""
        found = [structure for structure in self.structures if structure.role.kind is RoleKind.EXTERNAL]
        return max(found, key=lambda structure: int(np.count_nonzero(structure.mask)), default=None)

    @cached_property
    def body(self) -> NDArray[np.bool_]:
        """Voxels inside the patient: the external contour where there is one, else found on the CT."""
        if self.external is not None:
            return self.external.mask
        return _frozen_mask(find_body(self.ct_hu, self.grid))

    @cached_property
    def fields(self) -> tuple[Beam, ...]:
        """The static beams that the dose is computed from: the beams, and those that stand for the arcs."""
        return static_fields(self.beams)

    @property
    def technique(self) -> Literal["IMRT", "VMAT"]:
        """VMAT as soon as there is an arc."""
        return "VMAT" if any(isinstance(beam, Arc) for beam in self.beams) else "IMRT"

    @cached_property
    def isocentre(self) -> tuple[float, float, float]:
        """LPS point in mm: as given, or the centroid of all targets together."""
        if self.isocentre_mm is not None:
            return self.isocentre_mm
        voxels = np.argwhere(np.logical_or.reduce([target.mask for target in self.targets]))
        x, y, z = self.grid.world_from_index(voxels.mean(axis=0))
        return float(x), float(y), float(z)

    @cached_property
    def patient_digest(self) -> str:
        """SHA-256 (hex) of CT, grid and roles with their masks; not of names, nor of the order of structures."""
        # To 1e-5 mm, because files give back origin, spacing and direction with rounding errors.
        affine = np.round(self.grid.index_to_world_matrix, 5) + 0.0  # no -0
        total = hashlib.sha256(repr((self.grid.shape, affine.tolist())).encode())
        for plane in self.ct_hu:
            total.update((plane + np.float32(0)).data)  # no -0, which files of whole numbers cannot hold
        for part in sorted(_structure_digest(structure) for structure in self.structures if structure.role.kind is not RoleKind.IGNORED):
            total.update(part)
        return total.hexdigest()

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of what decides the dose: the patient, the beams and the isocentre."""
        beams = [replace(beam, name="") for beam in self.beams]
        plan = (self.patient_digest, beams, [round(value, 3) + 0.0 for value in self.isocentre])
        return hashlib.sha256(repr(plan).encode()).hexdigest()

    def with_beams(self, beams: tuple[Beam | Arc, ...]) -> PlanCase:
        """The same patient with other beams."""
        return self._same_body(replace(self, beams=beams))

    def with_isocentre(self, isocentre_mm: tuple[float, float, float] | None) -> PlanCase:
        """The same patient with another isocentre, None for the centroid of the targets."""
        return self._same_body(replace(self, isocentre_mm=isocentre_mm))

    def _same_body(self, other: PlanCase) -> PlanCase:
        """`other`, without its finding the same body again."""
        if "body" in self.__dict__:
            other.__dict__["body"] = self.body
        return other

    def _check_structures(self) -> None:
        names = [structure.name for structure in self.structures]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise CaseError(f"Two structures are named {repeated[0]!r}; rename one of them.")
        for structure in self.structures:
            if structure.mask.shape != self.grid.shape:
                raise CaseError(
                    f"The mask of {structure.name!r} has {_times(structure.mask.shape)} voxels (slices, rows, columns), "
                    f"the CT {_times(self.grid.shape)}; resample the mask to the CT's grid."
                )
            if structure.role.kind is not RoleKind.IGNORED and not structure.mask.any():
                raise CaseError(f"Structure {structure.name!r} is empty; contour it inside the CT, or give it the role 'ignored'.")
        if not self.targets:
            listed = ", ".join(names) if names else "none"
            raise CaseError(f"The case has no target (structures: {listed}); give at least one structure the role 'target' and a prescription.")
        for target in self.targets:
            self._check_target(target)

    def _check_target(self, target: Structure) -> None:
        if target.role.prescription_gy is None:
            raise CaseError(f"Target {target.name!r} has no prescription; give its dose in Gy, or give it the role 'ignored'.")
        if self.external is not None:
            outside = 1.0 - float(self.external.mask[target.mask].mean())
            if outside > 0.5:
                raise CaseError(
                    f"{outside:.0%} of target {target.name!r} lies outside the body contour {self.external.name!r}; "
                    f"correct one of them, or give {self.external.name!r} the role 'ignored'."
                )
            return
        median_hu = float(np.median(self.ct_hu[target.mask]))
        if median_hu < OUTSIDE_AIR_HU:
            raise CaseError(f"Target {target.name!r} lies in air (median {median_hu:.0f} HU); check that it belongs to this CT.")


def _checked_ct(ct_hu: NDArray[np.float32], grid: Grid) -> NDArray[np.float32]:
    given = np.asarray(ct_hu)
    if given.shape != grid.shape:
        raise CaseError(f"The CT has {_times(given.shape)} voxels, its grid {_times(grid.shape)} (slices, rows, columns); give both of one image.")
    if not (np.issubdtype(given.dtype, np.floating) or np.issubdtype(given.dtype, np.integer)):
        raise CaseError(f"The CT holds {given.dtype} values; give CT numbers in HU.")
    ct = read_only(given, np.float32)
    low, high = float(ct.min()), float(ct.max())  # NaN and infinity come through both
    if not np.isfinite(low) or not np.isfinite(high):
        raise CaseError(f"The CT has {np.count_nonzero(~np.isfinite(ct))} voxels that are not numbers (NaN or infinite); replace them by -1024 HU.")
    span = f"CT numbers span {low:g} to {high:g}"
    if high - low < SMALLEST_HU_SPAN:
        raise CaseError(f"{span}: too little for a CT in HU, where air is near -1000 and water 0; load a CT that is not rescaled.")
    if low >= 0 and high > 2000:
        raise CaseError(f"{span}: unsigned numbers, not HU; subtract 1024 (or apply the rescale intercept of its DICOM files).")
    if low > DARKEST_VOXEL_AT_MOST_HU:
        raise CaseError(f"{span}: not a CT in HU, where air is near -1000; load the CT, not an MR or a normalised image.")
    return ct


def _checked_isocentre(isocentre_mm: tuple[float, float, float], grid: Grid) -> tuple[float, float, float]:
    point = np.asarray(isocentre_mm, dtype=float)
    if point.shape != (3,) or not np.all(np.isfinite(point)):
        raise CaseError(f"Isocentre is {isocentre_mm}; give three finite numbers in mm (LPS).")
    index = grid.index_from_world(point)
    if np.any(index < -0.5) or np.any(index > np.array(grid.shape) - 0.5):
        raise CaseError(f"Isocentre ({point[0]:g}, {point[1]:g}, {point[2]:g}) mm lies outside the CT; give an LPS point inside it.")
    return float(point[0]), float(point[1]), float(point[2])


def _structure_digest(structure: Structure) -> bytes:
    role = structure.role
    part = hashlib.sha256(repr((role.kind.value, role.standard_name, role.prescription_gy)).encode())
    part.update(np.packbits(structure.mask).data)
    return part.digest()


def _frozen_mask(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    mask.flags.writeable = False
    return mask


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape)
