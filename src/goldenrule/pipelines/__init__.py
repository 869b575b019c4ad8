"""Whole fits, made of the floors below.

Reading order: prepare (read, split) · split_together, dependent_images · context · probe, linear_heads (--quick) ·
golden_rule (the seven steps), named_training · selection, backbone_selection, clock, planning · calibrate,
ood_detection · finalize, fit_result, result_files, contradictions, changed_files · quick_fit; then attempts,
comparison, tuning.
"""
