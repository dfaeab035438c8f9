"""``udsph evaluate``: MAP of a run, or of bare files of codes and labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from udsph import files
from udsph.cli.arrays import read_array
from udsph.cli.codes import Form, as_packed, read_codes
from udsph.cli.output import Answer, plain, progress, table
from udsph.cli.parser import Argument, Option, command
from udsph.cli.results import check_output, write_rows
from udsph.errors import InputError
from udsph.report.tables import MEASURES

if TYPE_CHECKING:
    from udsph.evaluation import Evaluation

Codes = Annotated[
    str | None,
    Option(help="Codes: packed bytes or words, or a column a bit (0/1, ±1, real); .npy, FILE.mat:NAME", metavar="FILE"),
]
Labels = Annotated[str | None, Option(help="Multi-hot (n, classes) or class numbers (n,)", metavar="FILE")]
FormOfCodes = Annotated[Form, Option(help="Form of the codes")]
BitOrder = Annotated[Literal["little", "big"], Option(help="Of packed codes, where others are values")]
Pairs = Annotated[bool, Option(help="Without labels: row i of both files of codes is one pair; who finds its partner")]
Convention = Annotated[str | None, Option(help="Whose MAP: dcmh, hashnet, trec_eval, ...")]
Ties = Annotated[
    Literal["expected", "insertion", "optimistic", "pessimistic"] | None,
    Option(help="Order of items at one distance", default="expected"),
]
Cutoffs = Annotated[
    str | None, Option(help="Ranks k of MAP@k, precision@k, ... with commas between", metavar="K,K,...")
]
Metrics = Annotated[
    str | None, Option(help="Some metrics only, with commas between: map,ndcg@10,...", metavar="NAME,...")
]

Packed = Callable[[Any, str], Any]  # codes of a file that a flag names
Given = dict[str, str | None]


@command
def evaluate(
    run: Annotated[Path | None, Argument(help="Folder of a trained run; or give the four files instead")] = None,
    database: Annotated[
        Literal["database", "query"], Option(help="Of a run; query ranks the query pairs' other modality")
    ] = "database",
    query_codes: Codes = None,
    database_codes: Codes = None,
    query_labels: Labels = None,
    database_labels: Labels = None,
    codes: FormOfCodes = "auto",
    bitorder: BitOrder = "little",
    pairs: Pairs = False,
    convention: Convention = None,
    ties: Ties = None,
    cutoffs: Cutoffs = None,
    metrics: Metrics = None,
    output: Annotated[Path | None, Option(help="Write the metrics: .json or .csv")] = None,
    plot: Annotated[Path | None, Option(help="Draw the precision-recall curve: .png, .pdf or .svg")] = None,
) -> Answer:
    """Print MAP, NDCG and recall of pairs of a run both ways and write RUN/metrics.json, or the metrics of bare files.

    Bare files need NumPy alone: .npy (memory-mapped), or FILE.npz:NAME, FILE.mat:NAME, FILE.h5:NAME.
    """
    check_output(output, (".json", ".csv"))
    check_output(plot, (".png", ".pdf", ".svg"), "--plot")
    given = {
        "--query-codes": query_codes,
        "--database-codes": database_codes,
        "--query-labels": query_labels,
        "--database-labels": database_labels,
    }
    missing = [name for name, path in given.items() if path is None]

    def packed(place: Any, flag: str) -> Any:
        return as_packed(read_codes(str(place), flag), codes, f"{flag} {place}", bitorder)

    if pairs:
        return _of_pairs(run, given, packed, (convention, ties, cutoffs, metrics, plot), output)
    if run is None:
        if missing:
            raise InputError(f"give the folder of a run, or all four files (missing: {', '.join(missing)})")
        options = {"convention": convention, "ties": ties, **lists_of(cutoffs, metrics)}
        return _of_files({name: str(place) for name, place in given.items()}, packed, options, output, plot)
    alone = any(option is not None for option in (convention, ties, cutoffs, metrics))
    if alone or len(missing) < len(given) or (codes, bitorder) != ("auto", "little"):
        raise InputError(
            "a run is evaluated by its own definition; files of codes and the options for them go without one"
        )
    return _of_run(run, database, output, plot)


def _of_run(run: Path, database: str, output: Path | None, plot: Path | None) -> Answer:
    from udsph.report.curves import draw_precision_recall
    from udsph.training.scoring import keep_metrics, measure_run

    _, _, measured = measure_run(run, database=database, ranks=() if plot is None else None)
    found = measured.metrics
    if plot is not None and not measured.by_labels:
        raise InputError(f"--plot {plot}: {run} has no labels, and so no precision to draw")
    kept = keep_metrics(run, database, measured)
    written = [output or kept]
    if output is not None:
        write_metrics(output, found, metrics_rows(found))
    if plot is not None:
        written.append(draw_precision_recall(measured.by_labels, plot))
    return Answer(f"{metrics_table(found)}\nwritten: {'  '.join(map(plain, written))}", found)


def _of_pairs(run: Path | None, given: Given, packed: Packed, others: tuple[Any, ...], output: Path | None) -> Answer:
    """Both directions, of two files of codes."""
    from udsph.evaluation import evaluate_pairs

    places = [given.pop("--query-codes"), given.pop("--database-codes")]
    if run is not None or None in places or any(value is not None for value in (*given.values(), *others)):
        raise InputError("--pairs takes --query-codes and --database-codes, not a run, labels or options of MAP")
    query, database = (
        packed(place, name) for name, place in zip(("--query-codes", "--database-codes"), places, strict=True)
    )
    both = {"query to database": (query, database), "database to query": (database, query)}
    found = {name: evaluate_pairs(*arrays).to_dict() for name, arrays in both.items()}
    if output is not None:
        write_metrics(output, found, metrics_rows(found))
    rows = [(name, *(shown(key, value) for key, value in one.items())) for name, one in found.items()]
    heads = ["direction", *(MEASURES[key] for key in found["query to database"])]
    text = table(heads, rows, f"partners among {len(query):,} pairs, ties expected")
    return Answer(text, {"metrics": found, "pairs": len(query)})


def _of_files(
    given: dict[str, str], packed: Packed, options: dict[str, Any], output: Path | None, plot: Path | None
) -> Answer:
    result, _ = evaluated_files(given, packed, options)
    found = result.to_dict()
    if output is not None:
        write_metrics(output, found, list(found.items()))
    if plot is not None:
        _draw(result, plot)
    return Answer(repr(result), {"metrics": found, "queries": result.n_queries, "items": result.n_items})


def evaluated_files(given: Mapping[str, str], packed: Packed, options: dict[str, Any]) -> tuple[Evaluation, list[Any]]:
    """What was found of four files, named by their flags, and the arrays in them."""
    from udsph.evaluation import evaluate as evaluate_codes

    arrays = []
    for name, place in given.items():
        arrays.append(packed(place, name) if name.endswith("codes") else read_array(place, name))
    try:
        with progress("evaluate", "pairs") as advance:
            return evaluate_codes(*arrays, progress=advance, **options), arrays
    except InputError:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(str(error)) from None


def lists_of(cutoffs: str | None, metrics: str | None) -> dict[str, Any]:
    """Ranks and names that were typed with commas between."""
    lists: dict[str, Any] = {}
    if metrics is not None:
        lists["metrics"] = [name.strip() for name in metrics.split(",")]
    if cutoffs is not None:
        try:
            lists["cutoffs"] = [int(part) for part in cutoffs.split(",")]
        except ValueError:
            raise InputError(f"--cutoffs {cutoffs}: expected ranks with commas between, such as 10,100") from None
    return lists


def write_metrics(path: Path, found: dict[str, Any], rows: list[tuple[str, Any]]) -> None:
    """As JSON or, by the suffix, as CSV."""
    if path.suffix.lower() == ".csv":
        write_rows(path, ("metric", "value"), rows)
    else:
        files.write_json(path, found)


def _draw(result: Any, path: Path) -> None:
    from udsph import plotting

    with plotting.style():
        figure = plotting.figure(5, 3.8)
        result.plot(figure.subplots())
        plotting.save(figure, path)


def metrics_rows(metrics: dict[str, Any]) -> list[tuple[str, Any]]:
    """Name and value of what a run's metrics say: ``image_to_text map``, ..."""
    rows: list[tuple[str, Any]] = []
    for name, value in metrics.items():
        if isinstance(value, dict):
            rows += [(f"{name} {key}", v) for key, v in value.items()]
        elif isinstance(value, list):
            rows += [(name, one) for one in value]
        else:
            rows.append((name, value))
    return rows


