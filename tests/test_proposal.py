"""Which preset is proposed for which card, and what is said about those that do not fit."""

import io
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from launcher.commands import guide
from launcher.commands import presets as presets_command
from launcher.machine import Fact, Gpu, Machine
from launcher.plan import Request, fits, in_order, propose, resolve, why_too_large
from launcher.plan.proposal import known_peak
from launcher.preflight.need import check_forecast
from launcher.preflight.options import check_options
from launcher.preset import Preset, list_presets, load_preset
from launcher.ui import console, prompts, tables
from launcher.ui.palette import FULL


def machine(name="", mib=0, capability=(8, 6)):
    gpus = (
        (Gpu(name=name, capability=capability, total_mib=mib, free_mib=mib - 500, driver="551.23"),)
        if name
        else ()
    )
    return Machine(
        os="Linux 6.1", cores=8, ram_mib=32_000, free_ram_mib=20_000, gpus=gpus, gpu_note="" if gpus else "no NVIDIA driver answers",
        has_bf16=Fact(value=capability >= (8, 0), reason="a test"),
    )  # fmt: skip


def text_of(renderable):
    stream = io.StringIO()
    console.make_console(stream, width=80).print(renderable)
    return stream.getvalue()


def shipped(paths):
    return [entry for entry in list_presets(paths) if isinstance(entry, Preset) and not entry.is_base]


@pytest.mark.parametrize(
    ("card", "name"),
    [
        (("GTX 1650", 4096, (7, 5)), "sdxl-4gb"),
        (("RTX 3050", 3980, (8, 6)), "sdxl-4gb"),
        (("RTX 2060", 6144, (7, 5)), "sdxl-6gb"),
        (("RTX 3060 Ti", 8192, (8, 6)), "style-8gb"),
        (("RTX 4060", 8188, (8, 9)), "style-8gb"),
        (("RTX 3070", 7820, (8, 6)), "style-8gb"),
        (("RTX 2070", 8192, (7, 5)), "turing-8gb"),
        (("RTX 2080 Ti", 11264, (7, 5)), "turing-8gb"),
        (("RTX 3080", 10240, (8, 6)), "style-8gb"),
        (("RTX 3060", 12288, (8, 6)), "sdxl-12gb"),
        (("RTX 4060 Ti", 16380, (8, 9)), "sdxl-16gb"),
        (("RTX 3090", 24576, (8, 6)), "sdxl-24gb"),
        (("H100", 81559, (9, 0)), "sdxl-24gb"),
    ],
)
def test_the_card_decides(paths, card, name):
    proposal = propose(shipped(paths), machine(*card))
    assert proposal.preset == name
    assert card[0] in proposal.reason
    assert ("no bf16" in proposal.reason) == (card[2] < (8, 0))


def test_no_card_and_a_card_too_small_get_no_proposal(paths):
    assert propose(shipped(paths), machine()) is None
    assert propose(shipped(paths), machine("GT 1030", 2048, (6, 1))) is None


def test_every_size_of_cards_has_one_that_fits_and_bases_are_never_proposed(paths):
    for gib in (4, 6, 8, 10, 12, 16, 24, 48):
        proposal = propose(shipped(paths), machine("a card", gib * 1024))
        preset = load_preset(paths, proposal.preset)
        assert fits(preset, machine("a card", gib * 1024).gpu)
        assert not preset.is_base


def test_a_measured_peak_counts_beside_the_nominal_size(paths):
    preset = replace(load_preset(paths, "style-8gb"), peak_mib=7000)
    assert not fits(preset, machine("a card", 8192).gpu)
    assert fits(preset, machine("a card", 10240).gpu)
    assert propose([preset], machine("a card", 8192)) is None
    assert "7.6" in propose([preset], machine("a card", 10240)).reason


