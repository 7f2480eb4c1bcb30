"""The check of many small images against a bare Pillow loop, and the second one against the first; the same of the whole command.

    python tests/benchmarks/bench_pictures.py [--count 100000] [--side 256] [--threads 2] [--folder DIR]

Makes the images itself (JPEG, PNG and WebP in turn, noise over colour, so that they decode like photographs), 18,000 of them
drawn and the rest their copies with eight bytes more at the end; each with a caption of 13 tags), then runs in one process each, with the same number of threads:

    bare     Image.open and load of every file, handed out in groups of 16
    first    look_at with an empty store, and the copies among all looks
    second   the same again, from the store
    check    `launcher check FOLDER --json` in a home of its own: images, captions, copies, buckets, steps
    again    the same again: must say the same, byte for byte

Prints seconds, the two ratios that the project promises (first : bare <= 1.5, check : again >= 50) and the peak memory of
each process. Every pass of pictures reads the files once before, so that none pays for the disk.
"""

import argparse
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from launcher.pictures import Copies, look_at

KINDS = ("jpg", "png", "webp")
GROUP = 16
DRAWN = 18_000
TAGS = [f"{kind} {thing}" for kind in ("long", "short", "blue", "red", "white", "black", "wide", "open") for thing in ("hair", "eyes", "dress", "sky", "tree", "flower", "hand", "book")]  # fmt: skip


def make(folder, count, side):
    """Images that differ: a patch of one large noise picture over some spots of colour."""
    folder.mkdir(parents=True, exist_ok=True)
    noise = Image.effect_noise((side * 4, side * 4), 40)
    for number in range(count):
        path = folder / f"{number:06}.{KINDS[number % len(KINDS)]}"
        if path.exists():
            continue
        if number >= DRAWN:  # the same picture in other bytes: decoding costs the same, making it nothing
            model = folder / f"{number % DRAWN:06}.{KINDS[number % DRAWN % len(KINDS)]}"
            path.with_suffix(model.suffix).write_bytes(model.read_bytes() + number.to_bytes(8, "big"))
            continue
        dice = random.Random(number)
        ground = Image.frombytes("RGB", (7, 7), dice.randbytes(147)).resize(
            (side, side), Image.Resampling.BICUBIC
        )
        x, y = dice.randrange(side * 3), dice.randrange(side * 3)
        patch = noise.crop((x, y, x + side, y + side)).convert("RGB")
        options = {"compress_level": 1} if path.suffix == ".png" else {"quality": 85, "method": 0}
        Image.blend(ground, patch, 0.4).save(path, **options)


def describe(folder):
    """A caption beside every image."""
    dice = random.Random(5)
    for path in sorted(folder.iterdir()):
        caption = path.with_suffix(".txt")
        if path.suffix != ".txt" and not caption.exists():
            caption.write_text(", ".join(["mystyle", *dice.sample(TAGS, 12)]), encoding="utf-8")


def bare(paths, threads):
    def load(group):
        for path in group:
            with Image.open(path) as image:
                image.load()

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(load, (paths[at : at + GROUP] for at in range(0, len(paths), GROUP))))


def check(paths, threads, store):
    copies, faults = Copies(), 0
    for look in look_at(paths, store=store, threads=threads):
        copies.add(look)
        faults += bool(look.fault)
    looked = time.perf_counter()
    same, alike = copies.same_files(), copies.alike()
    print(
        f"copies {len(same)}, groups alike {len(alike)} in {time.perf_counter() - looked:.2f} s, faults {faults}"
    )


def one_pass(name, folder, store, threads):
    paths = sorted(path for path in folder.iterdir() if path.suffix != ".txt")
    for path in paths:
        path.read_bytes()
    began, cpu = time.perf_counter(), time.process_time()
    if name == "bare":
        bare(paths, threads)
    else:
        check(paths, threads, store)
    print(f"{name}: {len(paths)} images")
    print(
        time.perf_counter() - began,
        time.process_time() - cpu,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


def whole(folder, home):
    """The command as a user starts it: what it printed, wall and processor seconds, peak in MiB."""
    environ = {**os.environ, "LAUNCHER_HOME": str(home), "PYTHONPYCACHEPREFIX": str(home / "pycache")}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    words = [sys.executable, "-m", "launcher", "check", str(folder), "--json"]
    began = time.perf_counter()
    child = subprocess.Popen(words, env=environ, stdout=subprocess.PIPE)
    text = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode in {0, 5, 9}, child.returncode
    return text, time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def both(folder, scratch):
    texts, took = [], []
    (scratch / "empty").mkdir()
    whole(scratch / "empty", scratch / "home")  # a first start writes the modules' bytecode
    for name in ("check", "again"):
        text, wall, cpu, peak = whole(folder, scratch / "home")
        texts.append(text)
        took.append((wall, cpu))
        print(f"{name:7} {wall:8.2f} s  (processor {cpu:8.2f} s)  peak {peak:6.0f} MiB", flush=True)
    assert texts[0] == texts[1]
    print(f"check : again   {took[0][0] / took[1][0]:6.1f}   (processor {took[0][1] / took[1][1]:.1f})")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--one", choices=("bare", "first", "second"), help=argparse.SUPPRESS)
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        one_pass(options.one, options.folder, options.store, options.threads)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch) / "images"
        make(folder, options.count, options.side)
        describe(folder)
        time.sleep(3)  # a file that changed a moment ago is not remembered
        both(folder, Path(scratch))
        took = {}
        for name in ("bare", "first", "second"):
            words = [
                "--one",
                name,
                "--folder",
                folder,
                "--store",
                Path(scratch) / "store.sqlite",
                "--threads",
                options.threads,
            ]
            done = subprocess.run(
                [sys.executable, __file__, *map(str, words)],
                check=True,
                capture_output=True,
                encoding="utf-8",
            )
            *words, numbers = done.stdout.splitlines()
            wall, cpu, peak = map(float, numbers.split())
            took[name] = wall, cpu
            print(
                f"{name:7} {wall:8.2f} s  (processor {cpu:8.2f} s)  peak {peak:6.0f} MiB   {'; '.join(words)}",
                flush=True,
            )
        print(
            f"first : bare    {took['first'][0] / took['bare'][0]:6.2f}   (processor {took['first'][1] / took['bare'][1]:.2f})"
        )
        print(
            f"first : second  {took['first'][0] / took['second'][0]:6.1f}   (processor {took['first'][1] / took['second'][1]:.1f})"
        )


if __name__ == "__main__":
    main()
