#!/usr/bin/env bash
# Runs tests on the lowest versions that pyproject.toml allows:
#
#     scripts/lowest_versions.sh base|extras [FOLDER [PYTEST ARGUMENT …]]
#
# base    the package's dependencies and the test tools, each at its lower bound; without the extras
# extras  what all extras for users demand, at their lower bounds; all else as new as pip finds it
#
# Two environments, as no single one can hold both: `onnx` needs a newer torch than the torchvision of the base allows.
# FOLDER is the environment that it makes, .venv-lowest-base or .venv-lowest-extras if none is named. PyTorch and its CUDA
# libraries fill 6 GB there. DRY_RUN=1 stops when pip has found that the versions fit each other.
set -euo pipefail
cd "$(dirname "$0")/.."

which=${1:-}
[ "$which" = base ] || [ "$which" = extras ] || { sed -n 2,11p "$0"; exit 2; }
folder=${2:-.venv-lowest-$which}
shift $(($# < 2 ? $# : 2))
rm -rf "$folder"
python3 -m venv "$folder"

# Every lower bound as the one version that pip may install.
"$folder/bin/python" - "$which" > "$folder/lowest.txt" <<'END'
import re
import sys
import tomllib

with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
extras = project["optional-dependencies"]
of_users = [requirement for name, each in extras.items() if name not in ("test", "dev") for requirement in each]
demanded = {"base": project["dependencies"] + extras["test"], "extras": of_users}
for requirement in demanded[sys.argv[1]]:
    if bound := re.fullmatch(r"([\w.-]+)>=([\d.]+)", requirement):
        print(f"{bound[1]}=={bound[2]}")
END
cat "$folder/lowest.txt"
if [ "$which" = base ]; then
    wanted=(-e . -r "$folder/lowest.txt")
else
    wanted=(-e '.[test]' -c "$folder/lowest.txt")
fi
"$folder/bin/pip" install -q ${DRY_RUN:+--dry-run} "${wanted[@]}"
[ -n "${DRY_RUN:-}" ] || "$folder/bin/pytest" "$@"
