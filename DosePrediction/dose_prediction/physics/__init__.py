"""The physics prior: electron density, ray tracing, pencil-beam dose and a quick fluence plan for any list of beams."""

import dose_prediction.quiet_blas  # noqa: F401
