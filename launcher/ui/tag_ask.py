"""The questions of a tagging, for people who never type: folder, model, what of captions that are there, spelling, prefix."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from launcher.ui import prompts, transfer
from launcher.ui.prompts import Choice

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

OWN = "own"


def ask_tagging(
    options: Namespace, models: Mapping[str, tuple[str, int]], *, default: str, undoable: Path | None
) -> Namespace:
    """The command line with the answers in it.

    Args:
        options: the command line.
        models: name to title and bytes.
        default: name of the model that is offered first.
        undoable: the folder of the last tagging that can be taken back.

    Raises:
        Back: ^C.
    """
    answers = dict(vars(options))
    if undoable is not None:
        what = [
            Choice(value=False, title="Write captions"),
            Choice(value=True, title="Take the last tagging back", hint=str(undoable)),
        ]
        answers["undo"] = prompts.ask_choice("What shall be done?", what, flag="--undo")
        if answers["undo"]:
            return Namespace(**answers)
    answers["folder"] = str(prompts.ask_path("Which folder of images?", flag="DIR", kind="folder"))
    if not options.model:
        choices = [
            Choice(value=name, title=name, hint=f"{transfer.size(size)}  {title}")
            for name, (title, size) in models.items()
        ]
        choices.append(Choice(value=OWN, title="A folder of mine", hint="model.onnx and selected_tags.csv"))
        chosen = prompts.ask_choice("Which tagger?", choices, flag="--model", default=default)
        answers["model"] = (
            str(prompts.ask_path("Which folder?", flag="--model", kind="folder")) if chosen == OWN else chosen
        )
    answers["existing"] = prompts.ask_choice(
        "Images that have a caption already?",
        [
            Choice(value="keep", title="Leave them alone", hint="what you wrote stays"),
            Choice(value="append", title="Add the tags behind it"),
            Choice(value="replace", title="Replace it", hint="can be taken back"),
        ],
        flag="--existing", default=options.existing,
    )  # fmt: skip
    answers["underscores"] = prompts.ask_choice(
        "How shall tags be spelt?",
        [
            Choice(value="keep", title="long_hair", hint="as the tagger does"),
            Choice(value="replace", title="long hair", hint="blanks; faces such as ^_^ stay"),
        ],
        flag="--underscores", default=options.underscores,
    )  # fmt: skip
    answers["prefix"] = prompts.ask_text(
        "A word before all tags? (Enter: none)", flag="--prefix", default=options.prefix
    )
    return Namespace(**answers)
