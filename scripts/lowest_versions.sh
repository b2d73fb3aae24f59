#!/usr/bin/env bash
# Runs the tests on the lowest versions that pyproject.toml allows:
#
#     scripts/lowest_versions.sh [FOLDER [PYTEST ARGUMENT …]]
#
# FOLDER is the environment that it makes, .venv-lowest if none is named. PyTorch and its CUDA libraries fill 6 GB there.
# The tests of what no dependency touches pass on these versions as they do elsewhere; name files to run fewer.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${1:-.venv-lowest}
shift || true
rm -rf "$folder"
python3 -m venv "$folder"

# Every lower bound as the one version that pip may install; of two bounds for one package, the higher.
"$folder/bin/python" - > "$folder/lowest.txt" <<'END'
import re
import tomllib

with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
lowest: dict[str, tuple[int, ...]] = {}
for requirement in [*project["dependencies"], *sum(project["optional-dependencies"].values(), [])]:
    if bound := re.fullmatch(r"([\w.-]+)>=([\d.]+)", requirement):
        lowest[bound[1]] = max(lowest.get(bound[1], ()), tuple(map(int, bound[2].split("."))))
for name, version in lowest.items():
    print(f"{name}=={'.'.join(map(str, version))}")
END
cat "$folder/lowest.txt"
"$folder/bin/pip" install -q -c "$folder/lowest.txt" -e '.[test]'
"$folder/bin/pytest" "$@"
