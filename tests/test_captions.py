"""Captions as the trainers read them: faults, encodings, tokens, tags, pairs; and what the preflight says of them."""

import json
import os
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from launcher import captions
from launcher.captions import MOST_BYTES, Tally, Tokenizer, Usage, Words, load_tokenizer, look_at_captions
from launcher.captions.encoding import guess_encoding
from launcher.captions.reading import caption_of
from launcher.captions.spelling import find_spellings
from launcher.captions.store import file_of, recall, remember, state_of
from launcher.captions.tokens import FOLDER, MERGES, longest_drawn
from launcher.errors import Severity
from launcher.machine import Fact, Machine
from launcher.plan import Request, resolve
from launcher.preflight.captions import check_captions
from launcher.preflight.words import words_of

MACHINE = Machine(
    os="Linux", cores=2, ram_mib=16_000, free_ram_mib=9_000, gpus=(), gpu_note="no NVIDIA driver answers",
    has_bf16=Fact(value=True, reason="CPU"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "lines", "faults"),
    [
        (b"a cat, sitting\n", ("a cat, sitting",), ()),
        (b"\xef\xbb\xbfa cat\r\n", ("a cat",), (captions.MARK,)),
        (b"", (), (captions.EMPTY,)),
        (b" \r\n\t\n", (), (captions.BLANK,)),
        (b"\na cat", (), (captions.LATER_WORDS,)),
        (b"one\rtwo", ("one",), (captions.LATER_LINES,)),
        ("one\u2028still one\x85".encode(), ("one\u2028still one",), (captions.CONTROL,)),
        (b"a\0cat\x1b[2J", ("a\0cat\x1b[2J",), (captions.CONTROL,)),
        (b"good\n\xff", (), (captions.NOT_UTF8,)),
        (b"x" * (MOST_BYTES + 1), ("x" * (MOST_BYTES + 1),), (captions.LONG,)),
        (("猫" * MOST_BYTES).encode()[: MOST_BYTES + 1], None, (captions.LONG,)),
    ],
)
def test_a_caption_is_read_as_sd_scripts_reads_it(raw, lines, faults):
    found = caption_of(raw)
    assert found.faults == faults
    if lines is not None:
        assert found.lines == lines


def test_with_wildcards_every_line_counts():
    found = caption_of(b"\none {a|bb}\n\n two\n", has_wildcards=True)
    assert found.lines == ("one {a|bb}", "two")
    assert found.faults == ()
    assert longest_drawn("{{x}} {a|bbb} {c}") == "{x} bbb c"


@pytest.mark.parametrize(
    ("text", "codec", "word"),
    [
        ("猫", "cp932", "Shift-JIS"), ("初音ミク、ツインテール", "cp932", "Shift-JIS"), ("長髪, 制服", "cp932", "Shift-JIS"),
        ("café au lait, naïve", "cp1252", "cp1252"), ("“a cat” – sleeping", "cp1252", "cp1252"),
        ("1girl, señorita, long hair", "cp1252", "cp1252"), ("кот, синие глаза", "cp1251", "cp1251"),
        ("고양이, 긴 머리", "cp949", "cp949"), ("一个女孩站在海边", "gbk", "GBK"),
        ("a cat", "utf-16", "UTF-16"), ("a cat", "utf-16-le", "UTF-16"), ("a cat", "utf-32", "UTF-32"),
    ],
)  # fmt: skip
def test_what_a_text_looks_like(text, codec, word):
    assert word in guess_encoding(text.encode(codec))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_caption_or_a_fault(raw):
    for has_wildcards in (False, True):
        found = caption_of(raw, has_wildcards=has_wildcards)
        assert found.lines or found.faults
        guess_encoding(raw)
        tally = Tally()
        tally.add(found.text)
        tally.result()


# Tokens

