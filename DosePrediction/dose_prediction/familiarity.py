"""How like the training cases a case is, feature by feature, so that a strange one is flagged with the reason.

The features are read off what the network is given (channels and tokens), so that they are the same in training and in use.  A number is familiar
within the range of the training cases, widened by a part of its width; a set of things is familiar if a training case had them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dose_prediction.model.condition import BEAM_ANGLES, CHANNELS, DOSE_SCALE_GY, FIRST_NUMBER, FIRST_ORGAN, ORGANS, TOKEN_KINDS

WIDENED = 0.35  # of the training cases' range, on either side
RARELY_MISSING = 0.03  # an organ that fewer of the training cases lack than this is expected to be contoured
MOST_REASONS = 4  # told of numbers out of range; more of them say nothing new
LUNG_BELOW_HU, BONE_ABOVE_HU = -300.0, 250.0


@dataclass(frozen=True)
class Features:
    """What is compared: numbers by name, and the sets of organs, prescriptions (Gy) and beam energies (MV)."""

    numbers: Mapping[str, float]
    organs: tuple[str, ...]
    prescriptions_gy: tuple[float, ...]
    energies_mv: tuple[float, ...]


@dataclass(frozen=True)
class Familiarity:
    """The features of the training cases: the range of each number, each organ's share of the cases, and every prescription and energy."""

    cases: int
    ranges: Mapping[str, Sequence[float]]
    organ_shares: Mapping[str, float]
    prescriptions_gy: Sequence[float]
    energies_mv: Sequence[float]

    def as_dict(self) -> dict[str, Any]:
        """For the model's card."""
        return asdict(self)

    @classmethod
    def of(cls, training: Iterable[Features]) -> Familiarity:
        """What `training` cases are like."""
        cases = list(training)
        names = sorted({name for case in cases for name in case.numbers})
        values = {name: [case.numbers[name] for case in cases if name in case.numbers] for name in names}
        return cls(
            len(cases),
            {name: (round(min(found), 3), round(max(found), 3)) for name, found in values.items()},
            {organ: round(sum(organ in case.organs for case in cases) / len(cases), 3) for organ in ORGANS},
            sorted({dose for case in cases for dose in case.prescriptions_gy}),
            sorted({energy for case in cases for energy in case.energies_mv}),
        )

    def doubts(self, case: Features, unseen_organs: Sequence[str] = ()) -> list[str]:
        """In sentences, why a prediction for `case` is to be doubted; `unseen_organs` are those that the network has no channel for."""
        return [*self._about_contours(case, unseen_organs), *self._about_plan(case), *self._about_numbers(case)]

    def _about_contours(self, case: Features, unseen: Sequence[str]) -> Iterator[str]:
        if unseen:
            yield f"The model does not know {', '.join(unseen)}; the physics prior spares them, the model does not look at them."
        missing = [organ for organ, share in self.organ_shares.items() if share > 1 - RARELY_MISSING and organ not in case.organs]
        if missing:
            yield f"Nearly every training case has {', '.join(missing)} contoured; contour what lies in the image, it is not spared otherwise."

    def _about_plan(self, case: Features) -> Iterator[str]:
        for doses, known, what, unit in (
            (case.prescriptions_gy, self.prescriptions_gy, "prescription", "Gy"),
            (case.energies_mv, self.energies_mv, "beam energy", "MV"),
        ):
            strange = [dose for dose in doses if not any(abs(dose - other) < 0.05 for other in known)]
            if strange:
                yield f"No training plan has a {what} of {_listed(strange)} {unit} (trained: {_listed(known)} {unit}); check the dose with care."

    def _about_numbers(self, case: Features) -> Iterator[str]:
        """The features furthest out of range, in units of the range."""
        outside: list[tuple[float, str]] = []
        for name, value in case.numbers.items():
            low, high = self.ranges.get(name, (value, value))
            beyond = max(low - value, value - high, 0.0)
            width = max(high - low, 0.02 * max(abs(low), abs(high)), 1e-3)
            if beyond > WIDENED * width:
                outside.append(
                    (beyond / width, f"Unlike any of the {self.cases} training cases: {name} {value:.4g} (trained: {low:.4g} to {high:.4g}).")
                )
        for _, sentence in sorted(outside, reverse=True)[:MOST_REASONS]:
            yield sentence


@dataclass(frozen=True)
class Experience:
    """What a model was trained on: clinical plans, and simulated ones by what they are for (a site, or other beams)."""

    clinical: Familiarity
    simulated: Mapping[str, Familiarity]

    def doubts(self, case: Features, unseen_organs: Sequence[str] = ()) -> list[str]:
        """As `Familiarity.doubts`; a case that is unlike the clinical plans but like the simulated ones of some kind is told so first."""
        told = self.clinical.doubts(case, unseen_organs)
        alike = [(kind, known) for kind, known in self.simulated.items() if told and not known.doubts(case, unseen_organs)]
        return [
            *(
                f"What the model knows of plans like this one ({kind}) rests on {known.cases} simulated plans, none clinical."
                for kind, known in alike
            ),
            *told,
        ]


