"""`nesycd pack` and `nesycd unpack`: a run goes on elsewhere, and an archive that anybody may have written does no harm."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import tarfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import nesycd
from nesycd.api import unpacking
from nesycd.api.packing import gathered
from nesycd.cli.main import app
from nesycd.core import archives
from nesycd.core.archives import CONTENTS, is_inside, read_contents, unpacked, write_archive
from nesycd.core.errors import RunError
from nesycd.core.storage import FolderLock
from nesycd.llm.ledger import Answer as Paid
from nesycd.llm.ledger import Budget, Call, Ledger
from nesycd.runs.run import Run
from nesycd.runs.stage import read_states

RECIPE = """
name = "r"
prompts = "own/prompts"
knowledge.files = ["own/facts.csv"]
evaluation = { methods = ["std_cot", "nesycd"], splits = ["test"], bootstrap = 50 }
[student]
model = "table"
[task]
name = "jsonl"
settings = { path = "own/questions.jsonl" }
[teacher]
name = "replay"
paths = ["own/recorded.jsonl"]
diagnose = "mine"
"""
COINS = ("alder", "birch", "cedar", "ebony", "hazel", "larch", "maple", "olive", "rowan", "sorel", "tulip", "yucca")


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def done(*words: str | Path) -> str:
    result = call(*words)
    assert result.exit_code == 0, result.output
    return re.sub(r"\s+", " ", result.output)


def inputs(place: Path) -> None:
    """A user's folder with questions, recordings, knowledge and a prompt of their own."""
    own = place / "own"
    (own / "prompts").mkdir(parents=True)
    rows = [
        {"id": f"q{number}", "question": f"How many pence is {number % 3 + 2} {coin} worth?", "answer": str(number + 3)}
        for number, coin in enumerate(COINS)
    ]
    text = {
        row["id"]: f"One {coin} is worth some pence. The answer is {row['answer']}."
        for row, coin in zip(rows, COINS, strict=True)
    }
    (own / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines = [{"question": row["question"], "rationale": text[row["id"]]} for row in rows]
    (own / "recorded.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (own / "facts.csv").write_text(
        "kind,subject,relation,object,text\nfact,alder,is worth,3 pence,An alder is worth 3 pence.\n"
    )
    packaged = Path(nesycd.__file__).parent / "prompts" / "question.txt"
    (own / "prompts" / "question.txt").write_text(packaged.read_text() + "Be brief.\n")
    (own / "prompts" / ".env").write_text("A_KEY=not-to-be-packed")
    (place / "r.toml").write_text(RECIPE)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], str]:
    """The archive of a finished run, its stage states and an answer; the old place is gone."""
    place, keep = tmp_path_factory.mktemp("old"), tmp_path_factory.mktemp("archive")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        inputs(place)
        done("run", "r.toml")
        (Path("runs/r/checkpoints") / "left.tmp").write_text("half")
        states = read_states(Path("runs/r"))
        answer = done("ask", "How many pence is 2 alder worth?", "--run", "r")
        told = done("pack", "r", keep)
        assert "packing runs/r: " in told and "inputs " in told and f"wrote {keep / 'r.tar.gz'}" in told
    shutil.rmtree(place)
    return keep / "r.tar.gz", states, answer


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "new").mkdir()
    monkeypatch.chdir(tmp_path / "new")
    return tmp_path / "new"


def test_a_run_goes_on_elsewhere_without_doing_anything_again(
    packed: tuple[Path, dict[str, Any], str], elsewhere: Path
) -> None:
    archive, states, answer = packed
    told = done("unpack", archive, "--name", "theirs")
    assert "nesycd run runs/theirs/recipe.toml --name theirs" in told
    assert done("ask", "How many pence is 2 alder worth?", "--run", "theirs") == answer
    again = done("run", "runs/theirs/recipe.toml", "--name", "theirs")
    assert "redone" not in again and read_states(elsewhere / "runs/theirs") == states
    assert "nesycd" in done("results", "theirs")
    done("check", "runs/theirs/recipe.toml")
    # From any folder, and packed once more from there.
    (elsewhere / "deep").mkdir()
    os.chdir(elsewhere / "deep")
    assert done("ask", "How many pence is 2 alder worth?", "--run", elsewhere / "runs/theirs") == answer
    done("pack", elsewhere / "runs/theirs")
    done("unpack", "theirs.tar.gz")
    assert "redone" not in done("run", "runs/theirs/recipe.toml", "--name", "theirs")
    assert read_states(Path("runs/theirs")) == states


