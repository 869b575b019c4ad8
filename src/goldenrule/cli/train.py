"""`goldenrule train`: a named network, trained one named way."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from goldenrule.cli.common import Device, Levels, MinPerClass, RunFolder, Sample, Threads, with_examples
from goldenrule.cli.source import (
    Asked,
    Classes,
    Csv,
    Exclude,
    GroupBy,
    GroupColumn,
    Id,
    Label,
    LabelsFrom,
    PartColumn,
    Rename,
    Separator,
    TestName,
    TrainName,
    ValidName,
)
from goldenrule.cli.summary import Model
from goldenrule.cli.views import Augment, Crop

EXAMPLES = """Examples:

  goldenrule train photos                                        transfer learning, the head solved: seconds

  goldenrule train photos -m original -t fromzero --epochs 60    goldenrule's own small network, from random weights

  goldenrule train photos -m resnet18 -t fromzero --size 96 --augment basic --stop converged:5

  goldenrule train photos -m efficientnet -t fine_tuning --epochs 10 --lr 1e-3 --stop overfit:3

  goldenrule train photos -t fine_tuning --epochs 20 --save-every 5     epoch-005 ... in RUN/epochs, to predict with

  goldenrule train photos -t transfer_learning --optimizer adam --epochs 30

  goldenrule train photos -m resnet -t fine_tuning --weights resnet50.safetensors
"""


def train(
    folder: Annotated[
        Path,
        typer.Argument(
            help="The images: CLASS/image.jpg or train/CLASS/image.jpg.", show_default=False, readable=False
        ),
    ],
    model: Model = "efficientnet",
    training: Annotated[
        str,
        typer.Option(
            "-t",
            "--type",
            help="fromzero: random weights; transfer_learning: the head alone; fine_tuning: all of a pretrained one.",
        ),
    ] = "transfer_learning",
    out: RunFolder = None,
    epochs: Annotated[
        int | None, typer.Option(help="How many, at most. \\[default: fromzero 30, else 5]", show_default=False)
    ] = None,
    optimizer: Annotated[
        str | None, typer.Option(help="One of torch.optim, such as sgd. \\[default: adamw]", show_default=False)
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option(help="The head's learning rate. \\[default: found by lr-find]", show_default=False),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Images a step looks at. \\[default: 32, fewer of few]", show_default=False)
    ] = None,
    stop: Annotated[
        list[str] | None,
        typer.Option(
            help="converged:5: validation has not improved for 5 epochs; overfit:3: over-fitting, confirmed 3 times. "
            "The best epoch is kept. Repeatable.",
            show_default=False,
        ),
    ] = None,
    save_every: Annotated[
        int | None,
        typer.Option(
            help="Keep the weights after every so many epochs too, each a classifier in RUN/epochs.",
            show_default=False,
            min=1,
        ),
    ] = None,
    head: Annotated[str, typer.Option(help="linear, concat-pool (fastai's), gap-1024 or flatten-64.")] = "linear",
    weights: Annotated[
        Path | None, typer.Option(help="The pretrained weights: .safetensors or .pth.", show_default=False)
    ] = None,
    size: Annotated[
        int | None, typer.Option(help="Input side in px. \\[default: the network's own]", show_default=False)
    ] = None,
    augment: Augment = "auto",
    crop: Crop = "random",
    levels: Levels = None,
    seed: Annotated[int, typer.Option(help="Seed of new splits, random weights and training.")] = 0,
    device: Device = "cpu",
    threads: Threads = None,
    sample: Sample = None,
    min_per_class: MinPerClass = None,
    group_by: GroupBy = "auto",
    csv: Csv = None,
    id_column: Id = None,
    label_column: Label = None,
    separator: Separator = None,
    labels_from: LabelsFrom = "auto",
    part_column: PartColumn = None,
    group_column: GroupColumn = None,
    train_name: TrainName = None,
    valid_name: ValidName = None,
    test_name: TestName = None,
    rename: Rename = None,
    classes: Classes = None,
    exclude: Exclude = None,
) -> None:
    """Train the named network the named way, whether or not that is best; judge it; write it with a report.

    The command fit chooses by itself. A killed training goes on where it stopped: it is saved after every epoch and
    every two minutes.
    """
    from goldenrule.cli.fit import show
    from goldenrule.foundation.progress import Bars
    from goldenrule.recipes.options import FitOptions
    from goldenrule.recipes.training_options import TrainingOptions, stopping

    how = TrainingOptions(
        type=training,  # type: ignore[arg-type]  # checked by TrainingOptions
        epochs=epochs,
        optimizer=optimizer,
        lr=lr,
        batch_size=batch_size,
        save_every=save_every or 0,
        **stopping(stop or []),
    )
    options = FitOptions(
        backbone=model,
        weights=weights,
        size=size,
        augment=augment,
        crop=crop,  # type: ignore[arg-type]  # checked by FitOptions
        levels=levels,
        head=head,  # type: ignore[arg-type]  # checked by FitOptions
        seed=seed,
        device=device,
        threads=threads,
        sample=sample,
        min_per_class=min_per_class,
        group_by=group_by,
        training=how,
    )
    source = Asked(
        folder=folder,
        group_by=group_by,
        csv=csv,
        id=id_column,
        label=label_column,
        separator=separator,
        labels_from=labels_from,
        part=part_column,
        group=group_column,
        train_name=train_name,
        valid_name=valid_name,
        test_name=test_name,
        rename=rename,
        classes=classes,
        exclude=exclude,
    ).images()
    if how.solved:  # no torch is imported
        from goldenrule.recipes.answer import answer

        show(answer(source, options=options, out=out, progress=Bars()))
        return
    from goldenrule.recipes.train import train as trained

    show(trained(source, options=options, out=out, progress=Bars()))


with_examples(train, EXAMPLES)
