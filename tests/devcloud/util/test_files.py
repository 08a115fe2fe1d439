"""Files and folders that are written completely or not at all."""

import contextlib
from pathlib import Path

from devcloud.util.files import made_whole, replace_text


def test_a_folder_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "parts" / "pulumi"
    with contextlib.suppress(KeyboardInterrupt), made_whole(target) as draft:
        (draft / "half").write_text("made")
        raise KeyboardInterrupt
    assert list(target.parent.iterdir()) == []
    with made_whole(target) as draft:
        (draft / "whole").write_text("made")
        assert not target.exists()
    assert (target / "whole").read_text() == "made"


def test_what_a_killed_run_left_half_made_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / ".pulumi.abc123").mkdir()
    with made_whole(tmp_path / "pulumi"):
        pass
    assert [entry.name for entry in tmp_path.iterdir()] == ["pulumi"]


def test_a_file_is_replaced_and_has_the_mode_that_was_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "secrets.json"
    file.write_text("old")
    replace_text(file, "new", 0o600)
    assert file.read_text() == "new"
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]
