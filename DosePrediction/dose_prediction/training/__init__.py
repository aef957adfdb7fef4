"""Training of ADDiff-Dose: cases prepared once and cached, losses, the loop, validation scores."""
