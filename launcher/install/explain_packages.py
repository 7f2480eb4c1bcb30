"""Known failures of uv, pip and Python itself: versions, wheels, checksums, builds, environments. The form: explain_rule."""

from __future__ import annotations

from launcher.install.explain_rule import AGAIN, PACKAGE, WORD, Rule

INDEX = "`pip config list` shows which ones are asked"

# What proves that the index was reached, or that it does not matter.
DECIDED = (
    Rule(
        name="hash",
        signs=(rf"hash mismatch for [`']?{PACKAGE}", r"do not match the hashes", rf"^\s{{0,20}}{PACKAGE} from [^\n]{{0,300}}:\n\s{{0,20}}expected sha256", r"hash mismatch", r"hashmismatch"),
        what="A download of {package} is not the file it should be: its checksum is wrong.",
        why="It was damaged on the way, a mirror has another file under that name, or somebody changed it.",
        fix="A download was damaged: delete the folder .cache, then start this again. If it comes back, take out the mirror (`pip config list` shows it); never switch the check off.",
    ),
    Rule(
        name="hash-missing",
        signs=(rf"all requirements must have a hash, but none were provided for: {PACKAGE}", r"hashes are required in --require-hashes mode", r"all requirements must have their versions pinned"),
        what="A package without a known checksum was to be installed.",
        why="The launcher installs only what its lock file names with checksums; {package} is not in it. Files of the launcher were changed, or are of two versions.",
        fix="Unpack or clone the launcher again over this folder (your runs and environments stay), then start this again.",
    ),
    Rule(
        name="damaged-download",
        signs=(
            rf"structure of `{PACKAGE}` \([^\n)]{{0,40}}\) was invalid", rf"{PACKAGE} has an invalid package format", rf"wheel '{PACKAGE}' located at [^\n]{{1,300}} is invalid", rf"failed to download `{PACKAGE}`\n[^\n]{{0,60}}failed to (?:extract|unzip|read)",
            r"badzipfile", r"file is not a zip file", r"invalid zip", r"bad crc", r"bad uncompressed size", r"failed to read from zip", r"not a valid zip", r"central directory", r"corrupt(?:ed)? (?:zip|archive|gzip|wheel)", r"invalid (?:gzip|deflate)",
            r"failed to (?:unzip|extract) (?:wheel|archive)", r"not a gzipped file", r"invalidwheel", r"unsupported zip", r"incorrect data check",
        ),
        what="A download of {package} is damaged.",
        why="It broke off, or something else came in its place, as the log-in page of a network (hotel, train, company).",
        fix="Open any web page in the browser and log in to the network if it asks. Then delete the folder .cache and start this again.",
    ),
    Rule(
        name="broken-package",
        signs=(
            rf"failed to read metadata from installed package `{PACKAGE}", rf"no record file was found for {PACKAGE}", rf"cannot uninstall {PACKAGE}[^\n]{{0,40}}, record file not found", rf"package metadata for `{PACKAGE}`[^\n]{{0,60}}missing",
            r"failed to read metadata from:? ", r"no metadata found", r"error while reading metadata", rf"ignoring invalid distribution -?{WORD}",
        ),
        what="The package {package} in the environment is only half there.",
        why="An installation was interrupted while its files were being written.",
        fix="Type `python setup_env.py repair`: the launcher puts in the missing files.",
    ),
    Rule(
        name="bad-cache",
        signs=(r"failed to (?:read from|open|deserialize)[^\n]{0,30} (?:the )?(?:distribution |client )?cache", r"cache entry deserialization failed", r"failed to deserialize cache entry", r"failed to parse cached", r"archive-v\d{1,3}[^\n]{0,300}no such file or directory", r"rkyv"),
        what="The store of downloads is damaged.",
        why="A write to the folder .cache was interrupted, or something deleted files in it.",
        fix="Delete the folder .cache (only downloads are in it), then start this again.",
    ),
    Rule(
        name="lock-busy",
        signs=(r"when waiting for lock on [`'](?P<file>[^`'\n]{1,300})", r"timeout \(\d{1,6}s\) when waiting for lock", r"could not acquire lock", r"failed to acquire lock"),
        what="Another installation is running.",
        why="It holds the store of downloads ({file}), perhaps in another window, or one that was killed has not let go yet.",
        fix="Wait for it to end, or close it, then start this again.",
    ),
    Rule(
        name="wrong-python",
        signs=(
            r"current python version \((?P<version>[\d.]{1,12})\) does not satisfy", r"requires a different python: (?P<version>[\d.]{1,12})", r"ignored the following versions that require a different python version", r"require a different python version",
            r"requires-python[^\n]{0,80}(?:not|does not)", r"the requested interpreter resolved to python (?P<version>[\d.]{1,12}), which is incompatible",
        ),
        what="This Python does not fit.",
        why="A package is not made for Python {version}; the training packages need 3.10, 3.11 or 3.12.",
        fix="Let the launcher bring a fitting Python: `python setup_env.py repair`. Yours stays as it is.",
    ),
    Rule(
        name="conflict",
        signs=(
            rf"all versions of {PACKAGE} depend on [^\n]{{1,200}} and you require", rf"{PACKAGE} depends? on {WORD}[^\n]{{1,200}} we can conclude", r"resolutionimpossible", r"these package versions have conflicting dependencies",
            rf"cannot install {PACKAGE}[^\n]{{0,300}} because", r"resolution-too-deep", r"are incompatible", r"pip's dependency resolver does not currently take into account", r"requires? (?P<package>torch==[\w.+]{1,40}), but you have",
        ),
        what="Two packages want different versions of a third.",
        why="{package} does not fit to the other versions that were asked for. The launcher's own lists fit together, so something was changed: a list, an index, or a package put in by hand.",
        fix="Type `python setup_env.py repair`, which goes back to the tested set, or name another torch build with --cuda.",
    ),
    Rule(
        name="no-wheel-python",
        signs=(rf"{PACKAGE} has no wheels with a matching python", rf"found wheels for `{PACKAGE}`[^\n]{{0,60}} with the following python abi tag", r"no wheels with a matching python"),
        what="{package} does not exist for this Python.",
        why="It was built for other versions of Python only; the training packages need 3.10, 3.11 or 3.12.",
        fix="Let the launcher bring a fitting Python: `python setup_env.py repair`. Yours stays as it is.",
    ),
    Rule(
        name="no-wheel-platform",
        signs=(
            rf"{PACKAGE} has no wheels with a matching platform", rf"wheels are available for `{PACKAGE}`", r"(?<![\w.+-])(?P<package>[\w.+-]{1,200}\.whl) is not a supported wheel on this platform", rf"distribution `{PACKAGE}[^`\n]{{0,300}}` can't be installed because", r"no wheels with a matching platform", r"is not compatible with the current platform",
            r"you're on [^\n]{1,80}, but [^\n]{1,200} only has wheels for",
        ),
        what="{package} does not exist for this computer.",
        why="It was built for other systems: another operating system or processor, a newer Linux (glibc) or macOS than this one, or not for Alpine Linux (musl).",
        fix="Choose another torch build with --cuda (cpu exists for most systems), or update the system. `python setup_env.py doctor` shows what the launcher sees.",
        macos="On a Mac only the build for the processor exists: choose --cuda cpu. macOS 14 or later on an Apple chip is needed.",
    ),
    Rule(
        name="only-source",
        signs=(rf"{PACKAGE} has no usable wheels", rf"wheels are required for `{PACKAGE}`", r"building from source is disabled", r"no usable wheels"),
        what="{package} exists only as source code here.",
        why="It would have to be built on this computer, which needs compilers and often fails; the launcher does not try.",
        fix="Use Python 3.10, 3.11 or 3.12 (`python setup_env.py repair` brings one), or choose another torch build with --cuda.",
    ),
    Rule(
        name="no-version",
        signs=(
            rf"there is no version of {PACKAGE} and", rf"only {PACKAGE} (?:is|are) available and you require", rf"no version of {PACKAGE}",
            rf"satisfies the requirement {PACKAGE} \(from versions: (?!none\))",
        ),
        what="The version {package} is not offered.",
        why="The package index has other versions of it, but not this one: a mirror that is behind, or a wrong channel for torch.",
        fix=f"The configured package index does not have what is needed: {INDEX}. Take the mirror out, or choose another torch build with --cuda.",
    ),
    Rule(
        name="no-pkg-resources",
        signs=(r"no module named '?pkg_resources",),
        what="A package wants the old module pkg_resources.",
        why="Newer versions of setuptools (from 82 on) no longer bring it, and Python 3.12 brings no setuptools at all.",
        fix="Type `python setup_env.py repair`: the tested set has a setuptools that brings it.",
    ),
    Rule(
        name="no-compiler",
        signs=(
            r"microsoft visual c\+\+ 14", r"command '[^'\n]{0,80}(?:gcc|cc|clang|cl\.exe|g\+\+|nvcc)'", r"command '\['(?:gcc|cc|clang|g\+\+)'", r"no such file or directory: '[^'\n]{0,200}(?:gcc|cc|clang|g\+\+|nvcc)'",
            r"(?:gcc|cc|clang|g\+\+|cl\.exe)[^\n]{0,60}(?:not found|failed with exit)", r"unable to find vcvarsall", r"error: command [^\n]{1,80} failed", r"cuda_home environment variable is not set", r"python\.h: no such file", r"can't find rust compiler", r"cmake must be installed",
        ),
        what="A package was to be built from source, and that failed.",
        why="There is no ready wheel of it for this Python and system, and building needs a compiler (and headers) that this computer does not have.",
        fix="Use Python 3.10, 3.11 or 3.12, for which wheels exist (`python setup_env.py repair` brings one), or choose another torch build with --cuda.",
    ),
    Rule(
        name="externally-managed",
        signs=(r"externally-managed-environment", r"(?:environment|interpreter at [^\n]{1,300}) is externally managed"),
        what="Packages were to go into the system's own Python, which refuses them.",
        why="This Python belongs to the system; only its package manager may change it. The launcher installs into environments of its own, so its folder .venv is probably broken.",
        fix="Delete the folder .venv and start this again: the launcher makes it anew.",
    ),
    Rule(
        name="bad-requirement",
        signs=(r"invalid requirement:? [`'](?P<package>[^`'\n]{1,120})", r"failed to parse:? [`'](?P<package>[^`'\n]{1,120})", r"invalid requirement", r"expected '-c', '-e', '-r' or the start of a requirement", r"couldn't parse requirement"),
        what="A list of packages has a line that nobody can read.",
        why="Something is wrong in it ({package}): an edit by hand, a conflict mark of git, or a damaged file.",
        fix="Unpack or clone the launcher again over this folder (your runs and environments stay), then start this again.",
    ),
)  # fmt: skip

