"""Known failures of the proof: Python, torch, CUDA, xformers, bitsandbytes, accelerate. The form: explain_rule."""

from __future__ import annotations

from launcher.install.explain_rule import AGAIN, WORD, Rule

REPAIR = "Type `python setup_env.py repair`"
DRIVER = "Install the newest driver from nvidia.com/drivers and restart the computer"
REDIST = "Install Microsoft's Visual C++ Redistributable (https://aka.ms/vs/17/release/vc_redist.x64.exe), restart the computer, then start this again"

PYTHON = (
    Rule(
        name="store-python",
        signs=(r"python was not found; run without arguments", r"microsoft store, or disable this shortcut", r"app execution alias"),
        codes=frozenset({9009}),
        what="There is no Python here, only the shortcut to the Microsoft Store.",
        why="Windows has a placeholder called python that opens the Store.",
        fix='Install Python 3.12 from python.org (no administrator rights are needed; tick "Add python.exe to PATH"), open a new window and start this again.',
    ),
    Rule(
        name="venv-parts",
        signs=(r"ensurepip is not available", r"no module named '?ensurepip", r"no module named '?venv\b", r"'-m', 'ensurepip'[^\n]{0,120}non-zero exit", r"distutils[^\n]{0,40}not found", r"python(?P<version>3\.\d{1,2})-venv"),
        what="This Python lacks the parts that make environments.",
        why="Some distributions put the modules venv and ensurepip into a package of their own.",
        fix="Install Python 3.12 from python.org, then start this again with it.",
        linux="Install them (on Debian and Ubuntu: sudo apt install python3-venv), then start this again.",
    ),
    Rule(
        name="python-file-missing",
        signs=(r"can't open file '(?P<file>[^'\n]{1,300})'",),
        what="A program of the launcher or of the trainer is missing.",
        why="Python wanted to run {file}. It was deleted or moved, or a virus scanner took it away.",
        fix=f"{REPAIR}. If the file is the launcher's own, unpack or clone it again over this folder.",
    ),
    Rule(
        name="broken-environment",
        signs=(
            r"no module named 'encodings'", r"failed to inspect python interpreter", r"no virtual environment (?:or system python )?(?:installation )?found", r"querying python at `(?P<file>[^`\n]{1,300})` (?:failed|did not)", r"broken symlink", r"no python at '(?P<file>[^'\n]{1,300})",
            r"could not find platform (?:in)?dependent libraries", r"unable to create process using", r"failed to locate pyvenv\.cfg", r"python interpreter not found at `(?P<file>[^`\n]{1,300})", r"uv trampoline failed", r"init_fs_encoding",
        ),
        what="The environment has lost its Python.",
        why="The Python under it was updated, moved or uninstalled, the folder was moved, or PYTHONHOME is set.",
        fix=f"{REPAIR}: the environment is made anew. For the launcher's own, delete the folder .venv and start this again.",
    ),
    Rule(
        name="no-python",
        signs=(r"no interpreter found for python (?P<version>[\w.<>=,\s]{1,40}?) in", r"no interpreter found", r"no suitable python runtime found", r"can't find a usable init"),
        what="No fitting Python is here.",
        why="The training packages need Python 3.10, 3.11 or 3.12, and none was found.",
        fix="Let the launcher fetch one (start this again and say yes), or install Python 3.12: the launcher finds it.",
    ),
    Rule(
        name="wrong-architecture",
        signs=(r"exec format error", r"winerror (?:193|216)\]", r"not a valid win32 application", r"bad cpu type in executable", r"incompatible architecture", r"wrong elf class"),
        what="A program is for another kind of processor.",
        why="A 32-bit Python, one for ARM or for Intel in the wrong place, or a file that is damaged.",
        fix="Install the 64-bit Python for this processor, then start this again with it.",
    ),
    Rule(
        name="encoding",
        signs=(r"codec can't encode", r"codec can't decode", r"unicode(?:en|de)codeerror"),
        what="A program stumbled over a letter.",
        why="It wrote or read text in the old code page of this system, which lacks that letter (an accent, Chinese, Japanese, an emoji in a path).",
        fix="Set the environment variable PYTHONUTF8 to 1, or move this folder to a path of plain letters; then start this again.",
        windows="Type `setx PYTHONUTF8 1` in a terminal and open a new window, or move this folder to a path of plain letters; then start this again.",
    ),
)  # fmt: skip

