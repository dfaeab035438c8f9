"""A model to share: a folder in the layout of the Hugging Face hub, with weights, configuration and a model card.

=====================  =======================================================================================
``config.json``        settings, shapes, class names, vocabulary and how raw items are prepared
``model.safetensors``  the weights
``README.md``          the model card: data, metrics, licence, how to use it
=====================  =======================================================================================

JSON and safetensors cannot carry code; nothing else of such a folder is read.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from udsph import files
from udsph._version import __version__
from udsph.data.directions import DIRECTIONS, in_words
from udsph.encoding import extractors, run_folder
from udsph.encoding.config import of_earlier_version
from udsph.encoding.inputs import Inputs
from udsph.errors import InputError

if TYPE_CHECKING:
    from udsph.encoding.hasher import Hasher

FORMAT = 1
CARD = "README.md"
MEASURES = {"map": "MAP", "ndcg_linear@100": "NDCG@100", "pair_recall@10": "recall@10 of pairs"}  # on the card
_LICENCE = re.compile(r"[a-z0-9][a-z0-9.+-]*")


def write(hasher: Hasher, folder: Path, *, licence: str, metrics: Mapping[str, Any], data: str, name: str) -> None:
    """Write the folder; the parameters are those of :meth:`udsph.Hasher.share`."""
    model = hasher.model
    if not _LICENCE.fullmatch(licence):
        raise InputError(f"licence={licence!r}: expected the hub's name of a licence, such as apache-2.0 or unknown")
    if folder.exists() and (not folder.is_dir() or any(not path.name.startswith(".git") for path in folder.iterdir())):
        raise InputError(f"{folder} exists and is not empty; choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    inputs = dataclasses.replace(hasher.inputs, extractors=hasher.inputs.extractors.without_places())
    content = {
        "library_name": "udsph",
        "model_type": "udsph",
        "architectures": ["UDSPH"],
        "format": FORMAT,
        "udsph": __version__,
        "torch": str(torch.__version__),
        # The dataset's place on this machine is nobody else's business.
        "data": {key: value for key, value in hasher.data.items() if key != "root"},
        "training": dataclasses.asdict(model.config) | {"backbone": Path(model.config.backbone).name},
        "model": model.description.as_json(),
        "inputs": inputs.as_json(),
        "metrics": dict(metrics),
    }
    inputs.extractors.store(folder)
    run_folder.write_weights(folder, model.tensors())
    files.write_json(folder / run_folder.CONFIG, content)
    card = model_card(content, name or folder.resolve().name, licence, data)
    files.write_text(folder / CARD, card)


def is_shared(folder: Path) -> bool:
    """Whether a folder holds a shared model, and not a run."""
    try:
        return "model_type" in files.read_json(folder / run_folder.CONFIG)
    except (OSError, InputError, TypeError):
        return False


def read(folder: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor], Inputs]:
    """Configuration, weights and preparation of a shared folder.

    Raises
    ------
    InputError
        If the folder is not a shared model, is damaged, or is of another format.
    """
    path = folder / run_folder.CONFIG
    if not path.is_file():
        raise InputError(f"'{folder}' is no shared model: it has no {run_folder.CONFIG}")
    content = files.read_json(path)
    if not isinstance(content, dict) or content.get("model_type") != "udsph":
        raise InputError(f"{path} is not the configuration of a UDSPH model; a run folder is read by Hasher.load")
    if content.get("format") != FORMAT:
        raise InputError(f"{folder} has format {content.get('format')}, this version reads {FORMAT}")
    lacking = [key for key in ("data", "training", "model", "inputs") if not isinstance(content.get(key), dict)]
    if lacking:
        raise InputError(f"{path}: '{lacking[0]}' is missing")
    if not (folder / run_folder.WEIGHTS).is_file():
        raise InputError(f"'{folder}' has no {run_folder.WEIGHTS}; weights in any other form are not read")
    content = {**content, "training": of_earlier_version(content["training"])}
    return (
        content,
        run_folder.read_weights(folder),
        Inputs.from_json(content["inputs"], str(path), folder / extractors.FOLDER, shared=True),
    )


def model_card(content: Mapping[str, Any], name: str, licence: str, data: str) -> str:
    """The model card: the hub's metadata in front, then what a reader must know before using the model."""
    bits, dataset = content["training"]["bits"], str(content["data"].get("name", "unknown"))
    settings = json.dumps(content["data"].get("settings", {}), ensure_ascii=False)
    classes = content["model"]["classes"]
    shown = ", ".join(classes[:30]) + (", ..." if len(classes) > 30 else "")
    return f"""---
license: {licence}
library_name: udsph
tags:
- udsph
- cross-modal-hashing
- cross-modal-retrieval
{_results(content["metrics"], name, dataset)}---

# {name}

Turns images and texts into binary codes of {bits} bits that can be searched across the two modalities.

## Data

Trained on the training split of `{dataset}` with the settings `{settings}`.{" " + data if data else ""}

{len(classes)} classes: {shown}

Images: {_view(content["model"]["image"])}. Texts: {_view(content["model"]["text"])}.

## Metrics

{_table(content["metrics"])}

## Use

```python
from udsph import Hasher

model = Hasher.load("FOLDER")
```

or `udsph encode FOLDER --modality image --input IMAGES --output codes.npy` on the command line. Written by udsph
{content["udsph"]}.

## Licence

{"No licence was stated for these weights." if licence == "unknown" else f"The weights: {licence}."} The training data
have their own terms.
"""


def _view(spec: Mapping[str, Any]) -> str:
    shape = " x ".join(map(str, spec["shape"]))
    words = f", a vocabulary of {spec['vocabulary']:,} words" if spec["vocabulary"] else ""
    return f"{spec['kind']} of shape {shape}{words}"


def _table(metrics: Mapping[str, Any]) -> str:
    if not metrics:
        return "None were given."
    rows = [(in_words(key), metrics[key]) for key in DIRECTIONS if key in metrics]
    shown = {key: title for key, title in MEASURES.items() if any(key in found for _, found in rows)}
    lines = [f"| {' | '.join(['direction', *shown.values()])} |", "| --- |" + " --- |" * len(shown)]
    for words, found in rows:
        cells = (f"{found[key]:.4f}" if key in found else "-" for key in shown)
        lines.append(f"| {' | '.join([words, *cells])} |")
    said = [f"{metrics['n_query']:,} queries, {metrics['n_database']:,} items"] if "n_query" in metrics else []
    if "n_pairs" in metrics:
        said.append(f"recall of an item's own partner among {metrics['n_pairs']:,} pairs")
    said += [f"ties: {metrics['ties']}"] if "ties" in metrics else []
    said += [f"codes that are all equal reach the MAP {metrics['chance']:.4f}"] if "chance" in metrics else []
    return "\n".join([*lines, "", f"{'; '.join(said)}."])


def _results(metrics: Mapping[str, Any], name: str, dataset: str) -> str:
    """The hub's ``model-index``, in YAML whose strings are JSON strings."""
    found = [(in_words(key), metrics[key]["map"]) for key in DIRECTIONS if "map" in metrics.get(key, {})]
    if not found:
        return ""
    lines = [
        "model-index:",
        f"- name: {json.dumps(name)}",
        "  results:",
        "  - task:",
        "      type: cross-modal-retrieval",
        f"    dataset: {{name: {json.dumps(dataset)}, type: {json.dumps(dataset)}}}",
        "    metrics:",
    ]
    for words, value in found:
        lines += ["    - type: map", f"      name: MAP, {words}", f"      value: {value:.4f}"]
    return "\n".join(lines) + "\n"
