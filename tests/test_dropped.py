"""What is dropped on the shortcut becomes a command. Windows itself was never run here: these are the pure parts."""

import pytest

from launcher.install.dropped import words_for


@pytest.mark.parametrize(
    "name", ["train 訓練.ps1", "a.BAT", "run.sh", "kohya.json", "easy.toml", "lora.safetensors"]
)
def test_a_dropped_file_is_imported(tmp_path, name):
    path = tmp_path / name
    path.touch()
    assert words_for([str(path)]) == ["import", str(path)]
    assert words_for([str(path), str(path)]) == ["import", str(path), str(path)]


def test_a_dropped_folder_is_checked(tmp_path):
    assert words_for([str(tmp_path)]) == ["check", str(tmp_path)]


def test_typed_words_stay_as_they_are(tmp_path, monkeypatch):
    script, picture = tmp_path / "train.ps1", tmp_path / "a.png"
    script.touch()
    picture.touch()
    (tmp_path / "train").mkdir()  # a folder called like a command
    monkeypatch.chdir(tmp_path)
    for words in (
        [], ["train"], ["train.ps1"], ["import", str(script)], ["check", str(tmp_path)], [str(tmp_path / "none.ps1")],
        [str(picture)], ["--version"], [str(script), "--yes"], [str(tmp_path), str(tmp_path)],
    ):  # fmt: skip
        assert words_for(words) == words
