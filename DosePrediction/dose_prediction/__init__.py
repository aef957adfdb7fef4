"""Dose prediction for radiotherapy: a fast physics prior, refined by the ADDiff-Dose diffusion model.

The core of the DosePrediction extension for 3D Slicer.  It runs without Slicer: `dose_prediction.prediction.predict` takes a
`dose_prediction.case.PlanCase` and returns the dose that a good plan would give.  Research software, not for clinical use.
"""

__version__ = "0.1.0"
