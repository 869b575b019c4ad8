"""What images, features and predictions show beyond the scores.

Reading order: audit, duplicate_findings · dependence · label_issues, planted_errors, mistakes, review_queue ·
learning_curve, curve_points, curve_laws, data_size · nearest_images, gradcam, class_activation, explanation ·
backbone_choice.
"""

from typing import TYPE_CHECKING

from goldenrule.core.lazy import lazy

if TYPE_CHECKING:
    from goldenrule.analysis.gradcam import heatmap
    from goldenrule.analysis.label_issues import LabelIssues, find_label_issues
    from goldenrule.analysis.mistakes import most_confident_right, most_uncertain
    from goldenrule.analysis.nearest_images import nearest

__all__ = [
    "LabelIssues",
    "find_label_issues",
    "heatmap",
    "most_confident_right",
    "most_uncertain",
    "nearest",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "LabelIssues": "label_issues",
        "find_label_issues": "label_issues",
        "heatmap": "gradcam",
        "most_confident_right": "mistakes",
        "most_uncertain": "mistakes",
        "nearest": "nearest_images",
    },
)
