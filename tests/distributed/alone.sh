#!/usr/bin/env bash
# alone.sh COMMAND...: run a command in a network and a process table of its own, where a Ray cluster binds to 127.0.0.1
# alone and no process of it stays, however the command ends. Where the system does not permit that, the command runs as
# it is, and the tests that need a cluster say that they are skipped.
for how in -npf -rnpf; do
    if unshare $how --mount-proc ip link set lo up 2> /dev/null; then
        exec unshare $how --mount-proc --kill-child bash -c 'ip link set lo up && exec "$@"' alone "$@"
    fi
done
exec "$@"
