"""The sites that a patient can be drawn for: anatomy, target, prescription and usual beams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dose_prediction.anatomies.abdomen import draw_abdomen, liver_target
from dose_prediction.anatomies.build import Build, build_named
from dose_prediction.anatomies.canvas import GRID, Canvas
from dose_prediction.anatomies.pelvis import draw_pelvis, prostate_target
from dose_prediction.anatomies.solids import Mask, scanned
from dose_prediction.anatomies.thorax import breast_target, draw_thorax, lung_target, oesophagus_target
from dose_prediction.case import Arc, Beam, CaseError, PlanCase, Role, Structure, equispaced_beams, recognise


@dataclass(frozen=True)
class Site:
    """How a patient of the site is drawn and planned."""

    draw: Callable[[Build, np.random.Generator], Canvas]
    target: Callable[[Canvas], Mask]
    prescriptions_gy: tuple[float, ...]
    beams: tuple[Beam | Arc, ...]


def _thorax_with_breasts(build: Build, generator: np.random.Generator) -> Canvas:
    return draw_thorax(build, generator, has_breasts=True)


_FROM_THE_LEFT = tuple(map(Beam, (305.0, 320.0, 340.0, 100.0, 115.0, 130.0)))

# Prescriptions are common ones: lung 60, breast and liver 50, oesophagus 50.4, prostate 78 Gy in fractions of about 2 Gy; prostate 60 Gy in 20.
SITES: dict[str, Site] = {
    "lung": Site(draw_thorax, lung_target, (60.0,), equispaced_beams(7)),
    "oesophagus": Site(draw_thorax, oesophagus_target, (50.4,), equispaced_beams(7)),
    "breast": Site(_thorax_with_breasts, lambda canvas: breast_target(canvas, 1), (50.0,), _FROM_THE_LEFT),
    "liver": Site(draw_abdomen, liver_target, (50.0,), equispaced_beams(7)),
    "prostate": Site(draw_pelvis, prostate_target, (78.0, 60.0), equispaced_beams(9)),
}


def simulated_case(site: str, seed: int = 0, build: str = "average") -> PlanCase:
    """A drawn patient of the site; the same seed and build give the same case.  Seeds take turns in the site's prescriptions.

    Raises CaseError for a site or build that is not known.
    """
    if site not in SITES:
        raise CaseError(f"No patient can be drawn for site {site!r}; there are {', '.join(SITES)}.")
    chosen = SITES[site]
    generator = np.random.default_rng(seed)
    canvas = chosen.draw(build_named(build), generator)
    target = chosen.target(canvas)
    organs = [Structure(name, recognise(name), mask) for name, mask in canvas.masks.items() if mask.any()]
    prescription = chosen.prescriptions_gy[seed % len(chosen.prescriptions_gy)]
    planned = Structure(f"PTV_{round(100 * prescription)}", Role.target(prescription), target)
    body = Structure("External", Role.external(), canvas.body)
    hu = scanned(canvas.hu, canvas.body, GRID, generator)
    return PlanCase(f"Simulated {site}", GRID, hu, (body, planned, *organs), chosen.beams)