TORCH = (
    Rule(
        name="paging-file",
        signs=(r"winerror 1455\]", r"os error 1455\)", r"paging file is too small"),
        what="Windows has too little memory on paper: the page file is too small.",
        why="Loading torch with CUDA reserves many gigabytes, which RAM and page file together must be able to hold.",
        fix="Let Windows choose the size: Settings, System, About, Advanced system settings, Performance, Advanced, Virtual memory, Automatically manage. Keep 20 GB of that drive free, restart, then start this again.",
    ),
    Rule(
        name="torch-cpu",
        signs=(r"torch not compiled with cuda enabled", r"not linked with support for cuda", r"pytorch was not compiled with cuda"),
        what="The torch that is here is the one without CUDA.",
        why="It was chosen with --cuda cpu, or another package or a command by hand (pip install -U ...) has replaced the CUDA build: on Windows the default index has only torch for the processor.",
        fix=f"{REPAIR}: it goes back to the planned build.",
    ),
    Rule(
        name="no-driver",
        signs=(r"found no nvidia driver", r"no cuda gpus are available", r"no cuda-capable device is detected", r"couldn't communicate with the nvidia driver", r"libcuda\.so(?:\.1)?: cannot open", r"nvml: driver not loaded", r"nvcuda\.dll", r"cuda driver[^\n]{0,40}not (?:found|loaded)"),
        what="No NVIDIA driver answers.",
        why="There is no NVIDIA card, the driver is not installed or was not loaded (after a kernel update, or with Secure Boot), or CUDA_VISIBLE_DEVICES hides the card.",
        fix=f"{DRIVER}. On a computer without such a card choose --cuda cpu: it can rehearse, not train.",
    ),
    Rule(
        name="bitsandbytes",
        signs=(r"cuda setup failed", r"libbitsandbytes_\w{1,40}", r"bitsandbytes was compiled without gpu support", r"could not (?:find|load) (?:the )?bitsandbytes", r"cadam\w{0,40} is not defined", r"cget_\w{1,60}", r"bitsandbytes[^\n]{0,80}(?:not installed|no module named)", r"no module named 'bitsandbytes'"),
        what="bitsandbytes (8-bit optimizers) does not run with this torch.",
        why="It brings libraries for certain CUDA versions, and none fits, or it sees no card; very old versions had none for Windows at all.",
        fix=f"{REPAIR}: it goes back to the tested version. Until then choose an optimizer without 8bit in its name (AdamW, Adafactor).",
    ),
    Rule(
        name="dll-missing",
        signs=(r"error loading \"?(?P<file>[^\"\n]{1,300}\.dll)", r"winerror (?:126|127|1114)\]", r"dll load failed while importing (?P<file>\w{1,80})", r"could not find module '(?P<file>[^'\n]{1,300}\.dll)'", r"libomp140"),
        codes=frozenset({3221225781, 3221225785}),  # 0xC0000135 a DLL is missing, 0xC0000139 a function in it
        what="torch (or another package) could not load one of its libraries.",
        why="The file {file} or something it needs is missing: nearly always Microsoft's Visual C++ runtime, else a file that a virus scanner took.",
        fix=f"{REDIST}. If it stays so, look at the virus scanner's quarantine and type `python setup_env.py repair`.",
    ),
    Rule(
        name="glibc",
        signs=(r"version `?(?P<version>(?:glibc|glibcxx|cxxabi)_[\d.]{1,12})'? not found",),
        what="This Linux is too old for a package.",
        why="A library of the system lacks {version}.",
        fix="Update the system (Ubuntu 20.04, Debian 11 or newer are fine). In a conda shell, leave it (`conda deactivate`) and start this again.",
    ),
    Rule(
        name="xformers-build",
        signs=(r"xformers was built for", r"can't load c\+\+/cuda extensions", r"xformers[^\n]{0,100}(?:undefined symbol|dll load failed)", rf"xformers {WORD} requires torch"),
        what="xformers does not fit to the torch that is here.",
        why="Each xformers is built for one torch; another package or a command by hand has replaced one of the two.",
        fix=f"{REPAIR}: it goes back to a pair that fits. Until then train with --sdpa, which needs no xformers.",
    ),
    Rule(
        name="torchvision-build",
        signs=(r"operator torchvision::\w{1,40} does not exist", r"couldn't load custom c\+\+ ops", r"torchvision[^\n]{0,100}undefined symbol"),
        what="torchvision does not fit to the torch that is here.",
        why="The two come from different channels (one for CUDA, one not) or versions; another package or a command by hand has replaced one.",
        fix=f"{REPAIR}: it goes back to a pair that fits.",
    ),
    Rule(
        name="no-kernel",
        signs=(r"no kernel image is available", r"is not compatible with the current pytorch installation", r"sm_(?P<version>\d{2,3}) is not compatible", r"cuda error: invalid device function", r"no longer supports this gpu because it is too old", r"ptx was compiled with an unsupported toolchain|unsupported ptx version"),
        what="This torch build has no code for your graphics card.",
        why="Each build serves certain generations: RTX 50 needs cu128, GTX 10 and older need cu126 or earlier.",
        fix="Install the build for your card: `python setup_env.py install --cuda cu128` for RTX 50, `--cuda cu121` or `--cuda cu124` for older ones; without --cuda the launcher chooses.",
    ),
    Rule(
        name="driver-old",
        signs=(r"driver on your system is too old \(found version (?P<version>\d{1,6})\)", r"cuda driver version is insufficient", r"driver/library version mismatch", r"forward compatibility was attempted on non supported hw", r"insufficient driver"),
        what="The NVIDIA driver is too old for this torch build (or half updated).",
        why="CUDA 12 needs driver 525 or newer on Linux, 528 on Windows; RTX 50 needs 570. After an update without a restart, old and new parts meet.",
        fix=f"{DRIVER}; or choose a build for old drivers with --cuda cu118.",
    ),
    Rule(
        name="cuda-memory",
        signs=(r"cuda out of memory", r"cuda error: out of memory", r"cuda_error_out_of_memory", r"cublas_status_alloc_failed", r"cudnn_status_alloc_failed", r"cudaerrormemoryallocation"),
        what="The graphics card's memory is full.",
        why="The check needs little: another program uses the card (a training, a web UI, a game, a browser with many tabs).",
        fix="Close the other programs that use the card (nvidia-smi lists them), then start this again.",
    ),
    Rule(
        name="cuda-unknown",
        signs=(r"cuda unknown error", r"cuda error: unknown error", r"cuda error: initialization error", r"cuda_error_unknown", r"cudaerrordevicesunavailable", r"device(?:\(s\))? (?:is|is/are) busy or unavailable", r"all cuda-capable devices are busy", r"system not yet initialized", r"gpu is lost|fallen off the bus|unspecified launch failure"),
        what="The NVIDIA driver is confused.",
        why="This happens after standby, after a driver update without a restart, after a crash of the card, or when CUDA_VISIBLE_DEVICES names a card that is not there.",
        fix="Restart the computer, then start this again. If it stays so: install the newest driver, and take out CUDA_VISIBLE_DEVICES.",
        linux="Restart the computer, or type `sudo modprobe -r nvidia_uvm && sudo modprobe nvidia_uvm`, then start this again. If it stays so: install the newest driver, and take out CUDA_VISIBLE_DEVICES.",
    ),
    Rule(
        name="xformers-operator",
        signs=(r"no operator found for `memory_efficient_attention", r"xformers[^\n]{0,80}is not available", r"operator wasn't built - see"),
        what="xformers has nothing for this card.",
        why="Its wheels lack code for very old and for the newest cards (RTX 50), and it does nothing on the processor.",
        fix="Train with --sdpa, which is built into torch and about as fast; the launcher chooses it by itself when this happens in the proof.",
    ),
    Rule(
        name="shared-library",
        signs=(r"(?P<file>lib[\w+.-]{1,60}\.so[\d.]{0,12}): cannot open shared object file", r"(?P<file>lib[\w+.-]{1,60}\.so[\d.]{0,12}): undefined symbol", r"undefined symbol: \w{1,100}", r"library not loaded: (?P<file>[^\n]{1,200})", r"(?P<file>lib[\w+.-]{1,60}\.so[\d.]{0,12}): (?:file too short|invalid elf)"),
        what="A library that torch (or another package) needs is missing or does not fit.",
        why="{file} could not be loaded: files of the nvidia packages are missing, LD_LIBRARY_PATH puts others in front, or the system lacks a package (libGL.so.1 comes with libgl1).",
        fix="Take LD_LIBRARY_PATH out (`unset LD_LIBRARY_PATH`) and start this again; then type `python setup_env.py repair`. For a library of the system, install its package.",
    ),
    Rule(
        name="numpy-two",
        signs=(r"compiled using numpy 1\.x", r"numpy\.core\.multiarray failed to import", r"_array_api not found", r"numpy\.dtype size changed", r"numpy is not available", r"np\.(?:float|int|bool|object|float_)` was (?:a deprecated alias|removed)", r"module 'numpy' has no attribute"),
        what="numpy is newer than a package can bear.",
        why="Older packages (OpenCV before 4.10, torch before 2.3) were built for numpy 1 and stop at numpy 2; another package or a command by hand has replaced it.",
        fix=f"{REPAIR}: it goes back to the tested numpy.",
    ),
    Rule(
        name="accelerate-fp8",
        signs=(r"fp8 is not available on this machine", r"`?fp8`? precision requires", r"either torchao, transformer[\s_]engine", r"transformer[\s_]engine[^\n]{0,80}(?:install|not found|no module)", r"no module named 'transformer_engine", r"ms-?amp[^\n]{0,60}(?:install|not found)", r"expected str, bytes or os\.pathlike object, not bool"),
        what="accelerate was told to compute in fp8, which it cannot do here.",
        why="A configuration of accelerate says `mixed_precision: fp8`. For training on 8 GB that is not needed: the trainer keeps its base weights in fp8 by itself (--fp8_base) and computes in bf16.",
        fix=f"{REPAIR}: the launcher starts training with a configuration of its own and the right --mixed_precision. Do not install TransformerEngine or torchao.",
    ),
    Rule(
        name="accelerate-keys",
        signs=(r"had unknown keys \(\[?(?P<version>[^)\]\n]{1,120})",),
        what="accelerate does not know its own configuration file.",
        why="The file was written by another version ({version}).",
        fix=f"{REPAIR}: the launcher writes its own file anew and leaves yours alone.",
    ),
    Rule(
        name="no-library",
        signs=(r"no module named '?(?P<package>library|networks)\b", r"no module named 'train_network'|no module named 'sdxl_train_network'"),
        what="The trainer does not find its own files.",
        why="The folder `library` of sd-scripts is missing, or the trainer was started from another folder.",
        fix=f"{REPAIR}: the launcher looks whether the trainer's source is complete and starts it in its folder.",
    ),
    Rule(
        name="hub",
        signs=(r"can't load tokenizer for '(?P<package>[^'\n]{1,120})'", r"couldn't connect to 'https://huggingface\.co'", r"localentrynotfounderror", r"outgoing traffic has been disabled", r"cannot find the requested files in the (?:disk|local) cache", r"is not a local folder and is not a valid model identifier"),
        what="The tokenizers of SDXL are not here.",
        why="They come from the model hub once, at the installation ({package}); the hub was blocked or the network was off.",
        fix=f"{REPAIR} with the network on, or name a mirror in the variable HF_ENDPOINT, or a folder that has them.",
    ),
    Rule(
        name="file-damaged",
        signs=(r"error while deserializing header", r"headertoolarge", r"invalidheader(?:deserialization|length)", r"metadataincompletebuffer", r"pytorchstreamreader failed"),
        what="A file of weights is damaged.",
        why="A download broke off, or a web page was saved in its place.",
        fix="Download the file again and compare its size with the one on the page it comes from.",
    ),
)  # fmt: skip