def test_neither_locks_nor_temporary_nor_hidden_files_go_along(packed: tuple[Path, dict[str, Any], str]) -> None:
    with tarfile.open(packed[0]) as tar:
        names = tar.getnames()
        assert all(member.isreg() and not member.uname and not member.uid for member in tar)
    assert names[0] == CONTENTS and len(set(names)) == len(names)
    assert not [name for name in names if re.search(r"lock$|\.tmp$|\.env$|-wal$|-shm$", name)]
    assert {Path(name).name for name in names} >= {
        "questions.jsonl",
        "recorded.jsonl",
        "facts.csv",
        "question.txt",
        "kb.sqlite",
    }


def test_what_the_old_place_was_called_is_not_told(packed: tuple[Path, dict[str, Any], str]) -> None:
    with tarfile.open(packed[0]) as tar:
        config = tar.extractfile("config.json")
        assert config is not None
        named = json.loads(config.read())
    assert named["task"]["settings"]["path"].startswith("inputs/") and named["prompts"].startswith("inputs/")


def test_an_existing_folder_or_archive_is_not_replaced(
    packed: tuple[Path, dict[str, Any], str], elsewhere: Path
) -> None:
    done("unpack", packed[0])
    result = call("unpack", packed[0])
    assert result.exit_code == 2 and "runs/r: exists already" in result.output
    Path("r.tar.gz").write_text("mine")
    result = call("pack", "r")
    assert result.exit_code == 2 and "r.tar.gz: exists already" in result.output
    assert Path("r.tar.gz").read_text() == "mine"


def test_a_running_run_is_refused(packed: tuple[Path, dict[str, Any], str], elsewhere: Path) -> None:
    done("unpack", packed[0])
    with Run.open(Path("runs/r"), {}):
        result = call("pack", "r")
    assert result.exit_code == 2 and "in use by process" in result.output
    assert not Path("r.tar.gz").exists() and not FolderLock.is_held(Path("runs/r/lock"))


def test_a_missing_input_is_named_with_its_setting(packed: tuple[Path, dict[str, Any], str], elsewhere: Path) -> None:
    done("unpack", packed[0])
    shutil.rmtree(next(Path("runs/r/inputs").glob("*/prompts")))
    result = call("pack", "r")
    assert result.exit_code == 2 and re.search(r"prompts names \S+/prompts, which is not there", result.output)


def test_an_edited_input_is_told(packed: tuple[Path, dict[str, Any], str], elsewhere: Path) -> None:
    done("unpack", packed[0])
    [facts] = Path("runs/r/inputs").glob("*/facts.csv")
    facts.write_text(facts.read_text() + "fact,birch,is worth,4 pence,A birch is worth 4 pence.\n")
    assert "note: r: knowledge_files changed since it was made" in done("pack", "r")


def test_a_key_of_the_environment_is_never_packed(
    packed: tuple[Path, dict[str, Any], str], elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done("unpack", packed[0])
    [recorded] = Path("runs/r/inputs").glob("*/recorded.jsonl")
    recorded.write_text(
        recorded.read_text() + "\n" + json.dumps({"question": "x?", "rationale": "sk-" + "a" * 30}) + "\n"
    )
    monkeypatch.setenv("MY_API_KEY", "sk-" + "a" * 30)
    result = call("pack", "r")
    assert result.exit_code == 2 and "recorded.jsonl: contains the value of MY_API_KEY" in result.output
    assert "aaaa" not in result.output and not Path("r.tar.gz").exists()


def test_a_key_across_two_pieces_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "_PIECE", 16)
    (tmp_path / "a").write_bytes(b"." * 10 + b"secret-of-mine" + b"." * 10)
    with pytest.raises(RunError, match="contains the value of KEY"):
        write_archive(tmp_path / "o", {"a": tmp_path / "a"}, {}, secrets={"KEY": b"secret-of-mine"})
    assert not (tmp_path / "o").exists()


def test_without_checkpoints_they_are_trained_anew(packed: tuple[Path, dict[str, Any], str], elsewhere: Path) -> None:
    done("unpack", packed[0])
    done("pack", "r", "small.tar.gz", "--without-checkpoints")
    assert not [name for name in read_contents(Path("small.tar.gz")).files if name.startswith("checkpoints/")]
    done("unpack", "small.tar.gz", "--name", "small")
    before = read_states(Path("runs/small"))
    result = call("ask", "How many pence is 2 alder worth?", "--run", "small")
    assert result.exit_code == 2 and "run the recipe again to have it made anew" in result.output
    done("run", "runs/small/recipe.toml", "--name", "small")
    assert {name: one["output"] for name, one in read_states(Path("runs/small")).items()} == {
        name: one["output"] for name, one in before.items()
    }


