"""Training of ADDiff-Dose: cases prepared once and cached, losses, the loop, validation scores."""

import dose_prediction.quiet_blas  # noqa: F401