# What is said when nothing else explains it.
LAST = (
    Rule(
        name="out-of-memory",
        signs=(r"^memoryerror", r"\bmemoryerror\b", r"cannot allocate memory", r"can't allocate memory", r"not enough memory", r"\[errno 12\]", r"winerror (?:8|14)\]", r"std::bad_alloc", r"out of memory", r"insufficient memory"),
        codes=frozenset({-9, 137, 3221225495}),  # killed (by the system, when memory runs out); 0xC0000017
        what="The computer's memory (RAM) is full.",
        why="A program asked for more than there is, or the system ended it to save the rest.",
        fix=f"Close other programs, or make the swap (page) file larger. {AGAIN}",
    ),
    Rule(
        name="module-missing",
        signs=(rf"^(?:modulenotfounderror|importerror): no module named '(?P<package>{WORD})'", r"cannot import name '(?P<package>\w{1,80})'"),
        what="A package is missing or does not fit: {package}.",
        why="The installation was interrupted, or another package or a command by hand has replaced something.",
        fix=f"{REPAIR}: the launcher puts in what is missing.",
    ),
    Rule(
        name="old-processor",
        signs=(r"illegal instruction", r"0xc000001d"),
        codes=frozenset({-4, 132, 3221225501}),
        what="The processor does not know an instruction that torch uses.",
        why="It is very old (no AVX), or a virtual machine hides what the real one can do.",
        fix="Use a computer with a processor of 2013 or later; in a virtual machine pass the real processor through (CPU type host).",
    ),
    Rule(
        name="crashed",
        signs=(r"segmentation fault", r"0xc0000005", r"access violation", r"fatal python error"),
        codes=frozenset({-11, -6, -7, 139, 134, 135, 3221225477, 3221226505}),
        what="The program crashed.",
        why="Libraries of different builds are mixed, the NVIDIA driver is faulty, or memory is bad.",
        fix=f"{REPAIR}. If it comes back: {DRIVER[0].lower()}{DRIVER[1:]}, and take overclocking back.",
    ),
    Rule(
        name="stopped",
        signs=(r"^keyboardinterrupt",),
        codes=frozenset({-2, -15, -1, 130, 143, 3221225786}),
        what="It was stopped from outside.",
        why="Somebody pressed Ctrl-C, closed the window, or the system is shutting down.",
        fix=AGAIN,
    ),
)  # fmt: skip
