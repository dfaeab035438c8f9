"""Every command, registered by importing its module."""

from udsph.cli import (  # noqa: F401
    cluster,
    collection,
    compare,
    completion,
    data,
    demo,
    encode,
    evaluate,
    extract,
    index,
    info,
    report,
    search,
    serve,
    show,
    train,
)
