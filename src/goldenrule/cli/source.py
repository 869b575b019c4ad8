"""The images that a command is about, and the options that say how they are found and labelled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from goldenrule.foundation.errors import OptionError

if TYPE_CHECKING:
    from goldenrule.images.table import ImageTable

Csv = Annotated[Path | None, typer.Option(help="The labels: a CSV file with a line per image.", show_default=False)]
Id = Annotated[str | None, typer.Option("--id", help="Its column that names the image.", show_default=False)]
Label = Annotated[str | None, typer.Option("--label", help="Its column that names the class.", show_default=False)]
PartColumn = Annotated[
    str | None, typer.Option("--part", help="Its column that says train, valid or test.", show_default=False)
]
GroupColumn = Annotated[
    str | None, typer.Option("--group", help="Its column that says what stays together.", show_default=False)
]
TrainName = Annotated[str | None, typer.Option(help="The folder that trains, if not train.", show_default=False)]
ValidName = Annotated[str | None, typer.Option(help="The folder that validates, if not valid.", show_default=False)]
TestName = Annotated[str | None, typer.Option(help="The folder that tests, if not test.", show_default=False)]
Rename = Annotated[
    list[str] | None,
    typer.Option(help="OLD=NEW: another name for a class, or OLD= to leave it out. Repeatable.", show_default=False),
]
Classes = Annotated[Path | None, typer.Option(help="A file with such lines, OLD = NEW.", show_default=False)]
GroupBy = Annotated[str, typer.Option(help="What in a name makes images stay together: auto, none, gtsrb or a REGEX.")]


Separator = Annotated[
    str | None,
    typer.Option(
        help="What stands between several labels in a cell; '' keeps cells whole. \\[default: what the cells prove]",
        show_default=False,
    ),
]
LabelsFrom = Annotated[
    str,
    typer.Option(
        help="Which folder names the class: the class folder (auto asks where a table or sub-folders say otherwise, "
        "folder does not), or parent, the one that an image lies in."
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        help="Leave out what has this name, or path below the folder; '*_small*' is a pattern. Repeatable.",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was said about the images."""

    folder: Path
    group_by: str = "auto"
    csv: Path | None = None
    id: str | None = None
    label: str | None = None
    separator: str | None = None
    labels_from: str = "auto"
    part: str | None = None
    group: str | None = None
    fold: str | None = None  # COLUMN=VALUE
    train_name: str | None = None
    valid_name: str | None = None
    test_name: str | None = None
    rename: list[str] | None = None
    classes: Path | None = None
    exclude: list[str] | None = None

    def images(self) -> Path | ImageTable:
        """Give the folder where nothing else was said, else its images as they were asked for."""
        named = (self.train_name, self.valid_name, self.test_name)
        column, _, value = (self.fold or "").partition("=")
        if self.csv is None:
            self._check_no_columns()
        if self.csv is not None and any(named):
            raise OptionError("--csv and --train-name (--valid-name, --test-name) are two ways to label: give one.")
        if self.csv is not None and self.labels_from != "auto":
            raise OptionError(f"--csv and --labels-from {self.labels_from} are two ways to label: give one.")
        asked = any(named) or self.rename or self.classes is not None or self.labels_from != "auto" or self.exclude
        if self.csv is None and not asked:
            return self.folder
        from goldenrule.images.classes import renaming_of, with_classes
        from goldenrule.images.folds import fold_called, fold_name
        from goldenrule.images.labels import from_csv, from_source

        if self.csv is not None:
            table = from_csv(
                self.csv,
                images=self.folder,
                id=self.id,
                label=self.label,
                separator=self.separator,
                part=self.part,
                group=self.group,
                fold=column if self.fold is not None else None,
                group_by=self.group_by,
                exclude=self.exclude or (),
            )
        else:
            train, valid, test = named
            table = from_source(
                self.folder,
                train=train,
                valid=valid,
                test=test,
                group_by=self.group_by,
                labels_from=self.labels_from,  # type: ignore[arg-type]  # checked there
                exclude=self.exclude or (),
            )
        renaming = renaming_of(self.rename or (), self.classes)
        table = with_classes(table, renaming) if renaming else table
        return table if self.fold is None else fold_called(table, fold_name(value) or "")

    def table(self) -> ImageTable:
        """Return the images as they were asked for, read from their folder where nothing else was said."""
        from goldenrule.images.labels import from_source

        images = self.images()
        return from_source(images, group_by=self.group_by) if isinstance(images, Path) else images

    def _check_no_columns(self) -> None:
        """Raise `OptionError` where a column is named although there is no file that has it."""
        columns = {"--id": self.id, "--label": self.label, "--part": self.part, "--group": self.group}
        if self.separator is not None:
            raise OptionError("--separator is about the cells of a table: give --csv FILE too.")
        named = [option for option, column in (columns | {"--fold": self.fold}).items() if column is not None]
        if named:
            from goldenrule.images.label_files import labels_file

            wanted = f"{' and '.join(named)} name{'s' * (len(named) == 1)} a column of a CSV file"
            raise OptionError(f"{wanted}: give --csv {labels_file(self.folder) or 'FILE'} too.")
