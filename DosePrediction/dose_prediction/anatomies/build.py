"""The builds of the drawn patients.  Those held out are never trained on, so that a test meets anatomies, not seeds, that are new."""

from __future__ import annotations

from dataclasses import dataclass

from dose_prediction.case import CaseError


@dataclass(frozen=True)
class Build:
    """How much wider, deeper and taller than average everything is, and how thick the fat under the skin."""

    name: str
    width: float
    depth: float
    height: float
    fat_mm: float
    is_held_out: bool = False


BUILDS = (
    Build("average", 1.0, 1.0, 1.0, 15.0),
    Build("slim", 0.9, 0.88, 0.97, 6.0),
    Build("broad", 1.1, 1.05, 1.02, 20.0),
    Build("tall", 0.96, 0.94, 1.1, 9.0, is_held_out=True),
    Build("stout", 1.12, 1.22, 0.95, 38.0, is_held_out=True),
)


def build_named(name: str) -> Build:
    """The build of this name.

    >>> build_named("slim").fat_mm
    6.0
    """
    for build in BUILDS:
        if build.name == name:
            return build
    raise CaseError(f"No build is named {name!r}; there are {', '.join(build.name for build in BUILDS)}.")