# From transformers 4.54.1 with ftfy 6.3.1: the input_ids that CLIPTokenizer makes of openai/clip-vit-large-patch14's files,
# less the marks for beginning and end. 3529 made-up texts in many scripts were compared too: 3 differed, by one or two tokens (ftfy repairs more).
COUNTED = {
    "a photo of a cat": 5, "1girl, solo, long hair, blue_eyes, looking at viewer, masterpiece": 17,
    "猫、青い目、長い髪の少女が海辺に立っている": 42, "I'm can't they're we've he'd she'll": 12, "½ ² Ⅳ ① x²": 10,
    "ﬁne ﬂower ＡＢＣ １２３ ｶﾀｶﾅ": 11, "“quoted” – ‘single’ …": 8, "a_b__c-d/e\\(f\\)": 14, "emoji 😀👩‍👩‍👧 ok": 7,
    "supercalifragilisticexpialidocious pneumonoultramicroscopicsilicovolcanoconiosis": 23, "9999999 3.14": 11, "": 0,
    "zero\u200bwidth": 3, "a\x07b": 1,
}  # fmt: skip


def test_tokens_are_counted_as_transformers_does(paths):
    tokenizer = load_tokenizer(paths.tokenizers)
    if not tokenizer.is_exact:
        pytest.skip("the tokenizers are not installed (python setup_env.py install sd-scripts)")
    assert {text: tokenizer.count(text) for text in COUNTED} == COUNTED


def test_without_word_list_the_count_is_a_lower_bound(tmp_path):
    tokenizer = load_tokenizer(tmp_path)
    assert not tokenizer.is_exact
    for text, count in COUNTED.items():
        assert tokenizer.count(text) <= count


def test_made_up_merges_join_the_earliest_first(tmp_path):
    fillers = [f"x{number} y" for number in range(MERGES - 4)]
    merges = ["#version: 0.2", "c a", "ca t</w>", "a a", "aa a</w>", *fillers]
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "merges.txt").write_text("\n".join(merges), encoding="utf-8")
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.is_exact
    assert [tokenizer.count(text) for text in ("cat", "cats", "aaa", "aaaa", "cat, CAT")] == [1, 3, 1, 3, 3]
    (tmp_path / FOLDER / "merges.txt").write_text("c a\n", encoding="utf-8")
    assert not load_tokenizer(tmp_path).is_exact


def test_a_word_without_end_takes_no_time():
    ranks = {("a", "a"): 1, ("aa", "aa"): 2, ("a", "b"): 3}
    began = time.process_time()
    assert Tokenizer(ranks=ranks).count("ab" * 30_000) > 0
    assert time.process_time() - began < 5  # minutes, if merged as one word


# Tags


def tags_of(*texts):
    tally = Tally()
    for text in texts:
        tally.add(text)
    return tally.result()


def test_statistics_of_tags():
    tags = tags_of("mila, red hair, hat", "mila, red hair,, red hair", "mila, blue hair", "mila, hat, sea")
    assert tags.captions == 4
    assert tags.everywhere == ("mila",)
    assert tags.top[:2] == (("mila", 4), ("hat", 2))
    assert (tags.once, tags.once_shown) == (2, ("blue hair", "sea"))
    assert tags.doubled == 1
    assert (tags.first, tags.first_count) == ("mila", 4)
    assert not tags.is_prose
    assert tags_of(*["A girl with long red hair sits at the sea and looks at us."] * 3).is_prose


def test_memory_of_tags_is_bounded(monkeypatch):
    monkeypatch.setattr("launcher.captions.tags.MOST_TAGS", 10)
    tags = tags_of(*[f"here, tag {number}" for number in range(30)])
    assert tags.is_cut
    assert tags.distinct == 10
    assert tags.everywhere == ("here",)


