"""The report: complete without network or script, safe with hostile values, right about a chain of runs."""

import base64
import hashlib
import json
import math
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from launcher.errors import RunError
from launcher.events import Status
from launcher.files import read_json, write_json
from launcher.paths import RunPaths
from launcher.report import content as content_module
from launcher.report import words, write_report
from launcher.report.images import inside, load_picture, spread
from launcher.report.scales import UNITS, ceiling, scale, ticks
from tests.fake_runs import PROMPTS, Script, write_chain, write_run

SCRIPT = Script(steps=120, sample_every=40, save_every=60)
HOSTILE = """<script>alert(1)</script>"'`{{7*7}}</title><img src=x onerror=alert(2)>"""
CHROMIUM_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
calm = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


class Page(HTMLParser):
    """The page as a list of tags and a text, by a parser that is not ours."""

    def __init__(self, html):
        super().__init__()
        self.tags = []
        self.words = []
        self.scripts = []
        self._open = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self._open = tag
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self._open == "script":
            self.scripts.append(data)
        elif self._open != "style":
            self.words.append(data)

    def handle_endtag(self, _tag):
        self._open = ""

    def all(self, tag, kind=None):
        return [
            attrs
            for name, attrs in self.tags
            if name == tag and (kind is None or kind in attrs.get("class", ""))
        ]

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def report(paths):
    def write(run, *chain, **kwargs):
        kwargs = {"is_alive": lambda: False, **kwargs}
        return Page(write_report(paths, run, chain, **kwargs).read_text(encoding="utf-8"))

    return write


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "20261123-1200-cyanotype", SCRIPT)


def edit(path, **changes):
    write_json(path, read_json(path) | changes)


def test_a_finished_run(run, report):
    page = report(run)
    assert run.report == run.output / "report.html"
    assert [chart["aria-label"].split(":")[0].split(" from")[0] for chart in page.all("svg", "plot")] == [
        "Average loss",
        "Learning rate",
        "Seconds per step",
        "VRAM in use",
        "GPU temperature",
    ]
    assert len(page.all("img")) == 6
    for words_ in (
        "finished",
        "style-8gb",
        "sd_xl_base_1.0.safetensors",
        "<lora:cyanotype:0.8>",
        "models/loras",
    ):
        assert words_ in page.text
    assert "A style needs no activation tag" in page.text
    assert "presets/style-8gb.toml:14" in page.text
    assert "compute capability 8.6 has bfloat16" in page.text
    assert "To go on from here" not in page.text
    assert "This is a rehearsal" in page.text


def test_no_temporary_file_stays(run, report):
    report(run)
    assert [path.name for path in run.output.iterdir() if path.suffix == ".tmp"] == []


def test_files_with_their_hashes(run, report):
    text = report(run).text
    assert "cyanotype.safetensors" in text
    assert "128 KiB" in text
    assert len(set(re.findall(r"\b[0-9a-f]{64}\b", text))) == 2


def test_a_chain_is_one_curve(tmp_path, report):
    first, last = write_chain(tmp_path / "run", replace(SCRIPT, save_every=24))
    page = report(last, first, last)
    loss = page.all("svg", "plot")[0]
    steps = [int(re.search(r"step ([\d,]+)", point[2])[1]) for point in json.loads(loss["data-points"])]
    assert steps == list(range(1, 121))  # what the first run did after its last state is not shown twice
    assert "resumed at 48" in page.text
    assert "steps 1 to 50" in page.text
    assert "steps 49 to 120" in page.text
    assert "resumed 1 time" in page.text
    assert {"runs/run-1", "runs/run"} == set(re.findall(r"runs/run(?:-1)?(?=/output)", page.text))


def test_an_ancestor_that_is_gone_is_left_out(tmp_path, report):
    first, last = write_chain(tmp_path / "run", SCRIPT)
    shutil.rmtree(first.folder)
    assert "Resumed runs" not in report(last, first).text


