"""sd-scripts' own parser, run by its environment: reads a list of command lines (JSON) and answers what each sets.

`python real_parser.py CODE < lines.json`; of a line that it refuses the answer is null.
"""

import contextlib
import io
import json
import sys

sys.path.insert(0, sys.argv[1])
import sdxl_train_network

parser = sdxl_train_network.setup_parser()
defaults = vars(parser.parse_args([]))
answers = []
for words in json.load(sys.stdin):
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            found = vars(parser.parse_args(words))
        except SystemExit:
            answers.append(None)
            continue
    answers.append({name: value for name, value in found.items() if value != defaults[name]})
sys.stdout.write("\n" + json.dumps(answers, default=str) + "\n")
