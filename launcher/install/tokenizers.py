"""The two tokenizers of SDXL: fetched once, so that training never needs the network.

All trainers read them through `--tokenizer_cache_dir`: a folder for each, its name the hub's with `/` as `_`
(sd-scripts v0.10.1 library/strategy_base.py `_load_tokenizer`; the fp8 fork library/sdxl_train_util.py
`load_tokenizers` does the same). A folder that exists is used unseen, so that only whole ones may stand there.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.errors import InputError, InstallError
from launcher.files import lock, read_json, replace, sync_tree
from launcher.install.fetch import Remote, WebError, fetch
from launcher.install.part import disk_error
from launcher.install.places import local_path
from launcher.install.secret import redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from launcher.install.commands import Log
    from launcher.install.fetch import Patience
    from launcher.install.index import PipSettings
    from launcher.install.steps import Tell

FIRST, SECOND = "openai/clip-vit-large-patch14", "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k"
REPOSITORIES = (FIRST, SECOND)
PLAIN_NAMES = {FIRST: "tokenizer", SECOND: "tokenizer_2"}  # in a folder of SDXL as diffusers keeps it
FILES = ("vocab.json", "merges.txt", "special_tokens_map.json", "tokenizer_config.json")
HUB = "https://huggingface.co"
OFFLINE = {"1", "true", "yes", "on"}
TURN_S = 600.0

# CLIP's vocabulary: 256 bytes, the same at a word's end, one entry for each merge in order, two marks
# (openai/CLIP clip/simple_tokenizer.py).
BYTES, MERGES = 512, 48894
START, END = "<|startoftext|>", "<|endoftext|>"
KNOWN = {START: 49406, END: 49407, "a</w>": 320, "photo</w>": 1125, "of</w>": 539, "cat</w>": 2368}
LENGTH = 77  # `model_max_length`: without it sd-scripts would not know where to cut a caption
REMEDY = (
    "Name a mirror of the hub in the environment variable HF_ENDPOINT, or give a folder that has the tokenizers "
    "(from another computer, or the hub's cache): --tokenizers DIR"
)


def folder_name(repository: str) -> str:
    """As `--tokenizer_cache_dir` looks for it."""
    return repository.replace("/", "_")


def missing_tokenizers(folder: Path) -> str | None:
    """Why the tokenizers in `folder` cannot be used, or None."""
    for repository in REPOSITORIES:
        reason = problem_of(folder / folder_name(repository), repository)
        if reason:
            return f"{repository}: {reason}"
    return None


def problem_of(folder: Path, repository: str) -> str | None:
    """Why this is not the tokenizer, or None. Looks at the content: an error page saved as JSON is found here."""
    if not folder.is_dir():
        return "it is not there"
    absent = [name for name in FILES if not (folder / name).is_file()]
    if absent:
        return f"{', '.join(absent)} missing"
    try:
        return (
            _wrong_vocabulary(read_json(folder / FILES[0]), (folder / FILES[1]).read_text(encoding="utf-8"))
            or _wrong_marks(read_json(folder / FILES[2]))
            or _wrong_settings(read_json(folder / FILES[3]), is_needed=repository == FIRST)
        )
    except InputError as error:
        return error.what
    except (OSError, ValueError) as error:
        return f"{FILES[1]} cannot be read: {error}"


def _wrong_vocabulary(vocabulary: Any, merges: str) -> str | None:
    """Entries, ids and merges must fit together; then they are CLIP's."""
    if not isinstance(vocabulary, dict) or len(vocabulary) != BYTES + MERGES + 2:
        count = len(vocabulary) if isinstance(vocabulary, dict) else 0
        return f"vocab.json has {count} entries instead of {BYTES + MERGES + 2}"
    if wrong := [token for token, number in KNOWN.items() if vocabulary.get(token) != number]:
        return f"vocab.json has another id for {wrong[0]}"
    lines = merges.rstrip("\n").split("\n")[1:]  # the first line is the version
    if len(lines) != MERGES:
        return f"merges.txt has {len(lines)} merges instead of {MERGES}"
    for rank, line in enumerate(lines):
        if vocabulary.get(line.replace(" ", "", 1)) != BYTES + rank:
            return f"merges.txt does not fit to vocab.json: {line!r}"
    return None


def _wrong_marks(special: Any) -> str | None:
    for name, wanted in (("bos_token", START), ("eos_token", END)):
        value = special.get(name) if isinstance(special, dict) else None
        content = value.get("content") if isinstance(value, dict) else value
        if content != wanted:
            return f"special_tokens_map.json has {content!r} as {name}"
    return None


def _wrong_settings(settings: Any, *, is_needed: bool) -> str | None:
    length = settings.get("model_max_length") if isinstance(settings, dict) else None
    if length == LENGTH or (length is None and isinstance(settings, dict) and not is_needed):
        return None
    return f"tokenizer_config.json has {length!r} as model_max_length instead of {LENGTH}"


