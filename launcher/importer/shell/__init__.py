"""Scripts of the Unix shells (`.sh`, `.bash`), read and never run.

Parsed by tree-sitter with its Bash grammar (both MIT, compiled wheels for every system, 0.2 MB and 0.6 MB). The other
candidate, bashlex, is under the GPL, which a program under the Apache licence cannot simply take in, and gives up at the
first thing it does not know; tree-sitter marks that place and goes on. What words mean is ours: POSIX.1-2017, Shell Command
Language (chapter 2), and the Bash manual for arrays, `[[ ]]` and `${x//a/b}`.
"""

from launcher.importer.shell.reader import read_shell

__all__ = ["read_shell"]
