"""A stack's YAML file, read as the engine reads it."""

from pathlib import Path

import pytest

from infra.lib.messages import SettingsError
from infra.settings.stack_file import project_name, read_values


def values(folder: Path, text: str) -> dict[str, str]:
    return read(folder, text)[0]


def read(folder: Path, text: str) -> tuple[dict[str, str], frozenset[str]]:
    path = folder / "Pulumi.dev.yaml"
    path.write_text(text)
    return read_values(path, "slipway")


def test_a_group_is_handed_over_as_json_and_text_as_it_is(tmp_path: Path) -> None:
    text = "config:\n  slipway:region: eu-west-1\n  slipway:worker:\n    cpu: 512\n    on: true\n"
    assert values(tmp_path, text) == {
        "slipway:region": "eu-west-1",
        "slipway:worker": '{"cpu": 512, "on": true}',
    }


def test_a_key_without_a_namespace_is_the_projects(tmp_path: Path) -> None:
    assert values(tmp_path, "config:\n  region: eu-west-1\n") == {"slipway:region": "eu-west-1"}


@pytest.mark.parametrize(
    ("written", "handed_over"),
    [
        ("yes", "yes"),
        ("off", "off"),
        ("1:30", "1:30"),
        ("2026-01-01", "2026-01-01"),
    ],
)
def test_what_only_older_yaml_takes_for_something_else_stays_text(
    tmp_path: Path, written: str, handed_over: str
) -> None:
    assert values(tmp_path, f"config:\n  slipway:x: {written}\n") == {"slipway:x": handed_over}


@pytest.mark.parametrize(
    ("written", "handed_over"),
    [("12", "12"), ("true", "true"), ("1.5", "1.5"), (".nan", "NaN"), ("", "null")],
)
def test_numbers_and_truths_are_handed_over_as_json(tmp_path: Path, written: str, handed_over: str) -> None:
    assert values(tmp_path, f"config:\n  slipway:x: {written}\n") == {"slipway:x": handed_over}


def test_encrypted_values_are_named_and_left_out(tmp_path: Path) -> None:
    text = (
        "config:\n"
        "  slipway:redisUrl: {secure: AAAB}\n"
        "  slipway:budget: {email: {secure: AAAB}, monthlyUsd: 9}\n"
        "  slipway:images: {models: [{secure: AAAB}]}\n"
    )
    found, encrypted = read(tmp_path, text)
    assert found == {"slipway:budget": '{"monthlyUsd": 9}', "slipway:images": '{"models": []}'}
    assert encrypted == {"slipway:redisUrl"}


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "config:\n", "encryptionsalt: v1:abc\n"])
def test_a_file_without_settings_has_none(tmp_path: Path, text: str) -> None:
    assert values(tmp_path, text) == {}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("config: [", "is not YAML (line 1"),
        ("config:\n  a: 1\n  a: 2\n", "is not YAML (line 2: a is given twice)"),
        ("config: !!python/object:os.system {}\n", "is not YAML (line 1"),
        ("- config\n", "has no keys"),
        ("config: all\n", 'has "all" for "config"; it must be a group of settings.'),
        ("config: [1]\n", 'has [1] for "config"'),
    ],
)
def test_a_broken_file_gets_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        values(tmp_path, text)
    (problem,) = caught.value.problems
    assert problem.startswith(f"{tmp_path}/Pulumi.dev.yaml ")
    assert sentence in problem


def test_a_missing_file_is_named_with_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"Pulumi.qa.yaml is not there: `pulumi stack init` makes one"):
        read_values(tmp_path / "Pulumi.qa.yaml", "slipway")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.dev.yaml").write_bytes(b"\xff\xff")
    with pytest.raises(SettingsError, match="cannot be read: it must be a file of UTF-8 text"):
        read_values(tmp_path / "Pulumi.dev.yaml", "slipway")


def test_a_project_has_a_name(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: slipway\nruntime: python\n")
    assert project_name(tmp_path / "Pulumi.yaml") == "slipway"
    (tmp_path / "Pulumi.yaml").write_text("runtime: python\n")
    with pytest.raises(SettingsError, match="has null for the name"):
        project_name(tmp_path / "Pulumi.yaml")
