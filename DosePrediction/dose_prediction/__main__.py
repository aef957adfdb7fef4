"""`python -m dose_prediction` is the `dose-prediction` command."""

import sys

from dose_prediction.command_line import main

sys.exit(main())
