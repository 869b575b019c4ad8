"""One file for each thing that a folder of images or a finished run is asked.

Reading order: auditing · split_folder · augmentation_sheet, lr_curve, speed_test, precompute, fit_plan (before a run) ·
reopened · label_check, run_label_issues, run_learning_curve, explaining, foreign (other labelled images) ·
run_comparison · report_again, sharing, pretrained (for a hub) · image_classifier (scikit-learn's estimator);
then cleaning (labels, decided and applied), cluster (features and predictions by Ray's workers).
"""
