"""The dependencies of pyproject.toml in the current folder, with the extras named, one a line: a layer of their own."""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
extras = [name for name in sys.argv[1].split(",") if name]
print(*project["dependencies"], *(line for name in extras for line in project["optional-dependencies"][name]), sep="\n")
