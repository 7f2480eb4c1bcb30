"""Batch scripts of Windows (`.bat`, `.cmd`), read and never run.

cmd.exe has no grammar on paper. The rules here follow `help set`, `help if`, `help for` and `help call` of Windows, and
the description of its phases (percent signs first, then carets and quotes, then `for`, then exclamation marks) that is known
as "How does the Windows Command Interpreter (CMD.EXE) parse scripts?" (Stack Overflow 4094699). As in cmd, a line is
expanded when it is read: inside a bracketed block `%X%` is what X was before the block.
"""

from launcher.importer.batch.reader import read_batch

__all__ = ["read_batch"]
