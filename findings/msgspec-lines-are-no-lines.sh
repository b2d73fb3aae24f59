#!/usr/bin/env bash
# msgspec's `Decoder.decode_lines` does not look at line ends: it takes JSON values that simply follow one another.
#
# Seen with msgspec 0.22.0, Python 3.11, Linux, on 29 November 2026. Its documentation says that the method decodes newline-delimited JSON, a
# value a line.
#
# Guess before it was run: a line that is no whole value, and a line with two values, are errors that name the place.
#
# What it does: an object over two lines is one value; two objects on one line, with a space between them or nothing at all, are two values;
# blank lines are passed over. Only an input that ends within a value is refused. So the number of values says nothing about the number of
# lines, and value N need not stand in line N.
#
# What follows: a log whose writer was killed in the middle of a line, and which another process then appends to, may read as if nothing was
# wrong: the torn half and the next line can join to one valid value. Who needs "a line is an event, and a torn one is none" splits at the line
# ends first and decodes each line on its own.
#
# Exit status: 0 while it is so, 1 when msgspec behaves otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "msgspec==0.22.0"
"$folder/venv/bin/python" - <<'PYTHON' || exit 1
import sys

import msgspec

decode = msgspec.json.Decoder(dict).decode_lines
seen = {
    "a value a line": decode(b'{"a": 1}\n{"a": 2}\n'),
    "one over two lines": decode(b'{"a":\n1}\n{"a": 2}\n'),
    "two on a line": decode(b'{"a": 1} {"a": 2}\n'),
    "nothing between them": decode(b'{"a": 1}{"a": 2}'),
    "a torn line and the next": decode(b'{"a": 1, "b":\n2}\n'),
}
for case, values in seen.items():
    print(f"{case}: {values}")
try:
    decode(b'{"a": 1}\n{"a":')
    truncated = False
except msgspec.DecodeError:
    truncated = True
two = [{"a": 1}, {"a": 2}]
same = all(seen[case] == two for case in list(seen)[:4]) and seen["a torn line and the next"] == [{"a": 1, "b": 2}]
sys.exit(0 if same and truncated else 1)
PYTHON
