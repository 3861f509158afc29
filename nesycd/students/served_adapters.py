"""LoRA adapters on a server (vLLM): loaded when they are asked for, checked, unloaded when nobody uses them.

A name is made of the content of adapter and base, so it never stands for two things: servers keep caches by name, and have served
what a name stood for before. Every process that uses an adapter holds its lock together with the others; who loads or unloads it
holds the lock alone, so that it is loaded once. Processes of other machines have other locks: an adapter that one of them has
loaded meanwhile is found in the server's list, and one that it unloaded is loaded again.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from nesycd.core.errors import ModelError
from nesycd.core.storage import disk_errors
from nesycd.students.canary import FARTHEST, Seen, seen_there
from nesycd.students.embedded import cache_root
from nesycd.students.origin import CONFIG, WEIGHTS
from nesycd.students.remote import RemoteStudent
from nesycd.students.remote_api import Refused, RemoteServer
from nesycd.students.rendering import Renderer

if sys.platform != "win32":
    import fcntl

PREFIX = "nesycd-"
KEPT = 8
"""Adapters that a process keeps on a server; the one that was not used for longest goes first."""
_NO_LORA = re.compile("rank|lora is not enabled|enable.lora|not support", re.IGNORECASE)
"""What a server says that loads no adapters, or none of this rank."""
_LOOK = 0.2
"""Seconds between two tries to get a lock."""
ALLOW = "start it with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True in its environment"


def adapter_name(folder: Path, base: str) -> str:
    """The name of an adapter on servers: of the content of its two files and the fingerprint of its base.

    Raises:
        ModelError: the folder has no adapter.
    """
    digest = hashlib.sha256(base.encode())
    for name in (CONFIG, WEIGHTS):
        try:
            with (folder / name).open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise ModelError(f"{folder / name}: cannot be read: {error.strerror or error}") from None
    return PREFIX + digest.hexdigest()[:24]


def rank_of(folder: Path) -> int:
    """The highest rank of an adapter's matrices; 0 where its configuration does not say."""
    with suppress(OSError, ValueError, AttributeError, TypeError):
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        return max([int(config["r"]), *map(int, (config.get("rank_pattern") or {}).values())])
    return 0


def told_of(error: Refused, folder: Path, there: str, rank: int) -> str:
    """What it means that a server does not load an adapter, and what to do."""
    said, origin = error.said, str(error).partition(": HTTP")[0]
    if "max_lora_rank" in said or "rank" in said.lower():
        return (
            f"{origin} does not load the adapter {folder}, whose rank is {rank}: {_short(said)}; start the server with "
            f"--max-lora-rank {rank} or more, or train with a lower training.rank"
        )
    if error.status in (404, 405) and "adapter" not in said.lower():
        return f"{origin} loads no adapters at run time: {ALLOW}"
    if error.status == 404:
        return (
            f"{origin} finds no adapter in {there}: does it see that folder? student.server.paths says where a server elsewhere, "
            "or in a container, sees the folders of this machine"
        )
    return f"{origin} does not load the adapter {folder}: HTTP {error.status}: {_short(said)}"


def _short(said: str) -> str:
    """The sentence within vLLM's wrapping."""
    return said.partition("error '")[2].partition("'")[0].rstrip(".") or said


def seen_as(folder: Path, paths: Mapping[str, str]) -> str:
    """A folder as the server sees it. `paths`: folder here -> the same folder there; of several the innermost counts."""
    whole = folder.absolute()
    for here, there in sorted(paths.items(), key=lambda pair: -len(Path(pair[0]).absolute().parts)):
        if whole.is_relative_to(Path(here).absolute()):
            below = whole.relative_to(Path(here).absolute()).as_posix()
            return there.rstrip("/") + ("" if below == "." else f"/{below}")
    return str(whole)


async def probed(server: RemoteServer, paths: Mapping[str, str], rank: int, folder: Path) -> str:
    """Why a server would not load adapters of a rank from below a folder, a sentence; "" where it would, as far as it says.

    It is asked to load one that has a configuration and no weights: vLLM looks at the rank first.
    """
    place = next((one for one in (folder, *folder.absolute().parents) if one.is_dir()), Path.cwd())
    name = f"{PREFIX}probe-{os.urandom(4).hex()}"
    with disk_errors(place), TemporaryDirectory(prefix=".nesycd-probe-", dir=place) as made:
        Path(made).chmod(0o755)  # the server may run as another user
        config = {"peft_type": "LORA", "r": rank, "lora_alpha": rank, "target_modules": ["q_proj"]}
        (Path(made) / CONFIG).write_text(json.dumps(config), encoding="utf-8")
        try:
            await server.load(name, there := seen_as(Path(made), paths))
        except Refused as error:
            told = told_of(error, place, there, rank)
            return told if error.status in (401, 403, 404, 405) or _NO_LORA.search(error.said) else ""
        with suppress(ModelError):
            await server.unload(name)
    return (
        f"{server.origin} says that it loaded an adapter that has no weights: it does not look at what it loads; take another "
        "version of the server"
    )


