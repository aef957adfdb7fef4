"""Makes the beam data of an energy from the published kernel of Nyholm et al., for `DosePrediction/dose_prediction/physics/data`.

    python Testing/references/photon_kernels.py 10 0.738 generic_photon_10mv.npz
    python Testing/references/photon_kernels.py 6 0.66 generic_photon_6mv_fff.npz --half-fluence-mm 220 --fall-off-power 1.57
    python Testing/references/photon_kernels.py 10 0.7225 generic_photon_10mv_fff.npz --half-fluence-mm 143 --fall-off-power 1.41

T. Nyholm, J. Olofsson, A. Ahnesjö and M. Karlsson (Radiother. Oncol. 78, 347, 2006; corrigendum Radiother. Oncol. 98, 286, 2011) give the dose of a
photon pencil beam in water as a function of the beam quality index TPR20,10 alone:
    p(r, z) = (A(z) exp(-a(z) r) + B(z) exp(-b(z) r)) / r
The engine needs it as a sum of three products of a depth term and a lateral kernel (Bortfeld, Schlegel and Rhein, 1993).  The build-up constants and
the attenuation are sought for the smallest squared difference of the dose of circular fields up to 10 cm radius over depths up to 30 cm; for each
choice the lateral kernels follow by linear least squares, ring by ring.

The kernels were parameterised from beams with flattening filter.  Without one the depth doses at a measured TPR20,10 (0.633 for 6 MV, 0.708 for
10 MV) come out up to 4 % too low; the index given above is the one that comes closest to the depth doses of Varian's representative beam data
(TrueBeam 6FFF and 10FFF, revision 1, November 2012).  The fluence off the axis is 1 / (1 + (r / half)^power), fitted to their diagonal profiles at
10 cm depth.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

# Coefficients of the polynomials in TPR20,10, lowest power first, for lengths in cm (table 1 of the paper, as in PyDoseRT 1.5.0, MIT licence).
COEFFICIENTS = {
    "A1": (0.0128018, -0.0577391, 0.1790839, -0.2467955, 0.1328192, -0.0194684),
    "A2": (16.7815028, -279.4672663, 839.0016549, -978.4915013, 470.5317337, -69.2485573),
    "A3": (-0.0889669, -0.2587584, 0.7069203, -0.3654033, 0.0029760, -0.0003786),
    "A4": (0.0017089, -0.0169150, 0.0514650, -0.0639530, 0.0324490, -0.0049121),
    "A5": (0.1431447, -0.2134626, 0.5825546, -0.2969273, -0.0011436, 0.0002219),
    "B1": (-42.7607523, 264.3424720, -633.4540368, 731.5311577, -402.5280374, 82.4936551),
    "B2": (0.2428359, -2.5029336, 7.6128101, -9.5273454, 4.8249840, -0.7097852),
    "B3": (-0.0910420, -0.2621605, 0.7157244, -0.3664126, 0.0000930, -0.0000232),
    "B4": (0.0017284, -0.0172146, 0.0522109, -0.0643946, 0.0322177, -0.0047015),
    "B5": (-30.4609625, 354.2866078, -1073.2952368, 1315.2670101, -656.3702845, 96.5983711),
    "a1": (-0.0065985, 0.0242136, -0.0647001, 0.0265272, 0.0072169, -0.0020479),
    "a2": (-26.3337419, 435.6865552, -1359.8342546, 1724.6602381, -972.7565415, 200.3468023),
    "b1": (-80.7027159, 668.1710175, -2173.2445309, 3494.2393490, -2784.4670834, 881.2276510),
    "b2": (3.4685991, -41.2468479, 124.9729952, -153.2610078, 76.5242757, -11.2624113),
    "b3": (-39.6550497, 277.7202038, -777.0749505, 1081.5724508, -747.1056558, 204.5432666),
    "b4": (0.6514859, -4.7179961, 13.6742202, -19.7521659, 14.1873606, -4.0478845),
    "b5": (0.4695047, -3.6644336, 10.0039321, -5.1195905, -0.0007387, 0.0002360),
}
PIXEL_CM = 0.05  # the engine's fine sampling: the value at r = 0 is the mean over one of its pixels
RADII_CM = np.concatenate([[0.0], np.arange(0.05, 3.0, 0.05), np.arange(3.0, 10.01, 0.25)])
DEPTHS_CM = np.concatenate([np.arange(0.2, 4.0, 0.2), np.arange(4.0, 30.1, 0.5)])


def ring_doses(quality: float, radii_cm: np.ndarray, depths_cm: np.ndarray) -> np.ndarray:
    """Dose (radii, depths) of a circular field of unit fluence on its axis: the kernel's integral up to each radius."""
    c = {name: float(np.polynomial.polynomial.polyval(quality, values)) for name, values in COEFFICIENTS.items()}
    z = depths_cm[None, :]

    def build_up(rate: float, offset: float) -> np.ndarray:
        return 1 - np.exp(rate * np.sqrt(z**2 + offset**2))

    total_a = c["A1"] * build_up(c["A2"], c["A5"]) * np.exp(c["A3"] * z + c["A4"] * z**2)  # A / a
    total_b = c["B1"] * build_up(c["B2"], c["B5"]) * np.exp(c["B3"] * z + c["B4"] * z**2)  # B / b
    a = c["a1"] * z + c["a2"]
    b = c["b1"] * build_up(c["b2"], c["b5"]) * np.exp(c["b3"] * z + c["b4"] * z**2)
    r = radii_cm[:, None]
    return 2 * np.pi * (total_a * (1 - np.exp(-a * r)) + total_b * (1 - np.exp(-b * r)))