def test_paid_answers_and_what_the_budget_cost_go_along(
    packed: tuple[Path, dict[str, Any], str], elsewhere: Path
) -> None:
    done("unpack", packed[0])
    config = json.loads(Path("runs/r/config.json").read_text())
    config["teacher"] |= {"name": "api", "diagnose": "own", "paths": []}
    config["teacher"]["api"] |= {"model": "m", "base_url": "http://localhost:1/v1", "ledger": "paid.sqlite"}
    Path("runs/r/config.json").write_text(json.dumps(config))
    uid = json.loads(Path("runs/r/stages/examples-train.jsonl").read_text().partition("\n")[0])["uid"]
    calls = {
        "mine": (f"rationale:{uid}:0", "other"),
        "ours": ("rationale:x:0", "r"),
        "theirs": ("rationale:x:1", "other"),
    }
    with Ledger.open(Path("paid.sqlite")) as ledger:
        for name, (key, budget) in calls.items():
            call_ = Call(name, key, "m", "http://localhost:1", "{}", 100)
            ledger.settle(ledger.claim(call_, Budget(budget)).call, call_, Paid(f"said {name}", usd=70))
        ledger.lose(ledger.claim(Call("lost", "k", "m", "http://localhost:1", "{}", 50), Budget("r")).call, "timeout")
    assert "2 paid answers of m go along" in done("pack", "r")
    done("unpack", "r.tar.gz", "--name", "paid")
    moved = Path(json.loads(Path("runs/paid/config.json").read_text())["teacher"]["api"]["ledger"])
    assert moved == (elsewhere / "runs/paid/inputs/ledgers/1/ledger.sqlite")
    with Ledger.open(moved, create=False) as ledger:
        assert [getattr(ledger.answer(name), "text", None) for name in calls] == ["said mine", "said ours", None]
        full = ledger.claim(Call("new", "k", "m", "http://localhost:1", "{}", 10), Budget("r", max_usd=125)).cap
        assert "0 of 0" in full, "what was spent and may have been spent there counts here"
    with Ledger.open(Path("paid.sqlite")) as ledger, ledger.writing() as connection:
        connection.execute("UPDATE calls SET state = 'batched' WHERE hash = 'ours'")
    result = call("pack", "r", "again.tar.gz")
    assert result.exit_code == 2 and "1 calls of budget 'r' wait in a batch" in result.output


def test_a_comparison_goes_on_elsewhere(tmp_path: Path, elsewhere: Path) -> None:
    inputs(tmp_path / "old")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path / "old")
        told = done("compare", "r.toml", "--seeds", "0", "--name", "c")
        done("pack", "c", elsewhere)
    shutil.rmtree(tmp_path / "old")
    assert "nesycd compare runs/c/recipe.toml --name c" in done("unpack", "c.tar.gz")
    states = read_states(Path("runs/c/seed-0"))
    assert "primary" not in tomllib.loads(Path("runs/c/recipe.toml").read_text())["compare"]
    again = done("compare", "runs/c/recipe.toml", "--name", "c", "--table")
    assert again[again.index("c: accuracy") :] == told[told.index("c: accuracy") :] and "lacks answers" not in again
    done("compare", "runs/c/recipe.toml", "--name", "c")
    assert read_states(Path("runs/c/seed-0")) == states


# --- archives that were not written by us -------------------------------------------------------------------------------


def contents_of(files: dict[str, Any]) -> bytes:
    return json.dumps({"schema": "pack/1", "about": {"name": "r", "kind": "run"}, "files": files}).encode()


