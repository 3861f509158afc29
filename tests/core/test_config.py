"""Recipes are read whole or refused in one sentence that names the key and where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from nesycd.core.config import Recipe, known_keys, load_recipe, recipe_of
from nesycd.core.errors import ConfigError
from nesycd.core.overrides import apply_override
from nesycd.core.paths import locate_data
from nesycd.core.sections import Section

RECIPES = Path(__file__).parents[2] / "recipes"
MINIMAL = 'name = "x"\n[task]\nname = "longtail"\n'


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(MINIMAL)
    return path


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_recipe_of_the_project_is_valid(path: Path) -> None:
    assert load_recipe(path).name == path.stem


def test_there_is_a_recipe_to_start_with_and_one_for_own_data() -> None:
    assert {path.stem for path in RECIPES.glob("*.toml")} >= {"quickstart", "own-jsonl"}


def test_overrides_are_toml_values_or_bare_words(recipe: Path) -> None:
    read = load_recipe(
        recipe,
        [
            "student.model=table",
            "training.epochs=2",
            "task.settings.path=my questions.jsonl",
            'evaluation.methods=["nesycd"]',
            "task.settings.sizes.train=10",
            "teacher.require_agreement=true",
            "teacher.paths=['a.jsonl', \"b.jsonl\"]",
            "training.epochs = 0.5",
        ],
        limit=7,
    )
    assert read.student.model == "table"
    assert read.training.epochs == 0.5
    assert read.task.settings == {"path": "my questions.jsonl", "sizes": {"train": 10}}
    assert read.evaluation.methods == ("nesycd",)
    assert read.teacher.require_agreement is True
    assert read.teacher.paths == (Path("a.jsonl"), Path("b.jsonl"))
    assert read.task.limit == 7


def test_a_recipe_is_frozen_and_reads_back_from_its_json(recipe: Path) -> None:
    read = load_recipe(recipe)
    assert Recipe.model_validate_json(read.model_dump_json()) == read
    with pytest.raises(ValueError, match="frozen"):
        read.seed = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("[training]\nepoch = 3", ":5: unknown key training.epoch (did you mean training.epochs?)"),
        ("[training]\n\nmax_items = 3", ":6: unknown key training.max_items (did you mean retrieval.max_items?)"),
        ("[trainig]\nepochs = 3", ":4: unknown key trainig (did you mean training?)"),
        ("path = 'x'", ":4: unknown key task.path (a benchmark's own settings go below [task.settings]: "),
        ("[router]\nfrobnicate = 1", ":5: unknown key router.frobnicate (known: router.mode, router.signal)"),
        ("[training]\nepochs = 'three'", ':5: training.epochs: must be a valid number, but it is "three"'),
        ("[training]\nepochs = true", ":5: training.epochs: must be a valid number, but it is true"),
        ("[training]\nrank = 0", ":5: training.rank: must be greater than or equal to 1, but it is 0"),
        ("[training]\nrank = 1.5", ":5: training.rank: must be a valid integer"),
        ("[augmented.weights]\nanswr = 1", ":5: unknown key augmented.weights.answr (did you mean augmented.weights."),
        ("[collection]\nmode = 'both'", ":5: collection.mode: must be 'out_of_fold' or 'in_sample', but it is"),
        ("[evaluation]\narms = ['nesycd', 'x']", ":5: unknown key evaluation.arms"),
        ("[evaluation]\nmethods = ['nesycd', 3]", ":5: evaluation.methods.1: must be a valid string, but it is 3"),
        ("training = 3", ":4: unknown key task.training (a benchmark"),
    ],
)
def test_a_wrong_line_is_named(recipe: Path, line: str, problem: str) -> None:
    recipe.write_text(MINIMAL + line + "\n")
    with pytest.raises(ConfigError) as error:
        load_recipe(recipe)
    assert str(error.value).startswith(f"{recipe}{problem}")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name = ", "not valid TOML: Invalid value"),
        ("", "name is missing"),
        ('name = "x"', "task is missing"),
        ('name = "../x"\n[task]\nname = "longtail"\n', "1: name: String should match"),
        ('name = "x"\ntask = 3', "2: task: must be an object"),
    ],
)
def test_a_file_that_is_no_recipe_is_named(recipe: Path, text: str, problem: str) -> None:
    recipe.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_recipe(recipe)
    assert str(error.value).startswith(f"{recipe}:")
    assert problem in str(error.value)


def test_a_missing_file_or_one_of_bytes_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file"):
        load_recipe(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xff")
    with pytest.raises(ConfigError, match="not valid UTF-8"):
        load_recipe(tmp_path / "bytes.toml")


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("training.epoch=3", "unknown key training.epoch (did you mean training.epochs?)"),
        ("training.epochs=abc", 'training.epochs: must be a valid number, but it is "abc"'),
        ("training.epochs", "write it as key=value"),
        ("=3", "write it as key=value"),
        ("training.epochs=", "not a TOML value"),
        ("evaluation.methods=['nesycd'", "not a TOML value"),
        ("name.first=3", "name is a value, it has no keys below it"),
    ],
)
def test_a_wrong_override_is_named(recipe: Path, override: str, problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_recipe(recipe, [override])
    assert str(error.value).startswith(f"--set {override}: {problem}")


def test_a_limit_below_one_is_refused(recipe: Path) -> None:
    with pytest.raises(ConfigError, match=r"task\.limit: must be greater than or equal to 1"):
        load_recipe(recipe, limit=0)


def test_an_override_tells_its_key() -> None:
    data: dict[str, object] = {}
    assert apply_override(data, "a.b = [1, 2]") == "a.b"
    assert data == {"a": {"b": [1, 2]}}


def test_known_keys_are_dotted_and_every_section_is_a_section() -> None:
    assert {"seed", "augmented.weights.direct", "task.settings"} <= set(known_keys())
    for field in Recipe.model_fields.values():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            assert issubclass(field.annotation, Section)


def test_data_that_is_not_here_is_looked_for_in_the_data_folder(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(recipe.parent)
    for folder in ("data/gsm8k", "data/here", "here"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "data/r.jsonl").write_text("")
    sets = ["task.settings.path=gsm8k", "task.settings.train=here", "task.settings.valid=0.1"]
    sets += ["teacher.paths=['r.jsonl', 'none.jsonl']", "teacher.diagnoses=r.jsonl", "knowledge.files=['r.jsonl']"]
    read = load_recipe(recipe, sets)
    found = locate_data(read, tmp_path / "data")
    assert found.task.settings == {"path": str(tmp_path / "data/gsm8k"), "train": "here", "valid": 0.1}
    assert found.teacher.paths == (tmp_path / "data/r.jsonl", Path("none.jsonl"))
    assert found.teacher.diagnoses == tmp_path / "data/r.jsonl"
    assert found.knowledge.files == (tmp_path / "data/r.jsonl",)
    assert locate_data(read, None) == read


# --- recipes over recipes ---------------------------------------------------------------------------------------------


def test_a_recipe_lies_over_the_one_that_it_extends(recipe: Path) -> None:
    recipe.write_text(
        MINIMAL + '[task.settings]\npath = "a"\nseed = 1\n[evaluation]\nmethods = ["nesycd", "std_cot"]\n'
    )
    middle, top = recipe.with_name("middle.toml"), recipe.with_name("top.toml")
    middle.write_text('extends = "recipe.toml"\n[task.settings]\npath = "b"\n[evaluation]\nmethods = ["nesycd"]\n')
    top.write_text('extends = "middle.toml"\nname = "top"\n[training]\nepochs = 9\n')
    read = load_recipe(top, ["training.rank=2"])
    assert (read.name, read.task.name, read.task.settings) == ("top", "longtail", {"path": "b", "seed": 1})
    assert (read.evaluation.methods, read.training.epochs, read.training.rank) == (("nesycd",), 9, 2)


def test_a_fault_below_is_named_with_its_own_file(recipe: Path) -> None:
    top = recipe.with_name("top.toml")
    recipe.write_text(MINIMAL + "[training]\nepoch = 3\n")
    top.write_text('extends = "recipe.toml"\nname = "top"\n')
    with pytest.raises(ConfigError) as error:
        load_recipe(top)
    assert str(error.value).startswith(f"{recipe}:5: unknown key training.epoch")


@pytest.mark.parametrize("named", ['"top.toml"', '"recipe.toml"', "3"])
def test_what_cannot_be_extended_is_refused(recipe: Path, named: str) -> None:
    top = recipe.with_name("top.toml")
    recipe.write_text('extends = "top.toml"\n')
    top.write_text(f"extends = {named}\n")
    with pytest.raises(ConfigError, match=r"\.toml: extends must name the file of another recipe, beside this one"):
        load_recipe(top)
    top.write_text('extends = "none.toml"\n')
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file"):
        load_recipe(top)


# --- where a setting was written ----------------------------------------------------------------------------------------


def test_where_a_setting_was_written_is_its_files_line(recipe: Path) -> None:
    recipe.write_text(MINIMAL + "[evaluation]\nmethods = ['nesycd']\n[compare.primary]\nleft = 'nesycd'\n")
    read = load_recipe(recipe)
    assert read.where("evaluation.methods") == f"{recipe}:5: evaluation.methods"
    assert read.where("compare.primary.left") == f"{recipe}:7: compare.primary.left"
    assert read.where("compare.primary") == f"{recipe}:6: compare.primary"
    assert read.where("router.mode") == f"{recipe}: router.mode", "no line says it"
    assert locate_data(read, recipe.parent).where("evaluation.methods") == f"{recipe}:5: evaluation.methods"


def test_where_a_setting_was_written_may_be_the_recipe_below(recipe: Path) -> None:
    recipe.write_text(MINIMAL + "[evaluation]\nmethods = ['nesycd']\nbootstrap = 9\n")
    top = recipe.with_name("top.toml")
    top.write_text('extends = "recipe.toml"\n[evaluation]\nbootstrap = 10\n')
    read = load_recipe(top)
    assert read.where("evaluation.methods") == f"{recipe}:5: evaluation.methods"
    assert read.where("evaluation.bootstrap") == f"{top}:3: evaluation.bootstrap"
    assert read.where("router.mode") == f"{top}: router.mode"


def test_where_a_setting_was_written_may_be_an_override(recipe: Path) -> None:
    recipe.write_text(MINIMAL + "[evaluation]\nmethods = ['nesycd']\n")
    read = load_recipe(recipe, ["evaluation.methods=[]", "evaluation.methods=['std_cot']"], limit=3)
    assert read.where("evaluation.methods") == "--set evaluation.methods=['std_cot']: evaluation.methods"
    assert read.where("task.limit") == "--set task.limit=3: task.limit"
    assert read.where("task.name") == f"{recipe}:3: task.name"


def test_some_share_of_the_questions_must_be_trained_with_knowledge(recipe: Path) -> None:
    none = ["augmented.calls=0", "augmented.context=0", "augmented.calls_and_context=0"]
    with pytest.raises(ConfigError, match="augmented: one of calls, context and calls_and_context must be above 0"):
        load_recipe(recipe, none)
    for share in ("calls", "context", "calls_and_context"):
        assert getattr(load_recipe(recipe, [*none, f"augmented.{share}=0.5"]).augmented, share) == 0.5


def test_a_recipe_from_a_mapping_has_keys_alone() -> None:
    tables = {"name": "x", "task": {"name": "longtail"}, "evaluation": {"methods": ["nesycd"]}}
    read = recipe_of(tables, ["seed=3"])
    assert (read.where("evaluation.methods"), read.where("seed")) == ("evaluation.methods", "--set seed=3: seed")
    with pytest.raises(ConfigError, match=r"^training\.rank: must be a valid integer"):
        recipe_of({**tables, "training": {"rank": 1.5}})
    with pytest.raises(ConfigError, match=r"^unknown key training\.epoch \(did you mean training\.epochs\?\)"):
        recipe_of(tables, settings={"training": {"epoch": 1}})


def test_settings_lie_over_a_recipe_and_below_its_overrides(recipe: Path) -> None:
    recipe.write_text(MINIMAL + "[training]\nepochs = 2\nrank = 4\n[evaluation]\nmethods = ['nesycd', 'std_cot']\n")
    settings = {"training": {"epochs": 5}, "evaluation": {"methods": ["nesycd"]}, "seed": 7}
    read = load_recipe(recipe, ["seed=8"], settings=settings)
    assert (read.training.epochs, read.training.rank, read.seed) == (5, 4, 8)
    assert read.evaluation.methods == ("nesycd",), "a list takes the place of a list"
    assert settings == {"training": {"epochs": 5}, "evaluation": {"methods": ["nesycd"]}, "seed": 7}
    tables = {"name": "x", "task": {"name": "longtail"}, "training": {"epochs": 2, "rank": 4}}
    other = recipe_of(tables, settings=settings)
    assert (other.training.epochs, other.training.rank, other.seed) == (5, 4, 7)
    assert tables["training"] == {"epochs": 2, "rank": 4}, "the caller's tables stay as they are"


def test_a_setting_laid_over_is_not_looked_for_in_the_file(recipe: Path) -> None:
    recipe.write_text(MINIMAL + "[training]\nepochs = 2\nrank = 4\n[evaluation]\nmethods = ['nesycd']\n")
    read = load_recipe(recipe, settings={"evaluation": {"methods": ["x"]}, "training": {"epochs": 5}})
    assert read.where("evaluation.methods") == "evaluation.methods"
    assert read.where("evaluation.methods.0") == "evaluation.methods.0"
    assert read.where("training.epochs") == "training.epochs"
    assert read.where("training.rank") == f"{recipe}:6: training.rank"
    with pytest.raises(ConfigError, match=r"^training\.rank: must be a valid integer"):
        load_recipe(recipe, settings={"training": {"rank": 1.5}})


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_recipe_as_windows_editors_save_it_is_read(tmp_path: Path, encoding: str) -> None:
    text = 'name = "t"\nseed = 3\n[task]\nname = "jsonl"\n[task.settings]\npath = "x.jsonl"\n'
    (tmp_path / "marked.toml").write_bytes(text.replace("\n", "\r\n").encode(encoding))
    recipe = load_recipe(tmp_path / "marked.toml")
    assert (recipe.name, recipe.seed) == ("t", 3)
    assert recipe.where("task.name") == f"{tmp_path / 'marked.toml'}:4: task.name"