def depth_terms(attenuation: float, build_up: np.ndarray, depths_cm: np.ndarray) -> np.ndarray:
    """The engine's depth terms (3, depths)."""
    beta = build_up[:, None]
    return beta / (beta - attenuation) * (np.exp(-attenuation * depths_cm) - np.exp(-beta * depths_cm))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("energy_mv", type=float)
    parser.add_argument("quality", type=float, help="TPR20,10")
    parser.add_argument("output", type=Path)
    parser.add_argument("--half-fluence-mm", type=float, help="where the open beam's fluence is half of that on its axis, in the isocentre plane")
    parser.add_argument("--fall-off-power", type=float, help="how steeply it falls off; both for beams without flattening filter")
    options = parser.parse_args()
    edges = np.concatenate([[PIXEL_CM / np.sqrt(np.pi)], 0.5 * (RADII_CM[1:-1] + RADII_CM[2:]), [RADII_CM[-1]]])
    doses = ring_doses(options.quality, edges, DEPTHS_CM)

    def fitted(parameters: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
        attenuation, *others = np.exp(parameters)
        build_up = attenuation + np.array(others)
        terms = depth_terms(attenuation, build_up, DEPTHS_CM)
        shares, *_ = np.linalg.lstsq(terms.T, doses.T, rcond=None)  # (3, radii)
        return float(np.mean((shares.T @ terms - doses) ** 2 / doses[-1].max() ** 2)), attenuation, build_up, shares

    start = np.log([0.035, 2.0, 0.15, 0.02])
    bounds = np.log([(0.01, 0.1), (0.5, 10.0), (0.03, 0.5), (0.003, 0.03)])
    search = {"maxiter": 500, "xatol": 1e-3, "fatol": 1e-5}
    found = minimize(lambda x: 1e6 * fitted(x)[0], start, method="Nelder-Mead", bounds=bounds, options=search)
    error, attenuation, build_up, shares = fitted(found.x)
    inner = np.concatenate([np.zeros((3, 1)), shares[:, :-1]], axis=1)
    areas = np.pi * np.diff(np.concatenate([[0.0], edges]) ** 2)
    kernel = (shares - inner) / areas * 0.01  # per mm²
    kernel *= (
        1.0 / (shares[:, -1] @ depth_terms(attenuation, build_up, np.array([10.0]))[:, 0]) * 0.6
    )  # unit fluence gives 0.6 at 10 cm, large fields
    distances = np.array([700.0, 1000.0], np.float32)  # the kernel does not depend on the source-surface distance
    off_axis = {name: vars(options)[name] for name in ("half_fluence_mm", "fall_off_power") if vars(options)[name] is not None}
    np.savez(
        options.output,
        m_per_mm=np.float32(attenuation / 10),
        beta_per_mm=(build_up / 10).astype(np.float32),
        ssd_mm=distances,
        radius_mm=(10 * RADII_CM).astype(np.float32),
        kernel=np.broadcast_to(kernel, (2, *kernel.shape)).astype(np.float32),
        **off_axis,
    )
    print(f"attenuation {attenuation / 10:.5f} /mm, build-up {np.round(build_up / 10, 4)} /mm, misfit {100 * error**0.5:.2f} % of the maximum")


if __name__ == "__main__":
    main()
