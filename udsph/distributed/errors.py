"""What goes wrong with shards."""

from udsph.errors import InputError


class ShardError(InputError):
    """A shard does not answer; the message names it, its file and the reason."""


class ClusterError(InputError):
    """There is no cluster at the address, or none that can be worked with."""
