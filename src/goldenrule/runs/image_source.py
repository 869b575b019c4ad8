"""Where the images of a command come from, and what says their labels: read when they are asked for."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from goldenrule.core.errors import OptionError
from goldenrule.core.option import option

if TYPE_CHECKING:
    from goldenrule.data.table import ImageTable

PANEL, OF_TABLE = "Images", "Images with a table of labels"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSource:
    """A folder or an archive of images, and how its images are found, labelled and divided."""

    folder: Path = option(
        Path(),
        "CLASS/image.jpg, or train/CLASS/image.jpg; such a .zip or .tar; or a table of paths and labels.",
        argument=True,
    )
    exclude: tuple[str, ...] = option(
        (),
        "Leave out this name, path or pattern ('*_small*'). Repeatable.",
        metavar="PATTERN",
        panel=PANEL,
    )
    group_by: str = option(
        "auto",
        "What in a name makes images stay together: auto, none, gtsrb or a REGEX.",
        metavar="HOW",
        panel=PANEL,
        rare=True,
    )
    labels_from: str = option(
        "auto",
        "Which folder names the class: the class folder (auto asks where a table or sub-folders say otherwise, "
        "folder does not), or parent, the one that an image lies in.",
        metavar="HOW",
        panel=PANEL,
        rare=True,
    )
    train_name: str | None = option(
        None, "The folder that trains, if not train.", metavar="NAME", panel=PANEL, rare=True
    )
    valid_name: str | None = option(
        None, "The folder that validates, if not valid.", metavar="NAME", panel=PANEL, rare=True
    )
    test_name: str | None = option(None, "The folder that tests, if not test.", metavar="NAME", panel=PANEL, rare=True)
    journal: Path | None = option(
        None,
        "Decisions of goldenrule review to apply: RUN/review/journal.csv.",
        metavar="FILE",
        panel=PANEL,
        rare=True,
    )
    rename: tuple[str, ...] = option(
        (),
        "OLD=NEW: another name for a class, or OLD= to leave it out. Repeatable.",
        metavar="OLD=NEW",
        panel=PANEL,
        rare=True,
    )
    rename_file: Path | None = option(
        None, "A text file of such renamings, a line OLD = NEW each.", metavar="FILE", panel=PANEL, rare=True
    )
    csv: Path | None = option(
        None,
        "The labels: a CSV file, a line per image.",
        unset="a table that names the images",
        metavar="FILE",
        panel=OF_TABLE,
    )
    id: str | None = option(
        None,
        "The table's column that names the image; of Parquet files, the one that holds it.",
        unset="the one that names the most",
        metavar="COLUMN",
        panel=OF_TABLE,
        rare=True,
    )
    label: str | None = option(
        None,
        "The table's column that names the class; of shards cls, txt or a field of their JSON.",
        unset="the only other one",
        metavar="COLUMN",
        panel=OF_TABLE,
        rare=True,
    )
    separator: str | None = option(
        None,
        "What stands between several labels in a cell; '' keeps cells whole.",
        unset="what the cells prove",
        metavar="MARK",
        panel=OF_TABLE,
        rare=True,
    )
    split: str | None = option(
        None,
        "The table's column that says train, valid or test.",
        unset="one called split or part",
        metavar="COLUMN",
        panel=OF_TABLE,
        rare=True,
    )
    group: str | None = option(
        None,
        "The table's column that says what stays together, such as patient.",
        unset="one called group",
        metavar="COLUMN",
        panel=OF_TABLE,
        rare=True,
    )
    fold_column: str | None = option(
        None,
        "fold=0: the images with 0 in the column fold validate, the others train.",
        metavar="COLUMN=VALUE",
        panel=OF_TABLE,
        rare=True,
    )

    def __post_init__(self) -> None:
        if self.fold_column is not None and "=" not in self.fold_column:
            raise OptionError(f"--fold-column {self.fold_column}: wanted COLUMN=VALUE, such as fold=0.")
        if self.table_file is None:
            self._check_no_columns()
            return
        if any(self.split_names):
            raise OptionError("--csv and --train-name (--valid-name, --test-name) are two ways to label: give one.")
        if self.labels_from != "auto":
            raise OptionError(f"--csv and --labels-from {self.labels_from} are two ways to label: give one.")

    @property
    def split_names(self) -> tuple[str | None, str | None, str | None]:
        """The folders that train, validate and test, where they are named."""
        return self.train_name, self.valid_name, self.test_name

    @property
    def table_file(self) -> Path | None:
        """The table of labels: beside the folder, or in its place, where its paths are whole or lie beside it."""
        if self.csv is not None:
            return self.csv
        return self.folder if is_table_file(self.folder) else None

    @property
    def is_folder(self) -> bool:
        """Whether nothing is asked of the images but the folder where they lie."""
        asked = (
            *self.split_names,
            self.table_file,
            self.id,
            self.label,
            self.rename_file,
            self.rename,
            self.exclude,
            self.journal,
        )
        return not any(asked) and self.labels_from == "auto"

    def images(self) -> Path | ImageTable:
        """Return the folder where nothing else is asked, else its images as they are asked for; those of an archive."""
        from goldenrule.runs.finished import check_no_run

        check_no_run(self.folder)
        return self.folder if self.is_folder and self.folder.expanduser().is_dir() else self.table()

    def table(self) -> ImageTable:
        """Return the images as they are asked for; raises `SourceError` for a folder or a table that can't be read."""
        from goldenrule.runs.decided_labels import with_journal

        table = self._found()
        return table if self.journal is None else with_journal(table, self.journal)

    def _found(self) -> ImageTable:
        from goldenrule.data.classes import renaming_of, with_classes
        from goldenrule.data.splits.folds import fold_called, fold_name
        from goldenrule.runs.finished import check_no_run

        check_no_run(self.folder)
        file = self.table_file
        table = self._of_table(file) if file is not None else self._of_folders()
        if renaming := renaming_of(list(self.rename), self.rename_file):
            table = with_classes(table, renaming)
        if self.fold_column is None:
            return table
        return fold_called(table, fold_name(self.fold_column.partition("=")[2]) or "")

    def _of_table(self, csv: Path) -> ImageTable:
        from goldenrule.data.sources.label_tables import from_csv

        return from_csv(
            csv,
            images=None if csv == self.folder else self.folder,
            id=self.id,
            label=self.label,
            separator=self.separator,
            split=self.split,
            group=self.group,
            fold=self.fold_column.partition("=")[0] if self.fold_column is not None else None,
            group_by=self.group_by,
            exclude=self.exclude,
        )

    def _of_folders(self) -> ImageTable:
        from goldenrule.data.sources.label_tables import from_source

        return from_source(
            self.folder,
            train=self.train_name,
            valid=self.valid_name,
            test=self.test_name,
            group_by=self.group_by,
            labels_from=self.labels_from,  # type: ignore[arg-type]  # checked there
            exclude=self.exclude,
            label=self.label,
            id=self.id,
        )

    def _check_no_columns(self) -> None:
        """Raise `OptionError` where a column is named although there is no table that has it."""
        from goldenrule.data.sources.shards import may_be_shards

        of_shards = {"--id": self.id, "--label": self.label}
        if any(of_shards.values()) and may_be_shards(self.folder):
            of_shards = {}
        columns = {
            **of_shards,
            "--split": self.split,
            "--group": self.group,
            "--fold-column": self.fold_column,
        }
        if self.separator is not None:
            raise OptionError("--separator is about the cells of a table: give --csv FILE too.")
        if (self.id or self.label) and (any(self.split_names) or self.labels_from != "auto"):
            raise OptionError("--label and --labels-from (or --train-name) are two ways to label: give one.")
        named = [option for option, column in columns.items() if column is not None]
        if named:
            from goldenrule.data.sources.label_files import labels_file

            wanted = f"{' and '.join(named)} name{'s' * (len(named) == 1)} a column of a CSV file"
            raise OptionError(f"{wanted}: give --csv {labels_file(self.folder) or 'FILE'} too.")


def name_of(images: Path | ImageTable) -> str:
    """Return the name that what is made of these images takes: that of their folder."""
    from goldenrule.data.containers.inside import container_name
    from goldenrule.data.table import NAMELESS

    return container_name(images.resolve()) or NAMELESS if isinstance(images, Path) else images.name


def is_table_file(path: Path) -> bool:
    """Whether a path is that of a table: a file, by its ending."""
    from goldenrule.data.sources.folders import TABLE_ENDINGS

    with contextlib.suppress(OSError, ValueError):  # what can't be looked at is told by who reads it
        return path.name.lower().endswith(TABLE_ENDINGS) and path.expanduser().is_file()
    return False