# What may be only the consequence of a network that failed before.
UNDECIDED = (
    Rule(
        name="build-tools",
        signs=(r"build-system\.requires", r"install(?:ing)? build dependencies[^\n]{0,60}(?:error|did not run)", r"depends on `(?P<package>setuptools|wheel)`, but doesn't declare it", r"backendunavailable", r"cannot import [^\n]{0,40}build_meta", r"invalid command 'bdist_wheel'"),
        what="A package was to be built from source, and its tools (setuptools, wheel) are missing.",
        why="There is no ready wheel of it, and the tools were not found on the package index or in the environment.",
        fix=f"Check that the index also has setuptools and wheel ({INDEX}), then start this again.",
    ),
    Rule(
        name="build-failed",
        signs=(rf"failed (?:to build|building wheel for|to download and build):? `?{PACKAGE}", r"metadata-generation-failed", r"failed to build", r"the build backend returned an error", r"subprocess-exited-with-error", r"egg_info", r"legacy-install-failure"),
        what="{package} was to be built from source, and that failed.",
        why="There is no ready wheel of it for this Python and system, so its own program for building ran, and ended with an error.",
        fix="Use Python 3.10, 3.11 or 3.12, for which wheels exist (`python setup_env.py repair` brings one), or choose another torch build with --cuda.",
    ),
    Rule(
        name="offline-missing",
        signs=(r"network was disabled", rf"because {PACKAGE} was not found in the cache", r"but no network is available", r"--offline"),
        what="{package} is not among the downloads that are here.",
        why="The launcher was told to work without the network.",
        fix="Start this again with the network, or put the missing wheels into the folder that you named.",
    ),
    Rule(
        name="nothing-found",
        signs=(rf"satisfies the requirement {PACKAGE} \(from versions: none\)", rf"no matching distribution found for {PACKAGE}", r"no matching distribution found"),
        what="pip found no fitting {package}.",
        why="Either the configured package index does not have it for this Python and system, or the index refused us (name, password, firewall), or the log-in page of a network came instead: pip does not tell them apart.",
        fix=f"Open any web page in the browser and log in to the network if it asks. See which indexes are asked with `pip config list`. {AGAIN}",
    ),
    Rule(
        name="no-project",
        signs=(rf"because {PACKAGE} was not found in the (?:package registry|provided)", r"was not found in the (?:package registry|provided)", r"no solution found"),
        what="{package} was not found.",
        why="The configured package index does not have it, or does not have it for this Python and system.",
        fix=f"The configured package index does not have what is needed: {INDEX}.",
    ),
    Rule(
        name="no-pip",
        signs=(r"no module named '?pip\b", r"no module named pip\.__main__", r"pip is not installed"),
        what="The environment has no pip.",
        why="It was made without it, or its files were deleted.",
        fix="Delete the folder .venv and start this again: the launcher makes it anew.",
    ),
    Rule(
        name="keyring",
        signs=(r"keyringlocked", r"keyring\.errors", r"keyringerror", r"failed to unlock the collection", r"failed to (?:create|open) the collection"),
        what="The system's store of passwords is locked.",
        why="pip asks it for the password of a package index, and nobody unlocked it.",
        fix="Unlock it, or tell pip not to ask: pip config set global.keyring-provider disabled. Then start this again.",
    ),
)  # fmt: skip