def listed(data: bytes) -> dict[str, Any]:
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def archive_of(path: Path, contents: bytes, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for info, data in ((tarfile.TarInfo(CONTENTS), contents), *members):
            if info.isreg():
                info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


GOOD = {"a": listed(b"x")}


@pytest.mark.parametrize(
    ("contents", "members", "told"),
    [
        (contents_of({"/etc/passwd": listed(b"x")}), [(member("/etc/passwd"), b"x")], "would lie outside"),
        (contents_of({"a/../../b": listed(b"x")}), [(member("a/../../b"), b"x")], "would lie outside"),
        (contents_of({"C:\\b": listed(b"x")}), [(member("C:\\b"), b"x")], "would lie outside"),
        (contents_of({"a\n": listed(b"x")}), [(member("a\n"), b"x")], "would lie outside"),
        (contents_of(GOOD), [(member("a", tarfile.SYMTYPE, "/etc/passwd"), b"")], "no plain file"),
        (contents_of(GOOD), [(member("a", tarfile.LNKTYPE, CONTENTS), b"")], "no plain file"),
        (contents_of(GOOD), [(member("a", tarfile.CHRTYPE), b"")], "no plain file"),
        (contents_of(GOOD), [(member("a", tarfile.FIFOTYPE), b"")], "no plain file"),
        (contents_of(GOOD), [(member("a", tarfile.DIRTYPE), b"")], "no plain file"),
        (contents_of(GOOD), [(member("a"), b"y")], "SHA-256"),
        (contents_of(GOOD), [(member("a"), b"xx")], "another size"),
        (contents_of(GOOD), [(member("a"), b"x"), (member("a"), b"x")], "there twice"),
        (contents_of(GOOD), [(member("b"), b"x")], "not in its contents"),
        (contents_of({**GOOD, "a/b": listed(b"x")}), [(member("a"), b"x"), (member("a/b"), b"x")], "cannot be written"),
        (contents_of(GOOD), [], "is missing"),
        (contents_of({"a": {"size": -1, "sha256": "0" * 64}}), [], "not readable"),
        (contents_of({"a": {"size": 10**18, "sha256": "0" * 64}}), [], "are free there"),
        (b'{"schema": "pack/9"}', [], "schema is 'pack/9'"),
        (b"[" * 10**5, [], "damaged, or not written"),
        (b"\xff", [], "damaged, or not written"),
    ],
)
def test_a_harmful_archive_leaves_nothing(
    contents: bytes, members: list[tuple[tarfile.TarInfo, bytes]], told: str, tmp_path: Path
) -> None:
    path = archive_of(tmp_path / "x.tar.gz", contents, *members)
    (tmp_path / "in").mkdir()
    with pytest.raises(RunError, match=told), unpacked(path, tmp_path / "in" / "r"):
        raise AssertionError("it was unpacked")
    assert [*(tmp_path / "in").iterdir()] == []


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


@pytest.mark.parametrize("change", [lambda b: b[: len(b) // 2], flipped, lambda b: b"no archive", lambda b: b""])
def test_a_damaged_archive_is_told_in_one_sentence(
    change: Callable[[bytes], bytes], packed: tuple[Path, dict[str, Any], str], elsewhere: Path
) -> None:
    Path("x.tar.gz").write_bytes(change(packed[0].read_bytes()))
    result = call("unpack", "x.tar.gz")
    assert result.exit_code == 2 and result.output.count("error: x.tar.gz: ") == 1, result.output
    assert not Path("runs/r").exists() and not [*Path("runs").glob("*")]


def test_headers_that_unpack_to_gigabytes_are_not_read(tmp_path: Path) -> None:
    head = tarfile.TarInfo("././@LongLink")
    head.type, head.size = tarfile.GNUTYPE_LONGNAME, 1 << 33
    path = tmp_path / "x.tar.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(head.tobuf(tarfile.GNU_FORMAT))
        for _ in range(64):
            file.write(b"\0" * (1 << 20))
    with pytest.raises(RunError, match="more is in it than its contents say"):
        read_contents(path)


def test_a_config_that_names_files_outside_the_archive_is_refused(
    packed: tuple[Path, dict[str, Any], str], elsewhere: Path
) -> None:
    done("unpack", packed[0])
    with gathered(Path("runs/r")) as found:
        config = json.loads(found.files["config.json"].read_text())
        config["prompts"] = "/etc"
        found.files["config.json"].write_text(json.dumps(config))
        write_archive(Path("x.tar.gz"), found.files, found.about)
    with pytest.raises(RunError, match="prompts names /etc, which is not in the archive"):
        unpacking.unpack(Path("x.tar.gz"), Path("other"))
    assert not [*Path("other").iterdir()]


@pytest.mark.parametrize(
    "name", ["", "a//b", "./a", "..", "a/..", "/a", "a\\b", "c:/a", "a\x1b", "x" * 256, "a/\ud800"]
)
def test_names_outside_a_folder(name: str) -> None:
    assert not is_inside(name)


def test_names_inside_a_folder() -> None:
    assert all(map(is_inside, ("a", "a/b.json", "Zürich/ä b", "..a/b..")))
