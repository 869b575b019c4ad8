"""What images, features and predictions show beyond the scores.

Reading order: audit, duplicate_findings · dependence · label_issues, planted_errors, mistakes, review_queue ·
learning_curve, curve_points, curve_laws, data_size · nearest_images, gradcam, explanation · backbone_choice.
"""
