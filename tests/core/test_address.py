"""No password of a malformed address gets into a message or into a recipe, whatever the teacher."""

from __future__ import annotations

from pathlib import Path

import pytest

from nesycd.api.packing import secrets_of
from nesycd.core.address import parts_of, without_logins
from nesycd.core.config import Recipe, load_recipe
from nesycd.core.errors import ConfigError
from nesycd.core.sections import ApiSection

SECRET = "hunter2"
RECIPE = 'name = "r"\n[task]\nname = "longtail"\n[student]\nmodel = "table"\n'


@pytest.mark.parametrize("address", ["http://localhost:8000/v1", "https://h", " http://[::1]:8000/v1/ "])
def test_an_address_is_taken_as_it_is(address: str) -> None:
    assert parts_of(address).hostname in ("localhost", "h", "::1")


@pytest.mark.parametrize("url", [f"http://user:{SECRET}@[::1/v1", f"http:{SECRET}@h", f"{SECRET}", "http://[::1/v1"])
@pytest.mark.parametrize("teacher", ["expert", "api"])
def test_a_recipe_with_a_malformed_address_is_refused_in_one_line(tmp_path: Path, url: str, teacher: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text(f'{RECIPE}[teacher]\nname = "{teacher}"\n[teacher.api]\nmodel = "m"\nbase_url = "{url}"\n')
    with pytest.raises(ConfigError) as raised:
        load_recipe(path)
    assert str(raised.value).startswith(f"{path}:10: teacher.api.base_url: ")
    assert SECRET not in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "override",
    [
        f"teacher.api.base_url=http://user:{SECRET}@h/v1",
        f"teacher.api.base_url=http://h/v1?key={SECRET}",
        f'teacher.api.base_url="http://user:{SECRET}@h',
        f'teacher.api.base_url=["http://user:{SECRET}@h"]',
        f'teacher.api={{model="m", base_url="http://user:{SECRET}@h/v1"}}',
        f'teacher.api={{model="m", base_url="http://h/?{SECRET}"',
        f"teacher.api.key_env=sk-{SECRET}",
        f"student.server.base_url=http://h/v1?key={SECRET}",
        f"student.server.key_env=sk-{SECRET}",
        f"on_policy.server=http://h/v1?key={SECRET}",
        f"on_policy.key_env=sk-{SECRET}",
        f'on_policy={{model="m", server="http://h/v1?key={SECRET}"}}',
        f"http://user:{SECRET}@h/v1",
        f"teacher.name.x=http://user:{SECRET}@h/v1",
        f'student={{model="http://user:{SECRET}@h/v1"',
    ],
)
def test_an_override_is_shown_without_secrets(tmp_path: Path, override: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text(f'{RECIPE}[teacher]\nname = "expert"\n')
    with pytest.raises(ConfigError, match=r"^--set ") as raised:
        load_recipe(path, [override])
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("table, key", [("student.server", "base_url"), ("on_policy", "server")])
def test_every_servers_address_is_checked_alike(tmp_path: Path, table: str, key: str) -> None:
    path = tmp_path / "r.toml"
    for address, told in (
        (f"http://h/v1?key={SECRET}", "in key_env$"),
        ("http://h:8000", "its API is below a path, as a rule http://h:8000/v1$"),
    ):
        path.write_text(f'{RECIPE}[{table}]\nmodel = "m"\n{key} = "{address}"\n')
        with pytest.raises(ConfigError, match=rf":8: {table}.{key}: .*{told}") as raised:
            load_recipe(path)
        assert SECRET not in str(raised.value)


def test_every_named_key_is_known_to_what_looks_for_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = {"api": "teacher", "server": "student"}
    given = {section: {inner: {"key_env": f"MINE_{inner}"}} for inner, section in tables.items()}
    given["student"]["model"] = "table"  # type: ignore[assignment]
    recipe = Recipe.model_validate(
        {"name": "r", "task": {"name": "longtail"}, "on_policy": {"key_env": "MINE_judge"}, **given}
    )
    for inner in (*tables, "judge"):
        monkeypatch.setenv(f"MINE_{inner}", f"{SECRET}-{inner}-and-more")
    assert {name for name in secrets_of(recipe.key_variables) if name.startswith("MINE_")} == {
        "MINE_api",
        "MINE_server",
        "MINE_judge",
    }


def test_an_error_in_python_holds_no_secret_either() -> None:
    given = {"model": "m", "base_url": f"http://user:{SECRET}@h/v1"}
    with pytest.raises(ValueError, match="no user, password or query") as raised:
        ApiSection(**given)
    assert SECRET not in str(raised.value)
    tables = {"name": "r", "task": {"name": "longtail"}, "student": {"model": "table"}, "teacher": {"api": given}}
    with pytest.raises(ValueError, match="no user, password or query") as raised:
        Recipe.model_validate(tables)
    assert SECRET not in str(raised.value)


def test_what_is_no_secret_is_shown() -> None:
    assert without_logins("student.model=org/name@main") == "student.model=org/name@main"
