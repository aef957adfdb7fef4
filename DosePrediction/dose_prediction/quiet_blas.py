"""Keeps SciPy's BLAS to one thread; packages that load SciPy and plan import this before anything else.

SciPy's optimiser needs its BLAS for little more than small products, in between doses that torch works out with all processors.  The threads of
OpenBLAS wait busily for the next product and keep torch's from the processors: on two of them a plan takes up to seven times as long.  This is read
when SciPy's BLAS is loaded, which `scipy.ndimage` does as well; who has set the variable already knows better.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
