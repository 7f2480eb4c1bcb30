"""Brings a tagger from the hub or a mirror of it: through the launcher's own downloads, verified before it counts.

For models of the shipped table the checksums stand there. For others the hub's own answer has them (the LFS object's
SHA-256, or git's hash of a small file), which protects from damage and from a lying mirror's cache, not from the hub.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from launcher.errors import InstallError
from launcher.install.fetch import Remote, WebError, fetch, read_page
from launcher.install.secret import redact
from launcher.tagger.models import PINNED, File, find, remember, table
from launcher.tagger.worker.labels import MAPPING, MAPPING_MODELS, TABLE, TABLE_MODELS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from launcher.install.commands import Log
    from launcher.install.fetch import Patience
    from launcher.install.index import PipSettings
    from launcher.install.steps import Tell
    from launcher.paths import Paths
    from launcher.tagger.models import Model

T = TypeVar("T")
OFFLINE = {"1", "true", "yes", "on"}
ANSWER_BYTES = 8 * 1024 * 1024
REMEDY = (
    "Name a mirror of the hub (--mirror URL, or the environment variable HF_ENDPOINT), or give a folder that has the model "
    "(copied from another computer): --model DIR"
)
DENIED = "If the model asks for an agreement, accept it on the hub's page and put your token into the environment variable HF_TOKEN."


def bring(
    paths: Paths, model: Model, *, mirror: str | None, settings: PipSettings, tell: Tell,
    log: Log | None = None, patience: Patience | None = None,
) -> Model:  # fmt: skip
    """The model, with all its files in its folder, verified. What has come already is not asked for again.

    Raises:
        InstallError: it cannot be had, or is not what it should be.
    """
    endpoint = (mirror or os.environ.get("HF_ENDPOINT") or str(table(paths)["endpoint"])).rstrip("/")
    try:
        if os.environ.get("HF_HUB_OFFLINE", "").lower() in OFFLINE and not mirror:
            raise InstallError("", why="HF_HUB_OFFLINE is set: nothing may be asked for.")  # noqa: TRY301  (worded below)
        if not model.files:
            tell(f"Asking {redact(endpoint)} what {model.name} is made of")
            model = _ask(model, endpoint, settings)
        got, done = [], 0
        for file in model.files:
            got.append(
                _fetch(
                    model,
                    file,
                    endpoint,
                    before=done,
                    settings=settings,
                    tell=tell,
                    log=log,
                    patience=patience,
                )
            )
            done += file.size
    except InstallError as error:
        denied = f"{DENIED} " if getattr(error, "code", None) in {401, 403} else ""
        raise InstallError(
            f"The tagger {model.name} could not be fetched.", why=error.why or error.what,
            fix=f"{denied}{error.fix} {REMEDY}".strip(), where=error.where or redact(endpoint),
        ) from error  # fmt: skip
    if model.origin != PINNED:
        remember(paths, model, got)
    return find(paths, model.name)


def _fetch(model: Model, file: File, endpoint: str, **how: Any) -> Path:
    address = "/".join(part for part in (model.inside, file.name) if part)
    url = f"{endpoint}/{model.repository}/resolve/{model.revision}/{quote(address)}"
    remote = Remote(url=url, name=file.name, sha256=file.sha256, size=file.size)
    model.folder.mkdir(parents=True, exist_ok=True)
    path = _with_token(lambda headers: fetch(remote, model.folder, whole=model.size, headers=headers, **how))
    if file.git_blob and (found := _git_blob(path)) != file.git_blob:
        path.unlink()
        raise InstallError(
            f"{file.name} is not the file that it should be.",
            why=f"Its git hash is {found} instead of {file.git_blob}.",
        )
    return path


def _git_blob(path: Path) -> str:
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _with_token(ask: Callable[[dict[str, str]], T]) -> T:
    """With the user's token, and when the hub does not like that one, without."""
    token = os.environ.get("HF_TOKEN", "").strip()
    if token:
        try:
            return ask({"Authorization": f"Bearer {token}"})
        except WebError as error:
            if error.code not in {401, 403}:
                raise
    return ask({})


# --- what the hub says of a model that the table does not have


def _ask(model: Model, endpoint: str, settings: PipSettings) -> Model:
    url = f"{endpoint}/api/models/{model.repository}/revision/main?blobs=true"
    page = _with_token(lambda headers: read_page(url, settings=settings, limit=ANSWER_BYTES, headers=headers))
    try:
        answer = json.loads(page.body)
        revision = str(answer["sha"])
        listed = {str(it["rfilename"]): it for it in answer["siblings"]}
        if not revision.isalnum():
            raise ValueError(f"its revision is {revision[:50]!r}")  # noqa: TRY301  (worded below, like the others)
        return replace(model, revision=revision, files=tuple(_choose(listed, model)))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InstallError(
            "", why=f"What {redact(endpoint)} says of {model.name} makes no sense: {str(error)[:200]}"
        ) from error


def _choose(listed: dict[str, Any], model: Model) -> Sequence[File]:
    """The two files that are needed."""
    for labels, models in ((TABLE, TABLE_MODELS), (MAPPING, MAPPING_MODELS)):
        for name in models:
            wanted = [str(PurePosixPath(model.inside, one)) for one in (name, labels)]
            if all(one in listed for one in wanted):
                return [_file(listed[one]) for one in wanted]
    inside = sorted({str(PurePosixPath(name).parent) for name in listed if name.endswith(".onnx")} - {"."})
    hint = (
        f"; it has models in the folders {', '.join(inside)}: --model {model.repository}/FOLDER"
        if inside
        else ""
    )
    raise InstallError("", why=f"{model.name} has no tagger of this family{hint}")


def _file(entry: dict[str, Any]) -> File:
    name = PurePosixPath(str(entry["rfilename"])).name
    if isinstance(lfs := entry.get("lfs"), dict):
        sha256 = str(lfs.get("sha256") or lfs["oid"]).removeprefix("sha256:").lower()
        if len(sha256) != 64 or not all(char in "0123456789abcdef" for char in sha256):
            raise ValueError(f"{name} has the checksum {sha256[:70]!r}")
        return File(name=name, size=int(lfs["size"]), sha256=sha256)
    return File(name=name, size=int(entry["size"]), git_blob=str(entry["blobId"]))
