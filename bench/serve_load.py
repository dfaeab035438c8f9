"""What a request to ``udsph serve`` costs, and what many at once do to a server; on the loopback address only.

    python bench/serve_load.py                      a text query over 1,000,000 codes of 64 bits
    python bench/serve_load.py --minutes 10         then 16 clients with good and bad requests for so long

The server is the command, in a process of its own, with a network of the usual size that was never trained: what it
costs does not depend on that. Requests are bounded in number and in time.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import torch
from PIL import Image

from udsph import data
from udsph.encoding import Config, Hasher
from udsph.encoding.batches import spec_of
from udsph.encoding.inputs import Inputs
from udsph.encoding.model import Description, Model
from udsph.hamming import Collection

BITS, WARM = 64, 50


def make(folder: Path, codes: int, strings: bool) -> data.Dataset:
    """A run folder and a collection of random codes."""
    scenes = data.load("scenes", pairs=300)
    description = Description(spec_of(scenes.image), spec_of(scenes.text), scenes.classes)
    torch.manual_seed(0)
    model = Model(description, Config(bits=BITS, device="cpu"), torch.device("cpu"))
    Hasher(model, Inputs.of(scenes), {"name": "scenes", "root": None, "settings": {}}).save(folder / "run")
    rows = np.random.default_rng(0).integers(0, 256, (codes, BITS // 8), dtype=np.uint8)
    with Collection.create(folder / "codes", BITS, durability="none") as collection:
        collection.add(rows, ids=[f"photo {k}.jpg" for k in range(codes)] if strings else None)
    return scenes


class Served:
    """The command in a process of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        command = [sys.executable, "-m", "udsph", "serve", str(folder / "run"), "--index", str(folder / "codes")]
        self.process = subprocess.Popen([*command, "--port", "0", *options], stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        said = self.process.stderr.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", said)
        if found is None:
            raise SystemExit(said + self.process.stderr.read())
        self.port = int(found[1])

    def numbers(self) -> dict[str, float]:
        """What it tells Prometheus."""
        lines = ask(self.port, "GET", "/metrics")[1].decode().splitlines()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}

    def end(self) -> float:
        """Seconds from the signal to the end of the process."""
        began = time.perf_counter()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        return time.perf_counter() - began


def ask(port: int, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    """Status and body of one request, on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def latency(served: Served, texts: list[str], count: int) -> dict[str, Any]:
    """One client, one request after the other on one connection: milliseconds."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    chance, whole, parts = random.Random(0), [], []
    before: dict[str, float] = {}
    for number in range(WARM + count):
        if number == WARM:
            before = served.numbers()
        path = f"/search/text?q={quote(chance.choice(texts))}&k=10"
        began = time.perf_counter()
        connection.request("GET", path)
        answer = json.loads(connection.getresponse().read())
        if number >= WARM:
            whole.append(1000 * (time.perf_counter() - began))
            parts.append((answer["milliseconds"]["encode"], answer["milliseconds"]["search"]))
    processor = served.numbers()["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]
    table = {"whole request": whole, "encode": [part[0] for part in parts], "search": [part[1] for part in parts]}
    found = {
        name: {"p50": float(np.percentile(values, 50)), "p99": float(np.percentile(values, 99))}
        for name, values in table.items()
    }
    return {**found, "processor": 1000 * processor / count}


def mixed(served: Served, texts: list[str], clients: int, seconds: float) -> dict[str, Any]:
    """Good and bad requests of several clients: how many of each status, and the server's memory as time goes by."""
    picture = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)).save(picture, "JPEG")
    statuses: Counter[str] = Counter()
    end, lock = time.monotonic() + seconds, threading.Lock()

    def some(chance: random.Random) -> tuple[str, str, bytes | None]:
        text, k = quote(chance.choice(texts)), chance.randrange(1, 200)
        good = [
            *(("GET", f"/search/text?q={text}&k={k}", None),) * 3,
            ("POST", f"/search/image?k={k}", picture.getvalue()),
            ("GET", f"/attended/text?q={text}", None),
            ("GET", "/items?count=20", None),
        ]
        bad = [
            ("GET", "/search/text?q=&k=5", None),
            ("GET", "/search/text?q=a&k=100000", None),
            ("GET", "/images/..%2f..%2fetc%2fpasswd", None),
            ("POST", "/search/image", b"\x89PNG" + bytes(999)),
            ("POST", "/search/image", bytes(11 << 20)),
            ("POST", "/search/code", b'{"code": "00"'),
        ]
        return chance.choice(good if chance.random() < 0.6 else bad)

    def client(seed: int) -> None:
        chance = random.Random(seed)
        while time.monotonic() < end:
            try:
                status = str(ask(served.port, *some(chance))[0])
            except OSError as error:
                status = type(error).__name__
            with lock:
                statuses[status] += 1

    threads = [threading.Thread(target=client, args=(seed,)) for seed in range(clients)]
    for thread in threads:
        thread.start()
    memory = []
    for part in range(6):
        time.sleep(max(0.0, end - seconds * (5 - part) / 5 - time.monotonic()))
        memory.append(served.numbers()["process_resident_memory_bytes"] / 1e6)
    for thread in threads:
        thread.join()
    return {"statuses": dict(sorted(statuses.items())), "megabytes": [round(value) for value in memory]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codes", type=int, default=1_000_000)
    parser.add_argument("--strings", action="store_true", help="codes have names, not positions, as ids")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--minutes", type=float, default=0, help="of good and bad requests at once; at most 15")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        scenes = make(Path(place), arguments.codes, arguments.strings)
        texts = list(scenes.captions or ())
        served = Served(Path(place))
        try:
            found = latency(served, texts, arguments.requests)
            print(f"a text query over {arguments.codes:,} codes of {BITS} bits, k=10, {arguments.requests:,} requests")
            for name in ("whole request", "encode", "search"):
                print(f"  {name:14} p50 {found[name]['p50']:6.2f} ms   p99 {found[name]['p99']:6.2f} ms")
            print(f"  processor time of the server {found['processor']:.2f} ms a request")
            if arguments.minutes:
                minutes = min(arguments.minutes, 15)
                mix = mixed(served, texts, arguments.clients, 60 * minutes)
                print(f"{arguments.clients} clients for {minutes:g} minutes, good and bad requests")
                print("  " + ", ".join(f"{status}: {count:,}" for status, count in mix["statuses"].items()))
                print(f"  resident memory, MB: {', '.join(map(str, mix['megabytes']))}")
            print(f"stopped {served.end():.2f} s after the signal")
        finally:
            served.process.kill()
            served.process.wait()


if __name__ == "__main__":
    main()
