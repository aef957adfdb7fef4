"""Beam sets as planners choose them, and as they do not: what a model must see to answer to any beams."""

from __future__ import annotations

import numpy as np

from dose_prediction.case import Arc, Beam

# Shares of the beam sets that are drawn: evenly spaced fields, fields spaced unevenly, fields with a turned couch, arcs.
SHARES = (0.3, 0.3, 0.2, 0.2)
MOSTLY_NON_COPLANAR = (0.1, 0.1, 0.6, 0.2)
FEWEST_FIELDS, MOST_FIELDS = 5, 11
LEAST_APART_DEG = 15.0
MOST_COUCH_DEG = 40.0
SHORTEST_ARC_DEG = 180.0
ONE_SIDE_DEG = 200.0


def random_beams(generator: np.random.Generator, shares: tuple[float, ...] = SHARES) -> tuple[Beam | Arc, ...]:
    """A random beam set of 5 to 11 fields, or of one or two arcs; `shares` are those of the kinds listed at `SHARES`."""
    draw = (_even_fields, _uneven_fields, _turned_couch_fields, _arcs)[int(generator.choice(len(shares), p=shares))]
    return draw(generator)


def beams_about(middle_deg: float, generator: np.random.Generator) -> tuple[Beam | Arc, ...]:
    """Fields, or an arc there and back, that come from one side: within `ONE_SIDE_DEG` about a gantry angle."""
    half = 0.5 * ONE_SIDE_DEG * generator.uniform(0.85, 1)
    first, last = (middle_deg - half) % 360, (middle_deg + half) % 360
    if generator.random() < SHARES[-1]:
        return Arc(first, last), Arc(last, first, is_clockwise=False)
    count = int(generator.integers(FEWEST_FIELDS, MOST_FIELDS + 1))
    return tuple(Beam((first + 2 * half * i / (count - 1)) % 360) for i in range(count))


def _even_fields(generator: np.random.Generator) -> tuple[Beam | Arc, ...]:
    count = int(generator.integers(FEWEST_FIELDS, MOST_FIELDS + 1))
    start = generator.uniform(0, 360)
    return tuple(Beam((start + 360 * i / count) % 360) for i in range(count))


def _uneven_fields(generator: np.random.Generator) -> tuple[Beam | Arc, ...]:
    return tuple(Beam(gantry) for gantry in _uneven_angles(generator))


def _turned_couch_fields(generator: np.random.Generator) -> tuple[Beam | Arc, ...]:
    """Uneven fields of which about a third have the couch turned, by so little that the gantry stays clear of it."""
    angles = _uneven_angles(generator)
    couch = np.where(generator.random(len(angles)) < 1 / 3, generator.uniform(-MOST_COUCH_DEG, MOST_COUCH_DEG, len(angles)), 0)
    couch[int(generator.integers(len(angles)))] = generator.uniform(-MOST_COUCH_DEG, MOST_COUCH_DEG)
    return tuple(Beam(gantry, turn) for gantry, turn in zip(angles, couch.tolist(), strict=True))


def _arcs(generator: np.random.Generator) -> tuple[Beam | Arc, ...]:
    """One arc or two; full turns half of the time."""
    count = int(generator.integers(1, 3))
    if generator.random() < 0.5:
        return tuple(Arc(181, 179) if i == 0 else Arc(179, 181, is_clockwise=False) for i in range(count))
    arcs = []
    for _ in range(count):
        start = generator.uniform(0, 360)
        arcs.append(Arc(start, (start + generator.uniform(SHORTEST_ARC_DEG, 350)) % 360))
    return tuple(arcs)


def _uneven_angles(generator: np.random.Generator) -> list[float]:
    """Gantry angles all around, no two of them closer than `LEAST_APART_DEG`."""
    count = int(generator.integers(FEWEST_FIELDS, MOST_FIELDS + 1))
    gaps = LEAST_APART_DEG + generator.dirichlet(np.full(count, 2.0)) * (360 - count * LEAST_APART_DEG)
    return ((generator.uniform(0, 360) + np.cumsum(gaps)) % 360).tolist()