def test_the_proposed_one_stands_first_and_what_is_too_large_last(paths):
    card = machine("RTX 3060 Ti", 8192)
    names = [preset.name for preset in in_order(shipped(paths), propose(shipped(paths), card), card.gpu)]
    assert names[0] == "style-8gb"
    assert names[-3:] == ["sdxl-12gb", "sdxl-16gb", "sdxl-24gb"]
    assert names.index("sdxl-6gb") < names.index("sdxl-4gb")
    without = [preset.name for preset in in_order(shipped(paths), None, None)]
    assert without[:2] == ["demo", "sdxl-4gb"]


def test_too_large_is_said_in_a_few_words(paths):
    card = machine("RTX 3060 Ti", 8192).gpu
    assert why_too_large(load_preset(paths, "sdxl-12gb"), card) == "needs a card with 12 GB"
    assert why_too_large(load_preset(paths, "style-8gb"), card) is None
    assert why_too_large(load_preset(paths, "sdxl-24gb"), None) is None


# Where it is shown


def test_the_list_marks_what_fits(paths):
    card = machine("RTX 3060 Ti", 8192)
    proposal = propose(shipped(paths), card)
    lines = text_of(
        tables.preset_table(
            in_order(shipped(paths), proposal, card.gpu), FULL, proposal=proposal, gpu=card.gpu
        )
    ).splitlines()
    assert lines[1].split()[:4] == [FULL.pointer, "style-8gb", "8", "GB"]
    assert any("style-8gb fits this card: RTX 3060 Ti has 8 GB" in line for line in lines)


@pytest.mark.parametrize(("card", "proposed"), [(("RTX 3060 Ti", 8192), "style-8gb"), ((), None)])
def test_json_says_it_too(paths, monkeypatch, capsys, card, proposed):
    monkeypatch.setattr("launcher.commands.common.machine_of", lambda _: machine(*card))
    assert presets_command.presets(paths, SimpleNamespace(json=True)) == 0
    found = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert [name for name, entry in found.items() if entry["proposed"]] == ([proposed] if proposed else [])
    assert found["sdxl-24gb"]["fits"] == (False if card else None)
    assert found["sdxl-4gb"]["launcher"]["offload_mib"]["value"] > 0


@pytest.mark.parametrize(
    ("last", "card", "first"),
    [
        (None, ("RTX 3060", 12288), "sdxl-12gb"),
        ("character-8gb", ("RTX 3060", 12288), "character-8gb"),
        ("gone", ("RTX 3060", 12288), "sdxl-12gb"),
        (None, (), "style-8gb"),
    ],
)
def test_the_menu_starts_at_the_last_one_else_at_the_proposed_one(paths, monkeypatch, last, card, first):
    asked = {}

    def answer(question, choices, *, flag, default):
        asked.update(question=question, choices=choices, default=default)
        return default

    monkeypatch.setattr(prompts, "ask_choice", answer)
    assert guide.ask_for_preset(paths, last, machine(*card)).name == first
    hints = {choice.value: choice.hint for choice in asked["choices"]}
    if card:
        assert asked["choices"][0].value == "sdxl-12gb"
        assert hints["sdxl-12gb"] == "recommended for your 12 GB card"
        assert hints["sdxl-24gb"] == "needs a card with 24 GB"
    assert hints["sdxl-6gb"] == "from 6 GB"


# The base model's question


@pytest.fixture
def asked_for_model(monkeypatch, tmp_path):
    """The path that a person would give, and what was asked."""
    seen = []

    def answer(question, **words):
        seen.append((question, words))
        return tmp_path / "base.safetensors"

    monkeypatch.setattr(prompts, "ask_path", answer)
    return seen


def test_the_base_model_is_asked_for_where_one_is_needed(paths, asked_for_model, tmp_path):
    request = Request(preset="style-8gb", trainer="sd-scripts")
    assert guide.ask_for_model(paths, request, machine("x", 8192)) == tmp_path / "base.safetensors"
    assert asked_for_model[0][1]["flag"] == "--model"
    guide.ask_for_model(paths, request, machine("x", 8192))
    assert asked_for_model[1][1]["default"] == str(tmp_path / "base.safetensors")