def test_history_finds_the_chain_and_the_dead(paths, report):
    first, last = write_chain(paths.runs / "run", replace(SCRIPT, save_every=24))
    edit(last.state_json, status="RUNNING")  # its supervisor was killed; nobody wears that pid
    run_without_end = last.events.read_text(encoding="utf-8").splitlines(keepends=True)[:-1]
    last.events.write_text("".join(run_without_end), encoding="utf-8", newline="\n")
    text = Page(write_report(paths, last).read_text(encoding="utf-8")).text
    assert "resumed at 48" in text
    assert re.search(r"cyanotype interrupted", text)
    assert first.folder.name in text


def test_a_second_resume_from_an_older_state_drops_what_was_done_again(tmp_path, report):
    """100 steps, resumed at 80, and then, that state being damaged, at 40: steps 41 to 80 are the third run's."""
    script = replace(SCRIPT, status=Status.INTERRUPTED, sample_every=1000)
    a = write_run(tmp_path / "a", replace(script, last=100))
    b = write_run(tmp_path / "b", replace(script, first=81, last=90, parent="a"))
    c = write_run(tmp_path / "c", replace(script, first=41, parent="b", status=Status.SUCCEEDED))
    page = report(c, a, b)
    points = json.loads(page.all("svg", "plot")[0]["data-points"])
    steps = [int(re.search(r"step ([\d,]+)", point[2])[1]) for point in points]
    assert steps == list(range(1, 121))


def test_samples_without_a_prompt_stay_in_their_series(run, report):
    events = run.events.read_text(encoding="utf-8")
    for prompt in PROMPTS:
        events = events.replace(prompt, "")
    run.events.write_text(events, encoding="utf-8", newline="\n")
    page = report(run)
    assert len(page.all("img")) == 6
    assert len(page.all("div", "shots")) == 2


def test_without_a_gpu_memory_is_shown(tmp_path, report):
    page = report(write_run(tmp_path / "run", replace(SCRIPT, has_gpu=False)))
    labels = [chart["aria-label"] for chart in page.all("svg", "plot")]
    assert any(label.startswith("Memory of the training") for label in labels)
    assert not any("VRAM" in label or "temperature" in label for label in labels)
    assert "RAM, no GPU" in page.text


@pytest.mark.parametrize("status", [Status.FAILED, Status.PAUSED, Status.INTERRUPTED, Status.CANCELLED])
def test_an_unfinished_run_says_how_to_go_on(tmp_path, report, status):
    run = write_run(tmp_path / "20261123-1200-cyanotype", replace(SCRIPT, status=status, last=70))
    text = report(run).text
    assert "python setup_env.py resume 20261123-1200-cyanotype" in text
    assert "The last state is of step 60" in text
    assert ("CUDA out of memory" in text) == (status is Status.FAILED)


def test_a_live_run_can_be_reported(tmp_path, report):
    run = write_run(tmp_path / "run", replace(SCRIPT, status=Status.INTERRUPTED, last=70))
    edit(run.state_json, status="RUNNING")
    assert "still training" in report(run, is_alive=lambda: True).text
    assert "interrupted" in report(run, is_alive=lambda: False).text


def test_a_run_that_did_nothing_yet(tmp_path, report):
    run = RunPaths(folder=tmp_path / "run")
    run.folder.mkdir()
    page = report(run)
    assert "not started yet" in page.text
    assert page.all("svg") == []
    assert page.all("img") == []


def test_one_step_is_enough_for_a_chart(tmp_path, report):
    run = write_run(tmp_path / "run", replace(SCRIPT, steps=1000, last=1, status=Status.PAUSED))
    page = report(run)
    assert len(page.all("svg", "plot")) == 5
    assert not re.search(r"\b(nan|inf)\b", json.dumps(page.all("path")))


def test_a_missing_run_is_a_run_error(tmp_path, paths):
    with pytest.raises(RunError):
        write_report(paths, RunPaths(folder=tmp_path / "nowhere"))


