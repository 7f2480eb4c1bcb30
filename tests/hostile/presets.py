"""Files that are named as a preset."""

from tests.hostile.case import Case, file_of, folder_of, link_to, pipe_of

NAME = "mine.toml"
HEAD = '[preset]\ntitle = "mine"\nextends = "style-8gb"\n'


def preset(name, content, says, **more):
    if isinstance(content, str):
        content = content.encode("utf-8", "surrogatepass")
    return Case(name=name, build=content if callable(content) else file_of(NAME, content), says=says, **more)


def options(line):
    return f"{HEAD}[options]\n{line}\n"


def loop(length):
    """Presets that extend one another in a ring."""

    def build(folder):
        for number in range(length):
            text = f'[preset]\ntitle = "x"\nextends = "r{(number + 1) % length}.toml"\n'
            (folder / f"r{number}.toml").write_text(text, encoding="utf-8")
        return folder / "r0.toml"

    return build


PRESETS = (
    preset("empty", b"", "preset"),
    preset("binary", bytes(range(256)) * 20, "binary"),
    preset("UTF-16", options("seed = 1").encode("utf-16"), "UTF-16"),
    preset("cp932", options('output_name = "訓練"').encode("cp932"), "not UTF-8"),
    preset("5 MB", file_of(NAME, lambda: options("# " + "x" * 5_000_000).encode()), "larger than"),
    preset("deep lists", options("network_args = " + "[" * 100_000), "too deeply"),
    preset("deep tables", options("network_args = " + "{a=" * 50_000), "too deeply"),
    preset("a key of 20,000 dots", options(".".join(["a"] * 20_000) + " = 1"), "too many parts"),
    preset("20,000 unknown keys", options("\n".join(f"k{n} = 1" for n in range(20_000))), "20004 keys"),
    preset("a key of 200,000 characters", options(f"{'k' * 200_000} = 1"), "not an option"),
    preset("a table of 200,000 characters", f"{HEAD}[{'k' * 200_000}]\n", "not a table"),
    preset("a header of 5,000 dots and keys below", f"{HEAD}[{'.'.join(['a'] * 5000)}]\n" + "\n".join(f"k{n}=1" for n in range(9_000)), "too many parts"),
    preset("unclosed", options('output_name = "'), "not TOML"),
    preset("a key twice", options("seed = 1\nseed = 2"), "not TOML"),
    preset("a rate of 1e400", options("learning_rate = 1e400"), "finite"),
    preset("a rate of nan", options("learning_rate = nan"), "finite"),
    preset("a number of 100,000 digits", options(f"seed = {'9' * 100_000}"), "far too many digits"),
    preset("a hexadecimal number of 100,000 digits", options(f"seed = 0x{'f' * 100_000}"), "far too large"),
    preset("steps beyond reason", options("max_train_steps = 999999999999999999"), "too large"),
    preset("steps below nothing", options("max_train_steps = -5"), "at least 1"),
    preset("a date as a rate", options("learning_rate = 2026-01-01"), "a number"),
    preset("a text of 200,000 characters", options(f'training_comment = "{"x" * 200_000}"'), "200000 characters"),
    preset("a zero character in a path", options('vae = "a\\u0000b"'), "zero character"),
    preset("a program among the options", options('resume = "x; rm -rf ~"'), "resume"),
    preset("a ring of two", loop(2), "extend"),
    preset("itself", loop(1), "extend"),
    preset("a chain of 200", lambda folder: chain_of(folder, 200), "extend"),
    preset("extends a system file", '[preset]\ntitle = "x"\nextends = "../../../../../../etc/passwd"\n', "no preset called"),
    preset("extends a device", '[preset]\ntitle = "x"\nextends = "/dev/zero"\n', "no preset called"),
    preset("extends a list", '[preset]\ntitle = "x"\nextends = ["a"]\n', "extends"),
    preset("title with colours", '[preset]\ntitle = "\\u001b[31mred"\nextends = "style-8gb"\n', ""),
    preset("a byte order mark", b"\xef\xbb\xbf" + options("seed = 1").encode(), ""),
    preset("200,000 blank lines", options("\n" * 200_000), ""),
    preset("a path trick for a name", options('output_name = "../../x"'), "output_name"),
    preset("a folder", folder_of(NAME), "a folder"),
    preset("a pipe", pipe_of(NAME), "it is a pipe"),
    preset("an endless device", link_to(NAME, "/dev/zero"), "a device"),
    preset("a link to itself", link_to(NAME, NAME), "leads nowhere"),
)  # fmt: skip


def chain_of(folder, length):
    for number in range(length):
        (folder / f"r{number}.toml").write_text(f'[preset]\ntitle = "x"\nextends = "r{number + 1}.toml"\n')
    (folder / f"r{length}.toml").write_text(HEAD)
    return folder / "r0.toml"
