"""PowerShell scripts: `read_powershell` turns one into launches without running anything.

The way: `scanner` characters, `expressions`, `commands` and `parser` the tree (`tree`), `evaluator` its meaning
(`values`, `operators`, `members`, `cmdlets`, `programs`), `state` what comes out.
"""

from launcher.importer.powershell.reader import read_powershell

__all__ = ["read_powershell"]