def test_an_output_that_cannot_be_written_is_a_run_error(run, paths):
    shutil.rmtree(run.output)
    run.output.write_text("in the way", encoding="utf-8")
    with pytest.raises(RunError, match="cannot be written"):
        write_report(paths, run)


def test_hostile_values_are_text(tmp_path, report):
    run = write_run(tmp_path / "run", replace(SCRIPT, name="x", warnings=(HOSTILE,)))
    edit(run.state_json, name=HOSTILE, preset=HOSTILE, trainer=HOSTILE)
    plan = read_json(run.plan)
    plan["options"] = {
        HOSTILE: {"value": HOSTILE, "source": HOSTILE},
        "list": [1],
        "deep": {"value": {"a": [HOSTILE]}},
    }
    plan["machine"] = {HOSTILE: {"value": HOSTILE, "reason": HOSTILE}}
    plan["model"] = HOSTILE
    plan["dataset"] = {"datasets": [{"subsets": [{"class_tokens": HOSTILE}]}]}
    write_json(run.plan, plan)
    events = run.events.read_text(encoding="utf-8").replace(
        "a lighthouse above the sea", json.dumps(HOSTILE)[1:-1]
    )
    run.events.write_text(events, encoding="utf-8", newline="\n")
    page = report(run)
    assert len(page.scripts) == 1
    assert "alert" not in page.scripts[0]
    assert page.text.count("<script>alert(1)</script>") >= 8
    assert "{{7*7}}" in page.text
    assert "onerror" not in {name for _, attrs in page.tags for name in attrs}


@pytest.mark.parametrize(
    "plan", [b"", b"[]", b"{", b'{"options":7,"machine":[],"dataset":"x","model":{}}', b"\xff\xfe"]
)
def test_a_damaged_plan_is_no_reason_to_fail(run, report, plan):
    run.plan.write_bytes(plan)
    page = report(run)
    assert len(page.all("svg", "plot")) == 5
    assert "Settings" not in page.text


