"""What commands answer, as text and as JSON; options that all have; completion."""

from __future__ import annotations

import csv
import json
import logging
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import udsph as package
from udsph import hamming
from udsph.cli.output import clock, log, progress
from udsph.cli.parser import COMMANDS
from udsph.evaluation import evaluate, evaluate_pairs

from .command import udsph


@pytest.fixture
def files(tmp_path: Path) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    bits = {"query": rng.integers(0, 2, (6, 32)), "database": rng.integers(0, 2, (50, 32))}
    arrays = {f"{part}_codes": hamming.pack(values) for part, values in bits.items()}
    arrays |= {f"{part}_labels": rng.integers(0, 3, len(values)) for part, values in bits.items()}
    arrays |= {f"{part}_bits": values.astype(np.uint8) for part, values in bits.items()}
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    return arrays


def of_files(folder: Path, query: str = "query_codes.npy", database: str = "database_codes.npy") -> list[str]:
    return [
        "evaluate", "--query-codes", f"{folder / query}", "--database-codes", f"{folder / database}",
        "--query-labels", f"{folder / 'query_labels.npy'}", "--database-labels", f"{folder / 'database_labels.npy'}",
    ]  # fmt: skip


def expected(files: dict[str, np.ndarray], **options: object) -> dict[str, float]:
    names = ("query_codes", "database_codes", "query_labels", "database_labels")
    return evaluate(*(files[name] for name in names), **options).to_dict()  # type: ignore[arg-type]


def test_every_command_says_what_it_does_and_takes_json_and_quiet() -> None:
    listed = udsph("--help").stdout
    for name in COMMANDS:
        assert name.split()[0] in listed
        done = udsph(*name.split(), *(["RUN"] if name == "index" else []), "--help")
        assert done.exit_code == 0 and "--json" in done.stdout and "--quiet" in done.stdout
    assert udsph("--version").stdout == f"udsph {package.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], ""),
        (["serch"], "invalid choice: 'serch'"),
        (["search"], "give RUN, INDEX and --text or --image; or --database and --queries"),
        (["search", "--databas", "x"], "--databas"),
        (["search", "--database", "x", "--queries", "x", "-k", "0"], "-k: 0 is below 1"),
        (["search", "--database", "x", "--queries", "x", "-k", "many"], "invalid whole number value: 'many'"),
        (["data"], "COMMAND"),
        (["index"], "COMMAND"),
        (["index", "create"], "required: PATH, --bits"),
        (["index", "./create"], "required: --output"),
        (["index", "--output", "x"], "required: RUN"),
        (["collection", "info", "x"], "'udsph collection' is called 'udsph index' now: udsph index info x"),
        (["encode", "RUN", "--modality", "sound", "--input", "a", "--output", "b"], "choose from"),
    ],
)
def test_what_is_no_command_is_one_line(arguments: list[str], said: str) -> None:
    done = udsph(*arguments)
    assert done.exit_code == 2
    assert said in done.stderr and done.stderr.count("\n") == bool(said)


def test_json_is_what_the_text_says(files: dict[str, np.ndarray], tmp_path: Path) -> None:
    answer = json.loads(udsph(*of_files(tmp_path), "--json").stdout)
    assert answer["metrics"] == pytest.approx(expected(files))
    assert (answer["queries"], answer["items"]) == (6, 50)
    names = ("--database", tmp_path / "database_codes.npy", "--queries", tmp_path / "query_codes.npy", "-k", 3)
    found = json.loads(udsph("search", *names, "--json").stdout)
    assert found["ids"] == hamming.search(files["query_codes"], files["database_codes"], 3).ids.tolist()
    assert set(json.loads(udsph("data", "list", "--json").stdout)) == set(package.data.names())
    assert json.loads(udsph("info", "--json").stdout)["udsph"] == package.__version__


