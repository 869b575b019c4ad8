"""Whether probabilities may be believed: calibration, prediction sets, thresholds, OOD, paired comparisons."""
