"""Where a published benchmark's questions are, in files or on the hub, and a fingerprint of what was read of them.

Files count by their content and by their names below `path`, not by where `path` is: an edited file gives other questions, a
moved or touched one the same. Datasets of the hub count by the commit that was read.
"""

from __future__ import annotations

import csv
from collections.abc import Collection
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from nesycd.core.errors import DataError
from nesycd.core.files import file_hash, text_lines
from nesycd.core.records import content_hash
from nesycd.tasks.hub import Hub, Rows


class SourceSettings(BaseModel):
    """Where a benchmark's questions are: in `path`, or on the hub."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
    HUB: ClassVar[str] = ""
    FILES: ClassVar[str] = "the folder with the publisher's files"
    path: Path | None = None
    """The folder (or file) with the publisher's files. Give either this or `hub`."""
    hub: str = ""
    """A Hugging Face dataset, as `OWNER/NAME`, with the columns of the one that `nesycd tasks show` names."""
    revision: str = ""
    """The dataset's commit, tag or branch; not given: the newest. The commit read stands in the run's manifest."""
    valid: float = Field(default=0.1, gt=0, lt=1)
    """Share of the train side that becomes `valid`, where the publisher has no such split."""
    seed: int = 0
    """Draws splits and samples; not given: the recipe's `seed`."""

    @model_validator(mode="after")
    def _one_source(self) -> SourceSettings:
        if (self.path is None) == (not self.hub):
            raise ValueError(f"give either path ({self.FILES}) or hub (such as {self.HUB!r})")
        if self.revision and not self.hub:
            raise ValueError("revision belongs to hub, but path was given")
        return self


class FolderSettings(BaseModel):
    """Where the questions of a benchmark are that is read from its publisher's files alone."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
    path: Path
    """The folder with the publisher's files."""
    seed: int = 0
    """Draws splits and made questions; not given: the recipe's `seed`."""


class Source:
    """The files below `path`, or the datasets on the hub, that settings name; remembers what was read.

    Attributes:
        is_hub: whether the questions are on the hub.
        name: the hub's dataset or the path, for messages.
        folder: `path`; never to be asked for where `is_hub`.
    """

    def __init__(self, settings: SourceSettings | FolderSettings) -> None:
        hub = settings.hub if isinstance(settings, SourceSettings) else ""
        self.is_hub = bool(hub)
        self.name = hub or str(settings.path)
        self.folder = settings.path or Path()
        self._revision = settings.revision if isinstance(settings, SourceSettings) else ""
        self._hubs: dict[str, Hub] = {}
        self._files: dict[str, str] = {}

    def file(self, name: str = "", label: str = "") -> Path:
        """A file below `path` ("" = `path` itself), about to be read whole.

        Args:
            name: its path below `path`.
            label: what names it in questions, where that is not `name`.

        Raises:
            DataError: it is not there, or cannot be read.
        """
        # Hashed before it is read: one that is edited meanwhile counts as edited at the next run.
        self._files[label or name] = file_hash(self.folder / name)
        return self.folder / name

    def rows(self, part: str, split: str, dataset: str = "") -> Rows:
        """The rows of a split on the hub; see `Hub.rows`.

        Args:
            part: the hub's "config".
            split: the hub's split.
            dataset: what is added to the name in `hub`, where a benchmark is several datasets.
        """
        name = self.name + dataset
        return self._hubs.setdefault(name, Hub(name, self._revision)).rows(part, split)

    @property
    def fingerprint(self) -> str:
        """Of all that was read so far: `owner/name@commit` of the hub's datasets, else a hash of the files."""
        return " ".join(hub.revision for hub in self._hubs.values()) if self.is_hub else content_hash(self._files)


def table_rows(path: Path, columns: Collection[str], publisher: str, separator: str = ",") -> Rows:
    """The rows of a publisher's table (CSV or TSV with a header) as texts by column, each with its place as `file:line`.

    Args:
        path: the file.
        columns: those that it must have.
        publisher: whose file it should be, such as `CLUTRR`.
        separator: between columns.

    Raises:
        DataError: a missing column, a row of another length, or not such a table.
    """
    reader = csv.reader((line for _, line in text_lines(path)), delimiter=separator, strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        if missing := [name for name in columns if name not in header]:
            raise DataError(f"{path}:1: column {missing[0]!r} is missing; is this {publisher}'s own file?")
        for line in reader:
            where = f"{path}:{reader.line_num}"
            if line and len(line) != len(header):
                raise DataError(f"{where}: {len(line)} columns, but the first line names {len(header)}")
            if line:
                yield where, dict(zip(header, line, strict=True))
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: not a table of {publisher}: {error}") from None
