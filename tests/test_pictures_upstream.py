"""What the pinned sd-scripts makes of odd images: its own `load_image` on the files that preflight warns of.

Skips without LAUNCHER_REAL_ENVS (the folder whose <trainer>/<n>/venv are environments) and LAUNCHER_SD_SCRIPTS.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest
from PIL import Image

PROBE = """
import json, os, sys
sys.path.insert(0, sys.argv[1]); os.chdir(sys.argv[1])
from library.train_util import load_image
answers = {}
for path in sys.argv[2:]:
    try:
        found = load_image(path)
        answers[os.path.basename(path)] = [list(found.shape), found[2, 2].tolist(), float(found.mean())]
    except Exception as error:
        answers[os.path.basename(path)] = type(error).__name__
print("\\n" + json.dumps(answers))
"""

pytestmark = pytest.mark.slow


def loaded(folder):
    envs, code = (os.environ.get(name, "") for name in ("LAUNCHER_REAL_ENVS", "LAUNCHER_SD_SCRIPTS"))
    pythons = sorted(Path(envs or "nowhere").glob("sd-scripts/*/venv/bin/python"))
    if not (pythons and code):
        pytest.skip(
            "no environment or checkout of sd-scripts: set LAUNCHER_REAL_ENVS and LAUNCHER_SD_SCRIPTS"
        )
    command = [str(pythons[-1]), "-c", PROBE, code, *map(str, sorted(folder.iterdir()))]
    environ = {**os.environ, "PYTHONUTF8": "1", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", env=environ, timeout=300, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_what_the_trainer_sees(tmp_path):
    tags = Image.Exif()
    tags[0x0112] = 6
    Image.new("RGB", (60, 40), "red").save(tmp_path / "lying.jpg", exif=tags)
    Image.new("RGBA", (8, 8), (0, 200, 0, 0)).save(tmp_path / "hidden.png")
    Image.new("I;16", (8, 8), 300).save(tmp_path / "grey16.png")  # of 65535: nearly black
    Image.new("RGB", (8, 8), "blue").save(
        tmp_path / "moving.gif", save_all=True, append_images=[Image.new("RGB", (8, 8), "red")]
    )
    Image.new("RGB", (8, 8), "blue").save(tmp_path / "misnamed.png", format="WEBP", lossless=True)
    (tmp_path / "huge.png").write_bytes(
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x75\x30\0\0\x75\x30\x01\0\0\0\0\xe6\xdb\x52\xbd"
    )
    answers = loaded(tmp_path)
    assert answers["lying.jpg"][0] == [40, 60, 3]  # not turned
    assert answers["hidden.png"][1] == [0, 200, 0]  # the colour under transparent pixels
    assert answers["grey16.png"][2] == 255  # white
    assert answers["moving.gif"][1] == [0, 0, 255]  # the first picture
    assert answers["misnamed.png"][1] == [0, 0, 255]  # by content
    assert isinstance(answers["huge.png"], str)  # refused
