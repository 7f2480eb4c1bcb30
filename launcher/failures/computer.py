"""Failures of the computer: RAM, page file, drives, files that are held. The form: rule."""

from __future__ import annotations

from launcher.failures.rule import Kind

QUOTED = r"[`'\"](?P<file>[^`'\"\n]{1,300})[`'\"]"
ROOM = "Make room on that drive, then go on: a run needs a save (100 to 400 MB) and a state (300 MB to 1 GB) each time. Old runs are in runs/."

PAGING = (
    Kind(
        name="paging-file",
        title="page file too small",
        signs=(r"winerror 1455\]", r"os error 1455\)", r"paging file is too small", r"页面文件太小", r"ページング ?ファイル"),
        in_log=True,
        what="Windows ran out of memory on paper: the page file is too small.",
        why="Loading the model and torch's libraries reserves tens of gigabytes, which RAM and page file together must be able to hold; each dataloader worker loads torch once more.",
        fix="Let Windows choose its size (Settings, System, About, Advanced system settings, Performance, Advanced, Virtual memory, Automatically manage) on a drive with 30 GB free, restart, then go on. --set max_data_loader_n_workers=0 helps, too.",
        going_on=("max_data_loader_n_workers=0",),
    ),
)  # fmt: skip

FILES = (
    Kind(
        name="disk-full",
        title="disk full",
        signs=(
            rf"no space left on device[^\n]{{0,20}}: {QUOTED}", r"no space left on device", r"there is not enough space on the disk", r"\(os error (?:28|112)\)", r"os \{ code: (?:28|112),",
            r"winerror 112\]", r"\[errno 28\]", r"disk quota exceeded", r"the disk is full", r"磁盘空间不足", r"unexpected pos \d{1,12} vs \d{1,12}",
            r"enforce fail at inline_container\.cc[^\n]{0,40}pytorchstreamwriter failed",
        ),
        what="The drive is full.",
        why="A LoRA, a state or a cache could not be written.",
        fix=ROOM,
    ),
    Kind(
        name="read-only",
        title="drive is read-only",
        signs=(rf"read-only file system: {QUOTED}", r"read-only file system", r"\[errno 30\]", r"\(os error 30\)", r"winerror 19\]", r"media is write protected"),
        what="The drive cannot be written to.",
        why="It is mounted read-only: write-protected, or taken out of service after errors.",
        fix="Have the drive checked, or move the launcher's folder to another one, then go on.",
    ),
    Kind(
        name="file-locked",
        title="file in use",
        signs=(
            r"os error 1224\)", r"os \{ code: (?:1224|32|33),", r"winerror 1224\]", r"user-mapped section open", rf"winerror (?:5|32|33)\][^\n]{{0,120}}: {QUOTED}", r"winerror (?:32|33)\]", r"\(os error (?:32|33)\)",
            r"being used by another process", r"cannot access the file because",
        ),
        what="A file that was to be written is held by another program.",
        why="Most often the LoRA is loaded in a web UI; else a virus scanner, OneDrive or a preview holds it.",
        fix="Unload the LoRA in the web UI (or close it) and go on; keep the launcher's folder out of OneDrive.",
    ),
    Kind(
        name="permission",
        title="no permission",
        signs=(rf"permissionerror: \[errno 13\][^\n]{{0,60}}: {QUOTED}", r"permissionerror", r"\(os error (?:5|13)\)", r"winerror 5\]", r"access is denied|zugriff verweigert|拒绝访问"),
        what="A file or folder may not be read or written: {file}.",
        why="It belongs to another user, is write-protected, or Windows' controlled folder access guards it.",
        fix="Check the rights of the folder (and Windows Security, Ransomware protection), then go on.",
    ),
)  # fmt: skip

WORKERS = (
    Kind(
        name="worker-died",
        title="a loader process died",
        signs=(r"dataloader worker \(pid(?:\(s\))? [\d,\s]{1,60}\)", r"unable to open shared memory object", r"bus error[^\n]{0,80}shared memory", r"received 0 items of ancdata", r"brokenpipeerror[^\n]{0,200}spawn"),
        what="A process that loads the images died.",
        why="Nearly always the computer ran out of RAM (or of shared memory, in a container): each worker is a whole Python of its own.",
        fix="Go on without workers (--set max_data_loader_n_workers=0): with cached latents they gain next to nothing.",
        going_on=("max_data_loader_n_workers=0",),
    ),
)  # fmt: skip

MEMORY = (
    Kind(
        name="ram",
        title="RAM full",
        errors=frozenset({"MemoryError"}),
        signs=(
            r"defaultcpuallocator", r"can't allocate memory", r"cannot allocate memory", r"not enough memory: you tried to allocate", r"std::bad_alloc", r"\bmemoryerror\b",
            r"\[errno 12\]", r"winerror (?:8|14)\]", r"\(os error (?:12|1450)\)", r"insufficient system resources", r"too little free ram",
        ),
        codes=frozenset({3221225495}),
        what="The computer's memory (RAM) is full.",
        why="Loading a base model and caching text-encoder outputs take the most; a browser and a web UI easily hold as much again.",
        fix="Close other programs and go on; enlarge the page file (Windows) or add swap (Linux). --set max_data_loader_n_workers=0 saves some.",
        going_on=("max_data_loader_n_workers=0",),
    ),
)  # fmt: skip
