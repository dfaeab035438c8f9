"""What the GPU of this machine does at most: the limits that the tables of docs/gpu.md are measured against.

    python bench/gpu_limits.py [--output FILE]

Compiles ``gpu_limits.cu`` by nvcc for the card, runs it, and prints a table: operations of 32 bits a second, and how
many pairs of 64-bit codes a second follow from each. A second table has scans by tensor cores (``gpu_products.cu``).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

# What is measured, its unit, and how many of it a pair of 64-bit codes takes (docs/gpu.md).
ROWS = {
    "logic": ("LOP3 of 32 bits", 95 / 32),
    "popc": ("POPC of 32 bits", 2),
    "shared_words": ("words of shared memory", 39 / 32),
    "bit_products": ("products of bits (BMMA)", 128),
    "read_bytes": ("bytes read", 0.56 * 8),
}


def measure(source: str) -> list[dict[str, Any]]:
    """What a program of CUDA prints: objects of JSON, one a line."""
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(folder) / "program")
        subprocess.run(["nvcc", "-O3", "-std=c++17", "-arch=native", str(HERE / source), "-o", program], check=True)
        out = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def table(limits: dict[str, Any]) -> str:
    """The limits for a reader."""
    lines = [f"{limits['name']}, {limits['processors']} multiprocessors", ""]
    lines += ["| limit | 10^12 a second | 10^12 pairs of 64 bits a second |", "| --- | ---: | ---: |"]
    for name, (what, each) in ROWS.items():
        lines.append(f"| {what} | {limits[name] / 1e12:.2f} | {limits[name] / each / 1e12:.2f} |")
    return "\n".join(lines)


def products_table(scans: list[dict[str, Any]]) -> str:
    """Scans by POPC and by products of bits (``gpu_products.cu``), without a selection."""
    lines = [
        "| bits | POPC, 10^12 pairs/s | products of bits | ratio | find the same |",
        "| ---: | ---: | ---: | ---: | --- |",
    ]
    for scan in scans:
        same = "yes" if scan["near"][0] == scan["near"][1] else f"no: {scan['near']}"
        rates = [scan["popc"] / 1e12, scan["products"] / 1e12]
        lines.append(f"| {scan['bits']} | {rates[0]:.2f} | {rates[1]:.2f} | {rates[1] / rates[0]:.2f} | {same} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="a file for the numbers, JSON")
    given = parser.parse_args()
    (limits,) = measure("gpu_limits.cu")
    if given.output:
        given.output.write_text(json.dumps(limits) + "\n", encoding="utf-8")
    print(table(limits), flush=True)
    print(f"\n{products_table(measure('gpu_products.cu'))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
