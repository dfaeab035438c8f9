"""What the GPU of this machine does at most: the limits that the tables of docs/gpu.md are measured against.

    python bench/gpu_limits.py [--output FILE]

Compiles ``gpu_limits.cu`` by nvcc for the card, runs it, and prints a table: operations of 32 bits a second, and how
many pairs of 64-bit codes a second follow from each.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("gpu_limits.cu")

# What is measured, its unit, and how many of it a pair of 64-bit codes takes (docs/gpu.md).
ROWS = {
    "logic": ("LOP3 of 32 bits", 95 / 32),
    "popc": ("POPC of 32 bits", 2),
    "shared_words": ("words of shared memory", 39 / 32),
    "bit_products": ("products of bits (BMMA)", 128),
    "read_bytes": ("bytes read", 0.56 * 8),
}


def measure() -> dict[str, Any]:
    """The limits by name, a second."""
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(folder) / "limits")
        subprocess.run(["nvcc", "-O3", "-std=c++17", "-arch=native", str(SOURCE), "-o", program], check=True)
        found: dict[str, Any] = json.loads(subprocess.run([program], check=True, capture_output=True, text=True).stdout)
    return found


def table(limits: dict[str, Any]) -> str:
    """The limits for a reader."""
    lines = [f"{limits['name']}, {limits['processors']} multiprocessors", ""]
    lines += ["| limit | 10^12 a second | 10^12 pairs of 64 bits a second |", "| --- | ---: | ---: |"]
    for name, (what, each) in ROWS.items():
        lines.append(f"| {what} | {limits[name] / 1e12:.2f} | {limits[name] / each / 1e12:.2f} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="a file for the numbers, JSON")
    given = parser.parse_args()
    limits = measure()
    if given.output:
        given.output.write_text(json.dumps(limits) + "\n", encoding="utf-8")
    print(table(limits))
    return 0


if __name__ == "__main__":
    sys.exit(main())