def test_near_spellings():
    counts = [
        ("blue eyes", 20), ("long hair", 18), ("smile", 9), ("1girl", 9), ("2girls", 9), ("blue_eyes", 3), ("Long Hair", 2),
        ("smlie", 1), ("simle", 1), ("smiles", 1), ("hat", 9), ("cat", 1), ("3girls", 1),
    ]  # fmt: skip
    groups = {tuple(tag for tag, _ in group) for group in find_spellings(counts)}
    assert groups == {
        ("blue eyes", "blue_eyes"), ("long hair", "Long Hair"), ("smile", "smlie"), ("smile", "simle"), ("smile", "smiles"),
    }  # fmt: skip


# A dataset


def write(folder, *texts, suffix=".txt", size=(600, 500)):
    """Images with their captions (None: without)."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, text in enumerate(texts):
        Image.new("RGB", size, (number * 9 % 256, 80, 90)).save(folder / f"{number}.png")
        if text is not None:
            raw = text if isinstance(text, bytes) else text.encode("utf-8")
            (folder / f"{number}{suffix}").write_bytes(raw)
    return folder


def plan_for(paths, folder, *words, preset="style-8gb", trainer="sd-scripts"):
    request = Request(preset=preset, data=folder, settings=words, trainer=trainer)
    return resolve(paths, request, MACHINE)


def problems_of(paths, folder, *words, **more):
    return list(check_captions(paths, plan_for(paths, folder, *words, **more), MACHINE))


def only(problems):
    (problem,) = problems
    return problem


def test_good_captions_have_no_problems(paths, tmp_path):
    folder = write(tmp_path / "猫 'a'", *[f"cat {number}, green" for number in range(4)])
    assert problems_of(paths, folder) == []


@pytest.mark.parametrize(
    ("raw", "severity", "word"),
    [
        (b"", Severity.ERROR, "empty"),
        (b" \n", Severity.WARNING, "without a word"),
        (b"\ntwo", Severity.WARNING, "first line"),
        (b"one\ntwo", Severity.WARNING, "one line"),
        (b"\xef\xbb\xbfone", Severity.NOTE, "byte order mark"),
        (b"one\x07", Severity.NOTE, "control characters"),
    ],
)
def test_each_fault_has_its_weight(paths, tmp_path, raw, severity, word):
    problem = only(problems_of(paths, write(tmp_path / "a", raw, "two", "three")))
    assert problem.severity is severity
    assert word in problem.what
    assert str(tmp_path / "a" / "0.txt") in problem.where


def test_the_code_page_is_named(paths, tmp_path):
    problem = only(problems_of(paths, write(tmp_path / "a", "猫、青い目".encode("cp932"), "two")))
    assert problem.severity is Severity.ERROR
    assert "Shift-JIS" in problem.where


def test_captions_over_the_limit(paths, tmp_path):
    folder = write(tmp_path / "a", ", ".join(f"word{number} here" for number in range(60)), "short")
    bare = replace(paths, root=tmp_path)  # without tokenizers: estimated
    for where in (paths, bare):
        problem = only(problems_of(where, folder))
        assert "1 of 2 captions is longer than 75 tokens" in problem.what
        assert "--set max_token_length=225" in problem.fix
    assert only(problems_of(bare, folder)).what.startswith("at least")
    longer = only(problems_of(paths, folder, "max_token_length=225"))
    assert "225 tokens" in longer.what
    assert "shorten" in longer.fix


def test_an_activation_tag_is_for_characters_not_for_styles(paths, tmp_path):
    named = write(tmp_path / "named", *[f"mila, view {number}" for number in range(5)])
    other = write(tmp_path / "other", *[f"view {number}, sea" for number in range(5)])
    lost = write(tmp_path / "lost", *[f"mila, view {number}" for number in range(5)], "view, hill")
    note = only(problems_of(paths, named))
    assert note.severity is Severity.NOTE
    assert '"mila"' in note.what
    assert problems_of(paths, named, preset="character-8gb") == []
    assert "no name" in only(problems_of(paths, write(tmp_path / "none", "a b", "c d", "e f", "g h", "i j"), preset="character-8gb")).what  # fmt: skip
    missing = only(problems_of(paths, lost, preset="character-8gb"))
    assert missing.severity is Severity.WARNING
    assert '1 of 6 captions do not begin with "mila"' in missing.what
    assert [problem.severity for problem in problems_of(paths, other)] == [Severity.NOTE]
    assert problems_of(paths, named, preset="sdxl-fp8") == []  # it does not say what it is for


def test_captions_under_other_names(paths, tmp_path):
    folder = write(tmp_path / "a", "one", None, None, None)
    (folder / "1.caption").write_text("two", encoding="utf-8")
    (folder / "2.png.txt").write_text("three", encoding="utf-8")
    (folder / "stray one.txt").write_text("four", encoding="utf-8")
    (folder / "README.txt").write_text("about", encoding="utf-8")
    found = problems_of(paths, folder)
    text = "\n".join(f"{problem.severity.value}: {problem.what} {problem.fix}" for problem in found)
    assert "warning: 1 caption end in .caption, but only .txt is read rename them to .txt" in text
    assert "rename them: 2.png.txt to 2.txt" in text
    assert "3 of 4 images have no caption" in text
    assert "note: 1 caption has no image: stray one.txt" in text
    assert "README" not in text


def test_a_caption_with_nearly_the_name_of_an_image(paths, tmp_path):
    folder = write(tmp_path / "a", "one", None)
    (folder / "1.png").rename(folder / "Photo (1).png")
    (folder / "photo_1.txt").write_text("two", encoding="utf-8")
    assert any(
        "photo_1.txt belongs to Photo (1).png" in problem.fix for problem in problems_of(paths, folder)
    )


def test_a_second_look_reads_no_file(paths, tmp_path, monkeypatch):
    folder = write(tmp_path / "a", *[f"mila, view {number}" for number in range(5)], b"", b"\xff", "x\ny")
    plan = plan_for(paths, folder)
    first = words_of(paths, plan)
    with monkeypatch.context() as patched:
        patched.setattr("launcher.captions.survey.read_caption", lambda *_, **__: pytest.fail("read again"))
        assert words_of(paths, plan) == first
    (folder / "0.txt").write_text("other words", encoding="utf-8")
    os.utime(folder / "0.txt", ns=(1, 1))
    assert words_of(paths, plan) != first


DAMAGE = st.sampled_from(["files", "limit", "faults", "over", "tags", "is_exact"])


@given(
    DAMAGE,
    st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)),
)
def test_a_damaged_memory_is_as_good_as_none(tmp_path_factory, name, value):
    folder = tmp_path_factory.mktemp("memory")
    groups = [(Usage(), [folder / "a.txt"])]
    (folder / "a.txt").write_text("one, two", encoding="utf-8")
    words = look_at_captions(groups, tokenizer=Tokenizer(), limit=75)
    file, state = file_of(folder / "store", groups), state_of(groups, 75)
    remember(file, state, words)
    assert recall(file, state) == words
    stored = json.loads(file.read_text(encoding="utf-8"))
    stored["words"][name] = value
    file.write_text(json.dumps(stored), encoding="utf-8")
    assert isinstance(recall(file, state), (Words, type(None)))


def test_metadata_files_have_tags_too(paths, tmp_path):
    folder = write(tmp_path / "a", None, None)
    rows = {"0.png": {"caption": "mila", "tags": "sea, sun"}, "1.png": {"tags": "mila, hill"}}
    (tmp_path / "meta.json").write_text(json.dumps(rows), encoding="utf-8")
    (tmp_path / "set.toml").write_text(
        f"[[datasets]]\n[[datasets.subsets]]\nimage_dir = '{folder.as_posix()}'\nmetadata_file = 'meta.json'\n", encoding="utf-8"
    )  # fmt: skip
    assert words_of(paths, plan_for(paths, tmp_path / "set.toml")).tags.everywhere == ("mila",)