class Adapters:
    """The adapters of one student on one server; used within one event loop.

    Args:
        student: the student there; `student.model` is the base.
        renderer: makes the canary's token ids.
        base: the student's fingerprint.
        canary: gives what the student answers here with an adapter, by the adapter's name.
        paths: folder here -> the same folder as the server sees it.
    """

    def __init__(
        self,
        student: RemoteStudent,
        renderer: Renderer,
        base: str,
        canary: Callable[[Path | None, str], Seen],
        paths: Mapping[str, str],
    ) -> None:
        self._student, self._renderer, self._base, self._canary = student, renderer, base, canary
        self._paths = paths
        self._locks = cache_root() / "servers" / hashlib.sha256(student.server.origin.encode()).hexdigest()[:16]
        self._held: dict[str, IO[str] | None] = {}
        self._names: dict[tuple[Path, int, int], str] = {}
        self._loading = asyncio.Lock()
        self._plain: Seen | None = None

    async def check_base(self) -> None:
        """Compare the server's model with the student here.

        Raises:
            ModelError: it is another one.
        """
        here = self._canary(None, f"base-{self._base}")
        there = await self._seen(self._student.model)
        if (far := there.distance(here)) > FARTHEST:
            raise ModelError(
                f"{self._origin}: {self._student.model!r} answers a known text otherwise than the student here (distance "
                f"{far:.2f}, the same weights have less than {FARTHEST}): serve the same model, with weights as exact"
            )
        self._plain = there

    async def name_of(self, folder: Path) -> str:
        """The name of an adapter on the server, where it is loaded and checked now.

        Raises:
            ModelError: it is not loaded, or answers otherwise than the adapter does here.
        """
        async with self._loading:
            name = self._named(folder)
            if name in self._held:
                self._held[name] = self._held.pop(name)  # the last used stands last
                return name
            while len(self._held) >= KEPT:
                await self._release(next(iter(self._held)))
            lock = await self._lock(name)
            try:
                loaded = await self._load(name, folder)
                try:
                    await self._check(name, folder)
                except ModelError:
                    if loaded:
                        with suppress(ModelError):
                            await self._student.server.unload(name)
                    raise
            except BaseException:
                if lock is not None:
                    lock.close()
                raise
            if lock is not None:
                fcntl.flock(lock, fcntl.LOCK_SH)
            self._held[name] = lock
            return name

    def forget(self, name: str) -> None:
        """Take note that the server no longer has an adapter: it was restarted, or somebody unloaded it."""
        if (lock := self._held.pop(name, None)) is not None:
            lock.close()

    async def unload(self) -> None:
        """Unload all adapters that no other process of this machine uses."""
        for name in [*self._held]:
            with suppress(ModelError):
                await self._release(name)

    @property
    def _origin(self) -> str:
        return self._student.server.origin

    def _named(self, folder: Path) -> str:
        try:
            told = (folder / WEIGHTS).stat()
        except OSError as error:
            raise ModelError(f"{folder / WEIGHTS}: cannot be read: {error.strerror or error}") from None
        key = (folder, told.st_size, told.st_mtime_ns)
        if key not in self._names:
            self._names[key] = adapter_name(folder, self._base)
        return self._names[key]

    async def _load(self, name: str, folder: Path) -> bool:
        """Load an adapter where the server does not list it; whether it was loaded now."""
        server, there = self._student.server, seen_as(folder, self._paths)
        if await self._is_listed(name):
            return False
        try:
            await server.load(name, there)
        except Refused as error:
            if "already" in error.said and await self._is_listed(name):
                return False  # by another process, meanwhile
            raise ModelError(told_of(error, folder, there, rank_of(folder))) from None
        if not await self._is_listed(name):
            raise ModelError(
                f"{self._origin}: says that it loaded {name} ({there}), but does not list it in /v1/models"
            )
        return True

    async def _is_listed(self, name: str) -> bool:
        found = [one for one in await self._student.server.models() if one.name == name]
        if found and found[0].parent and found[0].parent != self._student.model:
            raise ModelError(
                f"{self._origin}: {name} belongs to its model {found[0].parent!r}, not to {self._student.model!r}: name that in "
                "student.server.model"
            )
        return bool(found)

    async def _check(self, name: str, folder: Path) -> None:
        """Compare what the server answers by an adapter with what the student here does, and with the server's own base."""
        here, there = self._canary(folder, name), await self._seen(name)
        assert self._plain is not None, "check_base comes first"
        base = self._canary(None, f"base-{self._base}")
        advice = "restart the server: its cache may hold answers of other weights"
        if there == self._plain and here.distance(base) > 0:
            raise ModelError(
                f"{self._origin}: answers by its model {self._student.model!r} where it is asked for {name} "
                f"({seen_as(folder, self._paths)}): "
                f"the adapter is not in use; {advice}"
            )
        if (far := there.distance(here)) > FARTHEST:
            raise ModelError(
                f"{self._origin}: {name} answers a known text otherwise than the adapter {folder} does here (distance {far:.2f}, "
                f"the same weights have less than {FARTHEST}): other weights are in use; {advice}"
            )

    async def _seen(self, model: str) -> Seen:
        return await seen_there(self._student.server, self._renderer, model, self._student.extra())

    # --- locks --------------------------------------------------------------------------------------------------------

    async def _lock(self, name: str) -> IO[str] | None:
        """The lock of an adapter, held alone, or together with others that use it; None where the system has no such locks."""
        if sys.platform == "win32":
            return None
        with disk_errors(self._locks):
            self._locks.mkdir(parents=True, exist_ok=True)
            file = (self._locks / f"{name}.lock").open("a+")
        try:
            # Whoever loads or unloads it holds the lock alone; who finds it shared goes on beside the others.
            while not (_locked(file, alone=True) or _locked(file, alone=False)):
                await asyncio.sleep(_LOOK)
        except BaseException:
            file.close()
            raise
        return file

    async def _release(self, name: str) -> None:
        lock = self._held.pop(name)
        try:
            if lock is not None and _locked(lock, alone=True):
                await self._student.server.unload(name)
        except ModelError:
            pass  # it is gone already, or the server is
        finally:
            if lock is not None:
                lock.close()


def _locked(file: IO[str], alone: bool) -> bool:
    """Whether this process has got the lock, alone or together with others."""
    try:
        fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