@pytest.mark.parametrize("form", ["0/1", "±1", "real", "bool", "int8", "words", "double bytes"])
def test_evaluate_takes_codes_in_any_form(files: dict[str, np.ndarray], tmp_path: Path, form: str) -> None:
    more: list[str] = []
    for part in ("query", "database"):
        bits, packed = files[f"{part}_bits"], files[f"{part}_codes"]
        signs = 2.0 * bits - 1
        if form in ("0/1", "double bytes"):
            more = ["--codes", "values" if form == "0/1" else "packed"]
        stored = {
            "0/1": bits, "±1": signs.astype(np.int8), "real": signs * 0.3, "bool": bits > 0,
            "int8": (packed ^ np.uint8(128)).view(np.int8), "double bytes": packed.astype(np.float64),
            "words": np.ascontiguousarray(np.pad(packed, ((0, 0), (0, 4)))).view("<u8"),
        }[form]  # fmt: skip
        np.save(tmp_path / f"{part}.npy", stored)
    done = udsph(*of_files(tmp_path, "query.npy", "database.npy"), *more, "--json", "--metrics", "map")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["metrics"]["map"] == pytest.approx(expected(files)["map"])


def test_codes_that_may_be_either_are_refused(files: dict[str, np.ndarray], tmp_path: Path) -> None:
    for stored in (files["query_bits"], files["query_codes"].astype(np.float32)):
        np.save(tmp_path / "query.npy", stored)
        done = udsph(*of_files(tmp_path, "query.npy"))
        assert done.exit_code == 2 and "--codes packed or --codes values" in done.stderr
        assert done.stderr.count("\n") == 1


