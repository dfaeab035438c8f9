"""How long each method of the comparison fits 20,000 pairs of 1,000 columns, and how much memory it takes.

    python bench/baselines_size.py                      all methods, one process each; one thread unless OMP_NUM_THREADS
    python bench/baselines_size.py --methods cvh,seph

Prints a Markdown table: wall clock, processor time, and the peak of the resident memory above what the process had
with its libraries and both views loaded (float64, 320 MB). Deep methods run ``--epochs`` passes.
"""

import argparse
import os
import subprocess
import sys
import threading
import time

from benchmarks.common import resident_bytes


def measure(name, pairs, dims, bits, epochs):
    import numpy as np

    from udsph.baselines import create, methods

    rng = np.random.default_rng(0)
    labels = np.eye(20)[rng.integers(0, 20, pairs)]
    images, texts = (labels @ rng.standard_normal((20, dims)) + rng.standard_normal((pairs, dims)) for _ in range(2))
    settings = {"epochs": epochs} if methods()[name].kind == "deep" else {}
    method = create(name, bits, 0, **settings)
    if settings:  # libraries that are loaded with the first training do not belong to the method
        create(name, bits, 0, epochs=1).fit(images[:300], texts[:300], labels[:300])
    before, peak, done = resident_bytes(), [0], threading.Event()
    watcher = threading.Thread(target=watch, args=(peak, done))
    watcher.start()
    wall, processor = time.perf_counter(), time.process_time()
    method.fit(images, texts, labels)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    done.set()
    watcher.join()
    print(f"| `{name}` | {wall:.1f} | {processor:.1f} | {max(0, peak[0] - before) / 1e6:.0f} |", flush=True)


def watch(peak, done):
    """Keep the largest resident size, looked at a hundred times a second."""
    while not done.wait(0.01):
        peak[0] = max(peak[0], resident_bytes())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", default="all")
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--dims", type=int, default=1000)
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--here", action="store_true", help="measure in this process")
    given = parser.parse_args()
    from udsph.baselines import names

    chosen = names() if given.methods == "all" else given.methods.split(",")
    if given.here:
        for name in chosen:
            measure(name, given.pairs, given.dims, given.bits, given.epochs)
        return
    print("| method | s | processor s | MB |\n| --- | ---: | ---: | ---: |", flush=True)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sizes = [f"--{key}={getattr(given, key)}" for key in ("pairs", "dims", "bits", "epochs")]
    for name in chosen:
        subprocess.run([sys.executable, __file__, "--here", "--methods", name, *sizes], check=False)


if __name__ == "__main__":
    main()