def test_the_base_model_is_not_asked_for_where_none_is_needed_or_one_is_named(
    paths, asked_for_model, tmp_path
):
    assert guide.ask_for_model(paths, Request(preset="style-8gb", trainer="rehearsal"), machine()) is None
    named = Request(preset="style-8gb", trainer="sd-scripts", model=tmp_path / "x")
    assert guide.ask_for_model(paths, named, machine("x", 8192)) == tmp_path / "x"
    paths.user_settings.parent.mkdir(parents=True)
    paths.user_settings.write_text("[defaults]\nmodel = 'm.safetensors'\n", encoding="utf-8")
    assert (
        guide.ask_for_model(paths, Request(preset="style-8gb", trainer="sd-scripts"), machine("x", 8192))
        is None
    )
    assert asked_for_model == []


# Warnings before the start


def plan_of(paths, preset, card, *words, **request):
    return resolve(
        paths, Request(preset=preset, data=paths.home, trainer="sd-scripts", settings=words, **request), card
    )


def test_a_preset_too_large_for_the_card_names_one_that_fits(paths):
    card = machine("RTX 3060 Ti", 8192)
    (problem,) = check_options(paths, plan_of(paths, "sdxl-12gb", card), card)
    assert "made for 12 GiB" in problem.what
    assert "style-8gb" in problem.fix


def test_a_busy_card_gets_what_fits_now(paths):
    card = machine("RTX 3060 Ti", 8192)
    busy = replace(card, gpus=(replace(card.gpu, free_mib=5700),))
    proposal = propose(shipped(paths), busy)
    assert proposal.preset == "sdxl-6gb"
    assert "5.6 of it are free now" in proposal.reason
    assert why_too_large(load_preset(paths, "style-8gb"), busy.gpu) == "the card is too full just now"


def test_a_busy_card_is_told_before_the_start(paths, tmp_path):
    preset = tmp_path / "mine.toml"
    preset.write_text("[preset]\ntitle = 'M'\nextends = 'style-8gb'\npeak_mib = 5000\n", encoding="utf-8")
    card = machine("RTX 3060 Ti", 8192)
    plan = plan_of(paths, preset, card)
    assert plan.machine["peak_mib"].value == 5000
    assert list(check_forecast(paths, plan, card)) == []
    busy = replace(card, gpus=(replace(card.gpu, free_mib=5200),))
    (problem,) = check_forecast(paths, plan, busy)
    assert "5200 of 8192 MiB are free" in problem.what


@pytest.mark.parametrize(
    ("words", "is_known"),
    [
        ((), True),
        (("max_train_steps=20", "learning_rate=1e-5", "seed=1"), True),
        (("network_dim=64",), False),
        (("train_batch_size=2",), False),
        (("fp8_base=false",), False),
        (("launcher.offload_mib=500",), False),
        (("launcher.vae_encode=stock",), False),
    ],
)
def test_a_measured_peak_is_not_said_of_other_settings(paths, words, is_known):
    card = machine("RTX 3060 Ti", 8192)
    preset = replace(load_preset(paths, "style-8gb"), peak_mib=5000)
    assert known_peak(preset, plan_of(paths, "style-8gb", card, *words).options) == (
        5000 if is_known else None
    )


def test_the_second_card_is_the_one_that_is_looked_at(paths):
    two = replace(
        machine("RTX 3060", 12288), gpus=(*machine("GTX 1650", 4096).gpus, *machine("RTX 3060", 12288).gpus)
    )
    assert list(check_options(paths, plan_of(paths, "sdxl-12gb", two, gpus="1"), two)) == []
    assert len(list(check_options(paths, plan_of(paths, "sdxl-12gb", two), two))) == 1
