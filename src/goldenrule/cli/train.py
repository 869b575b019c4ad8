"""`goldenrule train`: a named network, trained one named way."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from goldenrule.cli.options import Numbers, Overwrite, RunFolder, Verbose, command, only
from goldenrule.runs.image_source import ImageSource
from goldenrule.runs.options import FitOptions
from goldenrule.runs.training_options import TrainingOptions

EXAMPLES = """Examples:

  goldenrule train photos                                        transfer learning, the linear head fitted: seconds

  goldenrule train photos -m original -t fromzero --epochs 60    goldenrule's own small network, from random weights

  goldenrule train photos -m resnet18 -t fromzero --stop converged:5

  goldenrule train photos -t fine_tuning --epochs 10 --lr 1e-3

  goldenrule train photos -t fine_tuning --epochs 20 --save-every 5     epoch-005 ... in RUN/epochs, to predict with

  goldenrule train photos -t transfer_learning --optimizer adam --epochs 30

  goldenrule train photos -m resnet -t fine_tuning --weights resnet50.safetensors
"""


@command(EXAMPLES)
def train(
    source: ImageSource,
    options: Annotated[
        FitOptions,
        only(
            *("weights", "size", "head", "augment", "crop", "levels", "sample", "min_per_class"),
            *("seed", "device", "devices", "nodes", "strategy", "precision", "threads"),
            backbone="efficientnet",
        ),
    ],
    how: TrainingOptions,
    out: RunFolder = None,
    overwrite: Overwrite = False,
    verbose: Verbose = False,
) -> Numbers:
    """Train the named network the named way, whether or not that is best; evaluate it; write it with a report."""
    from goldenrule.cli.fit import numbers, remove_before, show
    from goldenrule.core.progress import Bars
    from goldenrule.training.processes.together import together

    options = replace(options, training=how)
    with together(options) as options:
        images = source.images()
        if overwrite:
            remove_before(images, out)
        if how.linear:  # no torch is imported
            from goldenrule.pipelines.quick_fit import quick_fit

            result = quick_fit(images, options=options, out=out, progress=Bars(verbose=verbose))
        else:
            from goldenrule.pipelines.named_training import train as trained

            result = trained(images, options=options, out=out, progress=Bars(verbose=verbose))
    show(result, verbose=verbose)
    return numbers(result)
