"""A plan as a plain script that trains the same without the launcher, for people who share.

The way: `words` the trainer's words of a plan → `dataset` a folder or a TOML file beside the script → `script` everything that
a language needs, with what is lost (`lost`) → `languages` the text of the file → `exporting` new files, never over others.

The words are those that `importer` reads back: importing an exported script gives the same plan, the launcher's own
switches too (`# launcher: NAME = VALUE`, read by `importer.remarks`).
"""

from launcher.exporter.exporting import Exported, export, write
from launcher.exporter.languages import LANGUAGES

__all__ = ["LANGUAGES", "Exported", "export", "write"]