def test_evaluate_reads_mat_files(files: dict[str, np.ndarray], tmp_path: Path) -> None:
    io = pytest.importorskip("scipy.io", reason="scipy, of the extra train, is not installed")
    signs = {f"B_{part}": 2.0 * files[f"{part}_bits"] - 1 for part in ("query", "database")}
    io.savemat(tmp_path / "codes.mat", signs)
    done = udsph(*of_files(tmp_path, "codes.mat:B_query", "codes.mat:B_database"), "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["metrics"] == pytest.approx(expected(files))
    for place, said in (("codes.mat", "it holds: B_database, B_query"), ("codes.mat:B", "has no array 'B'")):
        done = udsph(*of_files(tmp_path, place))
        assert done.exit_code == 2 and said in done.stderr


def test_evaluate_reads_labels_as_matlab_stores_them(files: dict[str, np.ndarray], tmp_path: Path) -> None:
    io = pytest.importorskip("scipy.io", reason="scipy, of the extra train, is not installed")
    io.savemat(tmp_path / "all.mat", {name: values.astype(float) for name, values in files.items() if "labels" in name})
    words = of_files(tmp_path)
    words[words.index("--query-labels") + 1] = f"{tmp_path / 'all.mat'}:query_labels"
    words[words.index("--database-labels") + 1] = f"{tmp_path / 'all.mat'}:database_labels"
    done = udsph(*words, "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["metrics"] == pytest.approx(expected(files))


def test_values_are_packed_in_the_order_of_the_codes_beside_them(files: dict[str, np.ndarray], tmp_path: Path) -> None:
    np.save(tmp_path / "big.npy", np.packbits(files["query_bits"] > 0, axis=1))
    np.save(tmp_path / "values.npy", 2.0 * files["database_bits"] - 1)
    done = udsph(*of_files(tmp_path, "big.npy", "values.npy"), "--bitorder", "big", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["metrics"] == pytest.approx(expected(files))
    assert udsph("evaluate", tmp_path, "--bitorder", "big").exit_code == 2


def test_cutoffs_metrics_and_output_of_evaluate(files: dict[str, np.ndarray], tmp_path: Path) -> None:
    options = ["--cutoffs", "3,10", "--metrics", "map,precision", "--convention", "dcmh"]
    wanted = expected(files, cutoffs=(3, 10), metrics=["map", "precision"], convention="dcmh")
    assert set(wanted) >= {"map@3", "precision@10"}
    for name in ("metrics.json", "metrics.csv"):
        assert udsph(*of_files(tmp_path), *options, "--output", tmp_path / name).exit_code == 0
    assert json.loads((tmp_path / "metrics.json").read_text()) == pytest.approx(wanted)
    rows = list(csv.DictReader((tmp_path / "metrics.csv").open()))
    assert {row["metric"]: float(row["value"]) for row in rows} == pytest.approx(wanted)
    for wrong in (["--cutoffs", "a"], ["--cutoffs", "0"], ["--metrics", "mapp"], ["--output", tmp_path / "m.txt"]):
        done = udsph(*of_files(tmp_path), *wrong)
        assert done.exit_code == 2 and done.stderr.count("\n") == 1


def test_evaluate_draws_the_curve(files: dict[str, np.ndarray], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib, of the extra report, is not installed")
    assert udsph(*of_files(tmp_path), "--plot", tmp_path / "curve.png").exit_code == 0
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_search_writes_what_the_suffix_says(files: dict[str, np.ndarray], tmp_path: Path) -> None:
    wanted = hamming.search(files["query_codes"], files["database_codes"], 60)
    names = ("--database", tmp_path / "database_codes.npy", "--queries", tmp_path / "query_codes.npy", "-k", 60)
    for suffix in ("npz", "json", "csv"):
        assert udsph("search", *names, "--output", tmp_path / f"found.{suffix}").exit_code == 0
    with np.load(tmp_path / "found.npz") as arrays:
        np.testing.assert_array_equal(arrays["ids"], wanted.ids)
    stored = json.loads((tmp_path / "found.json").read_text())
    assert stored == {"distances": wanted.distances.tolist(), "ids": wanted.ids.tolist()}
    rows = [[int(cell) for cell in row] for row in list(csv.reader((tmp_path / "found.csv").open()))[1:]]
    assert len(rows) == 6 * 50  # a missing neighbour has no row
    assert all(wanted.ids[q, r - 1] == i and wanted.distances[q, r - 1] == d for q, r, i, d in rows)


@pytest.mark.parametrize("form", ["int8", "words", "column", "other endian", "hex", "big"])
def test_search_takes_the_forms_of_the_index(files: dict[str, np.ndarray], tmp_path: Path, form: str) -> None:
    for part in ("query", "database"):
        packed = files[f"{part}_codes"]
        words = np.ascontiguousarray(np.pad(packed, ((0, 0), (0, 4)))).view("<u8")
        np.save(tmp_path / f"{part}.npy", {
            "int8": (packed ^ np.uint8(128)).view(np.int8), "words": words, "column": words[:, 0].astype(np.int64),
            "other endian": words.astype(">u8"), "big": np.packbits(files[f"{part}_bits"][:, :27], axis=1),
        }.get(form, packed))  # fmt: skip
        (tmp_path / f"{part}.txt").write_text("".join(f"{row.tobytes().hex()}\n" for row in packed))
    more = {"words": ["--bits", "32"], "big": ["--bits", "27", "--bitorder", "big"]}.get(form, [])
    places = [tmp_path / f"{part}.{'txt' if form == 'hex' else 'npy'}" for part in ("database", "query")]
    names = ("--database", places[0], "--queries", places[1], "-k", 5)
    done = udsph("search", *names, *more, "--json")
    assert done.exit_code == 0, done.stderr
    width = 27 if form == "big" else 32
    index = hamming.FlatIndex(width)
    index.add(hamming.pack(files["database_bits"][:, :width]))
    wanted = index.search(hamming.pack(files["query_bits"][:, :width]), 5)
    assert json.loads(done.stdout)["distances"] == wanted.distances.tolist()
    assert json.loads(done.stdout)["ids"] == wanted.ids.tolist()


def test_progress_in_a_file_is_a_line_now_and_then_with_the_time_left(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = iter(range(0, 1000, 4))
    monkeypatch.setattr("udsph.cli.output.time.monotonic", lambda: next(now))
    caplog.set_level(logging.INFO, log.name)
    with progress("encode") as advance:
        for done in range(10, 101, 10):
            advance(done, 100)
    assert caplog.messages == [
        "encode: 30 of 100 items, 0:12 gone, 0:28 left",
        "encode: 60 of 100 items, 0:24 gone, 0:16 left",
        "encode: 90 of 100 items, 0:36 gone, 0:04 left",
    ]
    assert clock(3661) == "1:01:01"


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["udsph", "ev"], {"evaluate"}),
        (["udsph", "data", ""], {"check", "list"}),
        (["udsph", "index", "c"], {"compact", "create"}),
        (["udsph", "index", "RUN", "--sp"], {"--split"}),
        (["udsph", "index", "create", "--bits"], {"--bits"}),
        (["udsph", "data", "check", "--ro"], {"--root"}),
        (["udsph", "search", "--bitorder", ""], {"little", "big"}),
        (["udsph", "evaluate", "--ties", "in"], {"insertion"}),
        (["udsph", "completion", ""], {"bash", "zsh", "fish"}),
    ],
)
def test_bash_completes(typed: list[str], offered: set[str]) -> None:
    script = udsph("completion", "bash").stdout
    words = " ".join(f"'{word}'" for word in typed)
    script += f'COMP_WORDS=({words}); COMP_CWORD={len(typed) - 1}; _udsph; printf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert set(done.stdout.split()) == offered and not done.stderr


def test_the_scripts_of_other_shells_know_every_command() -> None:
    for shell in ("zsh", "fish"):
        script = udsph("completion", shell).stdout
        assert all(word in script for name in COMMANDS for word in name.split())


def test_metrics_of_earlier_runs_and_of_pairs_without_labels_are_shown():
    from udsph.cli.evaluate import metrics_rows, metrics_table

    earlier = {
        "image_to_text": {"map": 0.5}, "text_to_image": {"map": 0.25}, "bits": 64, "n_query": 10, "n_database": 1000,
        "ties": "expected", "label_to_label": {"map": 0.75}, "chance": 0.125, "codes": {"bit_entropy": 1.0},
    }  # fmt: skip
    lines = metrics_table(earlier).splitlines()
    assert lines[0] == "MAP, 64 bits, 10 queries, 1,000 items, ties expected"
    assert [line.split()[-1] for line in lines[-4:]] == ["0.5000", "0.2500", "0.7500", "0.1250"]
    pairs = {"pair_recall@1": 0.1, "pair_recall@5": 0.2, "pair_recall@10": 0.3, "pair_median_rank": 24.5}
    bare = {"image_to_text": pairs, "text_to_image": pairs, "bits": 64, "n_pairs": 1000, "ties": "expected"}
    lines = metrics_table(bare).splitlines()
    assert lines[0] == "64 bits, R@k and median rank of the partner among 1,000 query pairs, ties expected"
    assert lines[-1].split() == ["text", "to", "image", "0.1000", "0.2000", "0.3000", "24.5"]
    both = {**earlier, **bare, "image_to_text": {"map": 0.5, **pairs}, "unlabelled": {"query": 3, "database": 1200}}
    lines = metrics_table(both).splitlines()
    assert lines[-1] == "without labels, and so not in MAP and NDCG: 3 of the query and 1,200 of the database"
    assert lines[-2].split() == ["chance", "0.1250"] and "-" in lines[-4].split()
    assert ("remarks", "few") in metrics_rows({**bare, "remarks": ["few"]})


def test_pairs_of_two_files_of_codes(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 2), np.uint8)
    texts = images ^ (rng.random((40, 2)) < 0.3).astype(np.uint8)
    for name, codes in (("images", images), ("texts", texts)):
        np.save(tmp_path / f"{name}.npy", codes)
    files = ["--query-codes", tmp_path / "images.npy", "--database-codes", tmp_path / "texts.npy"]
    done = udsph("evaluate", "--pairs", *files, "--json", "--output", tmp_path / "a.csv")
    assert done.exit_code == 0, done.output
    expected = evaluate_pairs(images, texts).to_dict(), evaluate_pairs(texts, images).to_dict()
    assert tuple(json.loads(done.stdout)["metrics"].values()) == expected
    assert f"query to database pair_recall@1,{expected[0]['pair_recall@1']}" in (tmp_path / "a.csv").read_text()
    assert "partners among 40 pairs" in udsph("evaluate", "--pairs", *files).stdout
    for more in (["--query-labels", tmp_path / "texts.npy"], ["--cutoffs", "3"]):
        refused = udsph("evaluate", "--pairs", *files, *more)
        assert refused.exit_code == 2 and "--pairs takes --query-codes and --database-codes" in refused.stderr
    np.save(tmp_path / "texts.npy", texts[:30])
    refused = udsph("evaluate", "--pairs", *files)
    assert refused.exit_code == 2 and "40 queries but 30 items" in refused.stderr