def experience_from_card(card: Mapping[str, Any]) -> Experience | None:
    """What the card of a released model says of its training cases; None where it says nothing."""
    entry = card.get("familiarity")
    if not entry:
        return None
    return Experience(Familiarity(**entry), {kind: Familiarity(**known) for kind, known in card.get("simulated_familiarity", {}).items()})


def features(volumes: NDArray[np.floating], tokens: NDArray[np.float32]) -> Features:
    """The features of a case from its channels (channels, z, y, x) and its plan tokens (n, TOKEN_SIZE)."""
    spacing_xyz = 5.0 * _of_kind(tokens, "voxel")[0, FIRST_NUMBER : FIRST_NUMBER + 3].astype(float)
    beams = _of_kind(tokens, "beam")[:, BEAM_ANGLES : BEAM_ANGLES + 5]
    prescriptions = _of_kind(tokens, "prescription")[:, FIRST_NUMBER] * DOSE_SCALE_GY
    organs = {organ: volumes[FIRST_ORGAN + i] > 0.5 for i, organ in enumerate(ORGANS)}
    contoured = {organ: mask for organ, mask in organs.items() if mask.any()}
    return Features(
        _anatomy(volumes, spacing_xyz, contoured) | _beam_set(beams),
        tuple(contoured),
        tuple(sorted({round(float(dose), 1) for dose in prescriptions})),
        tuple(sorted({round(float(energy) * 10, 1) for energy in beams[:, 4]})),
    )


def _anatomy(volumes: NDArray[np.floating], spacing_xyz: NDArray[np.float64], organs: Mapping[str, NDArray[np.bool_]]) -> dict[str, float]:
    """Sizes, tissues and where things lie; positions in mm to the patient's left and back of the body's centre, and above the targets' centre."""
    body, target = volumes[CHANNELS.index("body")] > 0.5, volumes[CHANNELS.index("prescription")] > 0
    hu = volumes[0][body].astype(np.float32) * 1000.0
    litres = float(np.prod(spacing_xyz)) / 1e6
    at_targets = body[target.any(axis=(1, 2))]
    centre = np.array([_centre(body, spacing_xyz)[0], _centre(body, spacing_xyz)[1], _centre(target, spacing_xyz)[2]])
    found = {
        "voxel width (mm)": spacing_xyz[0],
        "slice spacing (mm)": spacing_xyz[2],
        "body width at the targets (mm)": _extent(at_targets, 2) * spacing_xyz[0],
        "body depth at the targets (mm)": _extent(at_targets, 1) * spacing_xyz[1],
        "share of air and lung in the body (%)": 100 * float((hu < LUNG_BELOW_HU).mean()),
        "share of bone in the body (%)": 100 * float((hu > BONE_ABOVE_HU).mean()),
        "targets together (litres)": target.sum() * litres,
        "height of the targets (mm)": _extent(target, 0) * spacing_xyz[2],
    }
    for organ, mask in organs.items():
        left, back, up = _centre(mask, spacing_xyz) - centre
        found |= {f"{organ} (cc)": 1000 * litres * mask.sum(), f"{organ}, to the left (mm)": left, f"{organ}, to the back (mm)": back}
        found[f"{organ}, above the targets (mm)"] = up
    return {name: float(value) for name, value in found.items()}


def _beam_set(beams: NDArray[np.float32]) -> dict[str, float]:
    """`beams` (n, 5) holds sine and cosine of gantry and couch angles, and energies."""
    gantry = np.sort(np.rad2deg(np.arctan2(beams[:, 0], beams[:, 1])) % 360)
    gaps = np.diff(np.append(gantry, gantry[0] + 360))
    couch = np.rad2deg(np.arctan2(beams[:, 2], beams[:, 3]))
    return {
        "number of beams": float(len(beams)),
        "largest angle between neighbouring beams (degrees)": float(gaps.max()),
        "largest turn of the couch (degrees)": float(np.abs(couch).max()),
    }


def _of_kind(tokens: NDArray[np.float32], kind: str) -> NDArray[np.float32]:
    return tokens[tokens[:, TOKEN_KINDS.index(kind)] > 0.5]


def _centre(mask: NDArray[np.bool_], spacing_xyz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centre of the voxels of `mask` (z, y, x) in mm from the first voxel, along x, y and z."""
    return np.array([float(np.average(np.arange(mask.shape[axis]), weights=mask.sum(axis=_others(axis)))) for axis in (2, 1, 0)]) * spacing_xyz


def _extent(mask: NDArray[np.bool_], axis: int) -> int:
    """Voxels from the first to the last of `mask` along `axis`."""
    covered = np.flatnonzero(mask.any(axis=_others(axis)))
    return int(covered[-1] - covered[0] + 1)


def _others(axis: int) -> tuple[int, ...]:
    return tuple(other for other in range(3) if other != axis)


def _listed(values: Iterable[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
