"""What the compiled loop of the scan holds: the table of instructions in docs/gpu.md. Needs nvcc and cuobjdump, no GPU.

    python bench/gpu_instructions.py [--architecture 90] [--cuobjdump PATH]

Of each kernel that scans from shared memory, the loop over 16 slices: the smallest that loads them.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "csrc" / "hamming" / "cuda" / "hamming.cu"

KERNEL = re.compile(r"Function : \S*?4ScanILi(\d+)ELi(\d+)ELb1E")
INSTRUCTION = re.compile(r"/\*([0-9a-f]{4,})\*/\s+(.*?);")
# Done by the unit of LOP3, 64 lanes a clock; IMAD and its kind are another's, and loads are counted by themselves.
SAME_UNIT = ("LOP3", "LEA", "PRMT", "SHF", "IADD3", "VIADD", "ISETP", "SEL", "VIMNMX")


def loops(code: list[tuple[int, str]]) -> list[list[str]]:
    """Instructions of every loop: from the target of a branch back to the branch."""
    addresses = [at for at, _ in code]
    found = []
    for i, (at, text) in enumerate(code):
        target = re.search(r"BRA\S*\s+(?:\S+,\s*)?0x([0-9a-f]+)", text)
        if target and int(target[1], 16) <= at and int(target[1], 16) in addresses:
            found.append([text for _, text in code[addresses.index(int(target[1], 16)) : i + 1]])
    return found


def operation(text: str) -> str:
    """The name of an instruction, without its predicate."""
    return re.sub(r"^@!?U?P\w+\s+", "", text).split()[0]


def kernels(listing: str) -> dict[tuple[int, int], Counter[str]]:
    """By planes and words: operations of the loop."""
    found = {}
    for part in re.split(r"(?=\s+Function : )", listing):
        name = KERNEL.search(part)
        if name is None:
            continue
        code = [(int(m[1], 16), m[2]) for m in INSTRUCTION.finditer(part)]
        loading = [loop for loop in loops(code) if sum(operation(t).startswith("LDS") for t in loop) >= 16]
        if loading:
            found[int(name[1]), int(name[2])] = Counter(map(operation, min(loading, key=len)))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default="90")
    parser.add_argument("--cuobjdump", default="cuobjdump")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compiled = str(Path(folder) / "hamming.cubin")
        options = ["-O3", "-std=c++17", f"-I{ROOT / 'csrc'}", f"-arch=sm_{given.architecture}", "-cubin"]
        subprocess.run(["nvcc", *options, str(SOURCE), "-o", compiled], check=True)
        command = [given.cuobjdump, "-sass", compiled]
        listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    print("| bits up to | W | LOP3 | others of the same unit | multiplications | loads | all | LOP3 a slice and word |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for (planes, words), counts in sorted(kernels(listing).items()):
        starts = {kind: sum(n for name, n in counts.items() if name.startswith(kind)) for kind in (*SAME_UNIT, "IMAD")}
        loads = sum(n for name, n in counts.items() if name.startswith("LDS"))
        others = sum(starts[kind] for kind in SAME_UNIT) - starts["LOP3"]
        cells = [2**planes, words, starts["LOP3"], others, starts["IMAD"], loads, sum(counts.values())]
        print(f"| {' | '.join(map(str, cells))} | {starts['LOP3'] / (16 * words):.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
