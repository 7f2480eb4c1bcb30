"""Training scripts of others become presets: read, never run.

The way: `source` a decoded file → a reader of its format (`formats`) → `launch.Reading` with `launch.Launch` records →
`classify` (an SDXL LoRA run, or the right name of what it is) → `words` and `translate` (options of the trainer) →
`nearest` and `write` (a preset that extends a shipped one) → `outcome.Import`, which `commands` and `ui` show.

To add a format of scripts (batch, shell): write a module with a function `read_x(source) -> Reading` and name it in
`formats.READERS`. It evaluates the script's variables and hands each command line as `Word`s (text, line, and `unknown`
with the reason where the value is not known) to `launch.split_command`, which finds program, script and options; what it
returns goes into `Reading.launches`, what is no launch into `Reading.programs`. Everything behind that is the same
for all formats.

To add settings of another tool (JSON, TOML): see `tools`. It gathers the words that a command line would have
(`tools.gathering`) and returns a `Reading` with one `Launch` whose script is `classify.LORA`; what it changed, dropped or
could not map goes into that launch's `changed`, `dropped` and `unread`, each with its line. A file that can tell of some
options only (a dataset file, a LoRA) names them in `Launch.says`: the shipped preset's values stand for the others.
"""
