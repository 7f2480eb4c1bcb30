"""Settings of other tools: kohya_ss, LoRA_Easy_Training_Scripts, sd-scripts' own TOML files, OneTrainer, trained LoRA files.

Each is known by its content, not by its name. `read_tool` finds the reader; every reader makes the words that sd-scripts'
command line would have (`gathering`), so that all behind it is the same as for scripts.

To add a tool: a module with `is_x(tables)` and `read_x(source, tree, table)`, and its line in `recognise.READERS`.
"""

from launcher.importer.tools.recognise import SUFFIXES, load, may_be_settings, read_tool

__all__ = ["SUFFIXES", "load", "may_be_settings", "read_tool"]
