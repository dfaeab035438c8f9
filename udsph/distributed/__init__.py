"""The same search, evaluation and encoding on the machines of a Ray cluster, bit for bit.

    connect("auto")                               the cluster that runs here, or address="local" for one of its own
    index = ShardedIndex.open("codes")            a collection, index files, or a URI
    distances, ids = index.search(queries, k=10)  as FlatIndex, whatever the number of shards
    evaluate(codes, codes, labels, labels)        as udsph.evaluation.evaluate, equal to the last bit
    encode(run, folder, "codes", modality="image")

The order of reading: ``source`` (what is searched and how it is parted), ``parts`` and ``shard`` (one shard, in its
process), ``calls`` and ``actors`` (how shards are called), ``snapshot`` (all shards as one), ``index``. Only this room
imports ray, when it is asked to; the extra is ``distributed``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from udsph.distributed.cluster import connect
from udsph.distributed.errors import ClusterError, ShardError

if TYPE_CHECKING:
    from udsph.distributed.encoding import encode
    from udsph.distributed.evaluation import evaluate
    from udsph.distributed.index import ShardedIndex

__all__ = ["ClusterError", "ShardError", "ShardedIndex", "connect", "encode", "evaluate"]

_HOMES = {
    "ShardedIndex": "udsph.distributed.index",
    "encode": "udsph.distributed.encoding",
    "evaluate": "udsph.distributed.evaluation",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
