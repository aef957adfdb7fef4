"""Patients drawn from solids for sites other than head and neck: chest, belly and pelvis, with a target in each.

No patient is behind them, and their plans are simulated.
"""

from dose_prediction.anatomies.sites import SITES, simulated_case

__all__ = ["SITES", "simulated_case"]
