"""The physics prior: electron density, ray tracing, pencil-beam dose and a quick fluence plan for any list of beams."""

import os

# SciPy's optimiser needs its BLAS for little more than small products, in between doses that torch works out with all processors.  The threads of
# OpenBLAS wait busily for the next product and keep torch's from the processors: on two of them a plan takes up to four times as long.  This is read
# when SciPy's BLAS is loaded, by the first module of this package that needs it; who has set the variable already knows better.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
