"""Known failures of git (its network troubles are in explain_network). The form: explain_rule."""

from __future__ import annotations

from launcher.install.explain_rule import URL, Rule

ZIP = "Without git the launcher takes the zip file of the same version"

RULES = (
    Rule(
        name="git-xcode",
        signs=(r"xcrun: error: invalid active developer path", r"xcode-select: (?:note|error)", r"no developer tools were found", r"you have not agreed to the xcode"),
        what="git is not set up on this Mac.",
        why="macOS has only a placeholder for it until the command line tools are installed (an update of macOS may remove them).",
        fix=f"Type `xcode-select --install`, confirm, wait for the end, then start this again. {ZIP}.",
    ),
    Rule(
        name="git-program",
        signs=(r"\bgit: (?:command )?not found", r"'git' is not recognized", r"git cannot be started", r"no such file or directory: 'git'", r"git executable not found", r"cannot find command 'git'"),
        what="git is not installed.",
        why="The trainer's source can be fetched with it.",
        fix=f"{ZIP}, so nothing is lost. To have git: install it from git-scm.com or with your system's packages.",
    ),
    Rule(
        name="git-owner",
        signs=(r"detected dubious ownership in repository at '(?P<file>[^'\n]{1,300})'",),
        what="git does not touch a folder that belongs to another user.",
        why="{file} was made by another user or with administrator rights, or lies on a drive that knows no owners.",
        fix='Type: git config --global --add safe.directory "{file}", or make the folder yours; then start this again.',
    ),
    Rule(
        name="git-lock",
        signs=(r"unable to create '(?P<file>[^'\n]{1,300}\.lock)': file exists", r"another git process seems to be running", r"cannot lock ref"),
        what="Another git is at work in this folder, or one was killed there.",
        why="The file {file} says so; git leaves it behind when it is ended hard.",
        fix="Close other windows of the launcher and of git. If none is open, delete that file, then start this again.",
    ),
    Rule(
        name="git-changed",
        signs=(r"local changes to the following files would be overwritten", r"untracked working tree files would be overwritten", r"please commit your changes or stash them"),
        what="The trainer's source was changed by hand, and git does not overwrite it.",
        why="Files in it differ from the version that the launcher knows.",
        fix="Save your changes elsewhere, then type `python setup_env.py repair`.",
    ),
    Rule(
        name="git-folder-not-empty",
        signs=(r"destination path '(?P<file>[^'\n]{1,300})' already exists and is not an empty directory",),
        what="The folder for the trainer's source is not empty.",
        why="Something lies in {file} that the launcher did not put there, or a former try was interrupted.",
        fix="Move that folder away, then start this again.",
    ),
    Rule(
        name="git-commit",
        signs=(r"not our ref (?P<version>[0-9a-f]{7,64})", r"unadvertised object(?: (?P<version>[0-9a-f]{7,64}))?", r"no such remote ref (?P<version>[0-9a-f]{7,64})", r"remote did not send all necessary objects"),
        what="The server does not hand out the version that the launcher needs.",
        why="The commit {version} is not there (a fork or mirror that is not complete), or this server gives only the ends of branches.",
        fix=f"Take out the mirror if you named one. {ZIP}; or name a folder or zip file that you have.",
    ),
    Rule(
        name="git-ref",
        signs=(r"remote branch (?P<version>\S{1,200}) not found", r"couldn't find remote ref (?P<version>\S{1,200})", r"reference is not a tree: (?P<version>\S{1,200})", r"pathspec '(?P<version>[^'\n]{1,200})' did not match", r"unable to read tree", r"bad object (?P<version>[0-9a-f]{7,64})", r"ambiguous argument '(?P<version>[^'\n]{1,200})'"),
        what="The version {version} is not in this copy of the trainer's source.",
        why="A mirror that is behind, a branch that was renamed, or a download that stopped early.",
        fix=f"Start this again to fetch it anew. Take out the mirror if you named one. {ZIP}.",
    ),
    Rule(
        name="git-damaged",
        signs=(r"loose object [0-9a-f]{7,64}", r"object file [^\n]{1,300} is (?:empty|corrupt)", r"packfile [^\n]{1,300} (?:cannot be accessed|does not match)", r"pack has bad object", r"sha1 mismatch", r"index file (?:corrupt|smaller)", r"bad (?:signature|index file)", r"inflate: data stream error", r"object corrupt or missing"),
        what="The copy of the trainer's source is damaged.",
        why="git found files in it that do not match their checksums: an interrupted write or a failing drive.",
        fix="Start this again: the launcher fetches the source anew. If it comes back, have the drive checked.",
    ),
    Rule(
        name="git-login",
        signs=(r"terminal prompts disabled", r"could not read (?:username|password) for", r"authentication failed for", r"invalid username or (?:password|token)", r"support for password authentication was removed", r"permission denied \(publickey", r"host key verification failed"),
        what="{host} wants a name and a password for the trainer's source.",
        why="The address is wrong (for a repository that does not exist GitHub asks for a password instead of saying so), or a mirror needs a log-in.",
        fix="Check the address that you named; the launcher's own needs no log-in. A saved wrong password: git credential reject, or the Credential Manager of Windows.",
    ),
    Rule(
        name="git-no-repository",
        signs=(rf"repository '{URL}[^\n]{{0,300}}' not found", r"'(?P<file>[^'\n]{1,300})' does not appear to be a git repository", r"remote: repository not found", r"remote: not found", r"repository '[^'\n]{1,300}' does not exist"),
        what="There is no repository at the address of the trainer's source.",
        why="The mirror or folder that was named is wrong, or it has moved.",
        fix=f"Check the address that you named, or name none. {ZIP}.",
    ),
    Rule(
        name="git-not-repository",
        signs=(r"not a git repository",),
        what="The folder with the trainer's source is no git copy.",
        why="It was unpacked from a zip file, or its folder .git was deleted.",
        fix="Type `python setup_env.py repair`: the launcher looks whether the files are the right ones and fetches them anew if not.",
    ),
    Rule(
        name="git-old",
        signs=(r"unknown (?:option|switch)[^\n]{0,60}\n[^\n]{0,20}usage: git", r"git: '(?P<version>[^'\n]{1,60})' is not a git command"),
        what="This git is too old.",
        why="It does not know an option that the launcher uses.",
        fix=f"Install a newer git (2.25 or later), then start this again. {ZIP}.",
    ),
)  # fmt: skip