def test_the_page_allows_only_its_own_script_and_names_nothing_outside(run, report):
    page = report(run)
    policy = next(meta["content"] for meta in page.all("meta") if "http-equiv" in meta)
    assert policy.startswith("default-src 'none'; img-src data:; ")
    digest = base64.b64encode(hashlib.sha256(page.scripts[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    for _, attrs in page.tags:
        for name in ("src", "href", "action", "data", "srcset"):
            assert (attrs.get(name) or "data:").startswith("data:")
    assert "url(" not in run.report.read_text(encoding="utf-8")


def test_values_do_not_tell_the_home_folder(run, report, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", "/home/aiko")
    monkeypatch.setenv("USERPROFILE", "/home/aiko")
    plan = read_json(run.plan)
    plan["options"] = {"sample_prompts": {"value": "/home/aiko/prompts.txt", "source": "/home/aiko/p.toml:3"}}
    plan["model"] = r"C:\Users\Aiko\models\sdxl.safetensors"
    write_json(run.plan, plan)
    text = report(run).text
    assert "~/prompts.txt" in text
    assert "sdxl.safetensors" in text
    assert "aiko" not in text.lower()


# Images -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "../outside.png",
        "output/../../outside.png",
        "/etc/hostname",
        "C:/Windows/win.ini",
        "\\\\server\\share\\x.png",
        "//server/share/x.png",
        "output\\sample\\x.png",
        "output/sample/x.png:stream",
        "output/x\0.png",
        "plan.json",
        "output",
        "output/sample/missing.png",
        "output/" + "x" * 5000,
    ],
)
def test_only_files_inside_the_output_are_opened(run, path):
    (run.folder.parent / "outside.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert inside(run, path) is None


def test_a_link_out_of_the_output_is_refused(run, tmp_path):
    secret = tmp_path / "secret.png"
    Image.new("RGB", (4, 4)).save(secret)
    link = run.output / "sample" / "link.png"
    try:
        link.symlink_to(secret)
    except OSError:
        pytest.skip("this account may not make symbolic links")
    assert inside(run, "output/sample/link.png") is None
    (run.output / "real.png").write_bytes(secret.read_bytes())
    assert inside(run, "output/real.png") == (run.output / "real.png").resolve()


def test_only_real_images_are_embedded(run, report):
    pictures = sorted((run.output / "sample").glob("*.png"))
    pictures[0].write_bytes(b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>")
    pictures[1].write_bytes(pictures[2].read_bytes()[:2000])  # truncated
    pictures[3].write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 100)
    page = report(run)
    assert len(page.all("img")) == 3
    assert "3 sample images were left out: they are gone, damaged, or no images of this run." in page.text


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_the_kind_is_told_by_the_content_not_by_the_name(tmp_path, kind):
    path = tmp_path / "picture.txt"
    Image.new("RGB", (8, 6), "teal").save(path, kind)
    picture = load_picture(path)
    assert (picture.width, picture.height) == (8, 6)
    assert picture.uri.startswith(f"data:image/{kind.lower()};base64,")


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF"])
def test_other_kinds_are_refused(tmp_path, kind):
    path = tmp_path / "picture.png"
    Image.new("RGB", (8, 6)).save(path, kind)
    assert load_picture(path) is None


def test_a_large_image_becomes_a_small_jpeg(tmp_path):
    path = tmp_path / "large.png"
    Image.effect_noise((1400, 1000), 80).convert("RGBA").save(path)
    picture = load_picture(path)
    assert picture.uri.startswith("data:image/jpeg")
    assert (picture.width, picture.height) == (1024, 731)
    assert len(picture.uri) < path.stat().st_size


def test_a_bomb_is_refused(tmp_path):
    path = tmp_path / "bomb.png"
    Image.new("1", (9000, 9000)).save(path)
    assert load_picture(path) is None


def test_a_page_stays_small_and_says_so(run, report, monkeypatch):
    one = max(len(load_picture(path).uri) for path in (run.output / "sample").glob("*.png"))
    monkeypatch.setattr(content_module, "IMAGES_LIMIT", one * 3 + 100)
    page = report(run)
    shown = page.all("img")
    assert 2 <= len(shown) < 6
    assert f"{6 - len(shown)} sample image" in page.text
    assert "to keep this page small" in page.text
    assert any(image["alt"].endswith("step 120") for image in shown)  # the last step matters most


@calm
@given(st.lists(st.integers(0, 99), max_size=40))
def test_spread_takes_every_step_once_the_last_first(steps):
    taken = spread(steps)
    assert sorted(taken) == sorted(set(steps))
    if steps:
        assert taken[0] == max(steps)
        assert taken[1:2] in ([], [min(steps)])


# Axes and words ---------------------------------------------------------------------------------------------------


@calm
@given(st.floats(-1e12, 1e12), st.floats(-1e12, 1e12), st.integers(1, 10))
def test_ticks_are_few_inside_and_evenly_spaced(low, high, wanted):
    over = scale(low, high)
    found = ticks(over, wanted)
    assert len(found) <= wanted + 1
    assert all(-1e-6 <= over.at(value) <= UNITS + 1e-6 for value in found)
    gaps = [after - before for before, after in pairwise(found)]
    assert all(math.isclose(gap, gaps[0], rel_tol=1e-6) for gap in gaps)


@pytest.mark.parametrize(
    ("low", "high", "wanted", "expected"),
    [
        (0, 1000, 5, (0, 200, 400, 600, 800, 1000)),
        (0, 0.31, 4, (0, 0.1, 0.2, 0.3)),
        (0, 1e-4, 4, (0, 2.5e-5, 5e-5, 7.5e-5, 1e-4)),
        (3, 3, 3, (2.8, 3.0, 3.2)),
    ],
)
def test_ticks_a_person_would_have_drawn(low, high, wanted, expected):
    assert ticks(scale(low, high), wanted) == pytest.approx(expected)


def test_one_spike_does_not_flatten_an_axis():
    assert ceiling([1.0] * 99 + [50.0], room=1.6) == 1.6
    assert ceiling([1.0, 1.2, 1.1], room=1.6) == 1.2
    assert ceiling([0.0, 0.0], room=2) == 0.0


@pytest.mark.parametrize(
    ("write", "value", "expected"),
    [
        (words.number, 0.104493, "0.1045"),
        (words.number, 1024.0, "1,024"),
        (words.number, 12.5, "12.5"),
        (words.number, 200.0, "200"),
        (words.number, -0.5, "-0.5"),
        (words.number, math.nan, "not a number"),
        (words.learning_rate, 1e-4, "1e-4"),
        (words.learning_rate, 2.5e-5, "2.5e-5"),
        (words.learning_rate, 0.0, "0"),
        (words.duration, 4.25, "4.2 s"),
        (words.duration, 59.7, "1 min 00 s"),
        (words.duration, 1600, "26 min 40 s"),
        (words.duration, 11100, "3 h 05 min"),
        (words.duration, 190_000, "2 d 4 h"),
        (words.size, 131_072, "128 KiB"),
        (words.size, 7.3e9, "6.8 GiB"),
        (words.moment, 1e14, ""),
    ],
)
def test_words(write, value, expected):
    assert write(value) == expected


# In a browser -----------------------------------------------------------------------------------------------------


@pytest.fixture
def browse(tmp_path):
    """Open a page in Chromium; gives the DOM, the console, and what the page (not the browser itself) asked for."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium here: the page is not looked at by a browser")

    def look(path):
        log = tmp_path / "net.json"
        command = [chromium, *CHROMIUM_FLAGS.split(), f"--user-data-dir={tmp_path / 'profile'}"]
        command += [f"--log-net-log={log}", "--enable-logging=stderr", "--dump-dom", path.as_uri()]
        done = subprocess.run(
            command, capture_output=True, text=True, encoding="utf-8", timeout=120, check=True
        )
        return done.stdout, done.stderr, requests_of_the_page(log)

    return look


def requests_of_the_page(log):
    """URLs of network requests that a document started, from Chromium's network log."""
    params = [event.get("params", {}) for event in json.loads(log.read_text(encoding="utf-8"))["events"]]
    asked = {
        p["url"] for p in params if "url" in p and p.get("initiator", "not an origin") != "not an origin"
    }
    return {url for url in asked if not url.startswith(("data:", "file:"))}


def test_in_chromium(tmp_path, paths, browse):
    run = write_run(tmp_path / "run", replace(SCRIPT, name="x"))
    edit(run.state_json, name=HOSTILE)
    dom, console, asked = browse(write_report(paths, run))
    assert 'class="is-live"' in dom  # our script ran: its hash stands in the policy
    assert len(re.findall(r'<path class="line main" d="M[\d. ]', dom)) == 5
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in dom
    assert "onerror=alert(2)&gt;" in dom
    assert dom.count("<script") == 1
    assert dom.count('class="tip"') == 5
    assert "Content Security Policy" not in console
    assert "Uncaught" not in console
    assert not asked


def test_the_policy_holds_in_chromium(tmp_path, paths, browse):
    """Were a value ever not escaped, the policy would still stop it; without the policy the same page does ask."""
    html = write_report(paths, write_run(tmp_path / "run", SCRIPT)).read_text(encoding="utf-8")
    evil = '<img src="http://127.0.0.1:9/x.png"><script>document.title = "taken"</script></main>'
    page = tmp_path / "page.html"
    page.write_text(html.replace("</main>", evil), encoding="utf-8")
    dom, console, asked = browse(page)
    assert "<title>taken" not in dom
    assert "Content Security Policy" in console
    assert not asked
    page.write_text(re.sub(r"<meta http-equiv.*", "", html).replace("</main>", evil), encoding="utf-8")
    dom, _, asked = browse(page)
    assert "<title>taken" in dom
    assert asked == {"http://127.0.0.1:9/x.png"}