def metrics_table(metrics: dict[str, Any]) -> str:
    """What a run's metrics say, one row a direction, and what to read MAP against; those of earlier runs say less."""
    from udsph.data.directions import DIRECTIONS, in_words

    keys = [key for key in MEASURES if any(key in metrics[direction] for direction in DIRECTIONS)]
    rows = [
        (in_words(direction), *(shown(key, metrics[direction].get(key)) for key in keys)) for direction in DIRECTIONS
    ]
    for reference in ("label_to_label", "chance"):
        if reference in metrics:
            value = metrics[reference]
            value = value["map"] if isinstance(value, dict) else value
            rows.append((reference.replace("_", " "), f"{value:.4f}", *[""] * (len(keys) - 1)))
    lines = [table(["direction", *(MEASURES[key] for key in keys)], rows, _title(metrics, keys))]
    if "unlabelled" in metrics:
        left = " and ".join(f"{count:,} of the {part}" for part, count in metrics["unlabelled"].items())
        lines.append(f"without labels, and so not in MAP and NDCG: {left}")
    return "\n".join(lines)


def shown(key: str, value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}" if key == "pair_median_rank" else f"{value:.4f}"


def _title(metrics: dict[str, Any], keys: list[str]) -> str:
    """What the figures are of."""
    parts = [f"{metrics['bits']} bits"]
    if "map" in keys:
        parts = [f"MAP, {metrics['bits']} bits", f"{metrics['n_query']:,} queries", f"{metrics['n_database']:,} items"]
    if "pair_median_rank" in keys:
        parts.append(f"R@k and median rank of the partner among {metrics['n_pairs']:,} query pairs")
    return ", ".join([*parts, f"ties {metrics['ties']}"])
