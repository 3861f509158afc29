"""Benchmarks by their name on the Hugging Face hub (extra `hub`).

No revision is fixed here, since none could be checked; the one that a run was given is recorded in its manifest, and
`revision` fixes it for the next. Nothing here knows what is in the rows.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

from nesycd.core.errors import DataError

_COMMIT = re.compile(r"[0-9a-f]{40}")

Rows = Iterator[tuple[str, dict[str, Any]]]
"""Objects with where each stands, for messages; as `files.read_jsonl` gives them."""


class Hub:
    """One dataset on the hub at one revision, resolved when it is first asked.

    Args:
        name: `owner/name`.
        revision: commit, tag or branch; "" = the newest.
    """

    def __init__(self, name: str, revision: str = "") -> None:
        self.name = name
        self._asked = revision
        self._commit = revision if _COMMIT.fullmatch(revision) else ""
        self._digest = hashlib.sha256()

    @property
    def revision(self) -> str:
        """`owner/name@commit`; a hash of the rows read so far where only a copy without its commit was at hand."""
        return f"{self.name}@{self._commit}" if self._commit else f"rows-{self._digest.hexdigest()[:16]}"

    def rows(self, part: str, split: str) -> Rows:
        """The rows of a split of one part (the hub's "config"; "" = the dataset's only one), in order.

        Raises:
            DataError: no such dataset, part or split, or no way to reach it.
            ModuleNotFoundError: `datasets` is not installed.
        """
        import datasets

        self._commit = self._commit or _newest(self.name, self._asked)
        where = f"{self.name}{f'/{part}' if part else ''} [{split}]"
        try:
            loaded = datasets.load_dataset(
                self.name, part or None, split=split, revision=self._commit or self._asked or None
            )
        except Exception as error:
            # The library raises what its own parts raise: of connections, files, values and its own.
            told = next(iter(str(error).splitlines()), "") or type(error).__name__
            raise DataError(f"{where}: cannot be had from the hub: {told}") from None
        self._commit = self._commit or _commit_of(loaded)
        for index, row in enumerate(loaded):
            if not self._commit:
                self._digest.update(json.dumps(dict(row), sort_keys=True, default=str).encode())
            yield f"{where} row {index}", dict(row)


def _newest(name: str, revision: str) -> str:
    """The commit that a revision stands for now, or "" where the hub cannot be asked (a cached copy may still do)."""
    try:
        from huggingface_hub import HfApi

        return str(HfApi().dataset_info(name, revision=revision or None).sha or "")
    except Exception:
        return ""


def _commit_of(loaded: Any) -> str:
    """The commit in the addresses that a dataset was made from (`hf://datasets/owner/name@commit/file`)."""
    sums = getattr(getattr(loaded, "info", None), "download_checksums", None) or {}
    found = {match[1] for address in sums for match in [re.search(r"@([0-9a-f]{40})/", str(address))] if match}
    return found.pop() if len(found) == 1 else ""
