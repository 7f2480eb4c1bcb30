"""Runs inside an environment of sd-scripts: its own parser, and what it reads out of configuration files.

python tests/options_probe.py CODE FILE... prints one JSON line: {"options": [...], "files": [{name: [type, value]}, ...]}
"""

import json
import sys


def main(code, files):
    sys.path.insert(0, code)
    import sdxl_train_network
    from library import train_util

    parser = sdxl_train_network.setup_parser()
    read = []
    for file in files:
        sys.argv = ["sdxl_train_network.py", "--config_file", file]
        args = train_util.read_config_from_file(parser.parse_args(), parser)
        read.append({name: [type(value).__name__, shown(value)] for name, value in vars(args).items()})
    options = [described(action) for action in parser._actions if action.dest != "help"]
    print("PROBE" + json.dumps({"options": options, "files": read}))


def described(action):
    kind = "flag" if type(action).__name__ == "_StoreTrueAction" else getattr(action.type, "__name__", "str")
    return {
        "name": action.option_strings[0][2:],
        "type": "path" if kind == "Path" else kind,
        "default": action.default,
        "many": action.nargs == "*",
        "choices": None
        if action.choices is None
        else [str(item) for item in action.choices if item is not None],
    }


def shown(value):
    return value if isinstance(value, (str, int, float, bool, list, type(None))) else str(value)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
