"""The ``udsph`` command: one file per group of commands, no algorithm in any of them."""