def ensure_tokenizers(
    folder: Path,
    *,
    given: Path | str | None,
    settings: PipSettings,
    tell: Tell,
    log: Log | None = None,
    patience: Patience | None = None,
) -> None:
    """Bring both tokenizers into `folder`; what is right stays.

    Args:
        folder: that `--tokenizer_cache_dir` will name.
        given: a folder of the user's (copied from, never changed), or the address of a mirror of the hub.
        settings: the user's proxy and certificates.
        tell: progress.
        log: what was asked and answered.
        patience: with servers.

    Raises:
        InstallError: they cannot be had, or are not the right ones.
    """
    try:
        with lock(folder / ".lock", timeout_s=TURN_S, busy="Another window is fetching the tokenizers."):
            for repository in REPOSITORIES:
                target = folder / folder_name(repository)
                if problem_of(target, repository) is None:
                    continue
                place = local_path(str(given)) if given else None
                if place is not None:
                    source = _search(place.expanduser(), repository)
                    tell(f"Copying the tokenizer {repository} from {source}")
                    _copy(source, target)
                else:
                    mirror = str(given) if given else None
                    _download(
                        repository, target, mirror, tell=tell, settings=settings, log=log, patience=patience
                    )
            shutil.rmtree(folder / ".partial", ignore_errors=True)
    except OSError as error:
        raise disk_error(error, "the tokenizers", folder) from error


def _search(given: Path, repository: str) -> Path:
    """The tokenizer in a folder of the user's, whatever made it."""
    reasons = {}
    for place in _candidates(given, repository):
        reason = problem_of(place, repository)
        if reason is None:
            return place
        if place.is_dir():
            reasons[place] = reason
    seen = next((f"{place}: {reason}" for place, reason in reasons.items()), "It is not in there.")
    raise InstallError(
        f"The folder does not have the tokenizer {repository}.",
        why=seen,
        fix=f"Wanted is a folder with {folder_name(FIRST)} and {folder_name(SECOND)} in it (each with {', '.join(FILES)}), or a cache of the hub.",
        where=str(given),
    )


def _candidates(given: Path, repository: str) -> Iterator[Path]:
    owner, name = repository.split("/")
    yield from (given / folder_name(repository), given / name, given / owner / name)
    for hub in (given, given / "hub"):
        kept = hub / f"models--{owner}--{name}"
        snapshots = sorted((kept / "snapshots").glob("*"))
        with suppress(OSError, ValueError):
            newest = (kept / "refs" / "main").read_text(encoding="utf-8").strip()
            snapshots.insert(0, kept / "snapshots" / newest)
        yield from snapshots
    yield given / PLAIN_NAMES[repository]


def _copy(source: Path, target: Path) -> None:
    """The four files, through a folder aside."""
    aside = target.parent / ".partial" / f"{target.name}.copy"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for name in FILES:
        shutil.copyfile(source / name, aside / name)  # follows the links of the hub's cache
    _place(aside, target)


def _place(aside: Path, target: Path) -> None:
    sync_tree(aside)
    if target.exists():  # what was wrong or incomplete there
        old = target.parent / ".partial" / f"{target.name}.old"
        shutil.rmtree(old, ignore_errors=True)
        replace(target, old)
    replace(aside, target)


def _download(repository: str, target: Path, mirror: str | None, *, tell: Tell, **how: Any) -> None:
    """From the hub or a mirror; when that fails, from the hub's cache of this computer."""
    endpoint = (mirror or os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")
    aside = target.parent / ".partial" / target.name
    try:
        if os.environ.get("HF_HUB_OFFLINE", "").lower() in OFFLINE and not mirror:
            raise InstallError("", why="HF_HUB_OFFLINE is set: nothing may be asked for.")  # noqa: TRY301
        done = 0
        for name in FILES:
            remote = Remote(url=f"{endpoint}/{repository}/resolve/main/{name}", name=name)
            file = _ask(remote, aside, tell=tell, before=done, **how)
            done += file.stat().st_size
        reason = problem_of(aside, repository)
        if reason:
            shutil.rmtree(aside, ignore_errors=True)
            raise InstallError("", why=f"What {redact(endpoint)} sends is not the tokenizer: {reason}.")  # noqa: TRY301
    except InstallError as error:
        kept = _in_hub_cache(repository)
        if kept is None:
            raise _unreachable(repository, endpoint, error) from error
        tell(
            f"{error.why} The tokenizer {repository} is taken from the hub's cache of this computer",
            keep=True,
        )
        _copy(kept, target)
        return
    shutil.rmtree(aside / ".locks", ignore_errors=True)
    _place(aside, target)


def _ask(remote: Remote, folder: Path, **how: Any) -> Path:
    """One file; with the user's token, and when the hub does not like that one, without: both are public."""
    token = os.environ.get("HF_TOKEN", "").strip()
    if token:
        try:
            return fetch(remote, folder, headers={"Authorization": f"Bearer {token}"}, **how)
        except WebError as error:
            if error.code not in {401, 403}:
                raise
    return fetch(remote, folder, **how)


def _in_hub_cache(repository: str) -> Path | None:
    """Where the hub's own library may have kept it (huggingface_hub constants.py)."""
    names: Mapping[str, str] = os.environ
    home = Path(
        names.get("HF_HOME") or Path(names.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    )
    try:
        return _search(Path(names.get("HF_HUB_CACHE") or home / "hub").expanduser(), repository)
    except InstallError:
        return None


def _unreachable(repository: str, endpoint: str, error: InstallError) -> InstallError:
    return InstallError(
        f"The tokenizer {repository} could not be fetched.",
        why=error.why or error.what,
        fix=f"{error.fix} {REMEDY}".strip(),
        where=error.where or redact(endpoint),
    )
