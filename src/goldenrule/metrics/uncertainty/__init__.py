"""Whether probabilities may be believed, and whether a difference is one.

Reading order: temperature, scaling, calibration · conformal (prediction sets) · thresholds (multi-label) ·
ood, drift · paired, power (two classifiers) · promise, consistency · caution.
"""
