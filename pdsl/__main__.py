"""`python -m pdsl`: the same program as the console script `pdsl`; so `torchrun -m pdsl train …` works."""

import sys
from pathlib import Path

HOME = Path(__file__).resolve().parents[1]

if __name__ == "__main__":
    # Python puts the current folder first: a cli.py of the user's there must not be taken for ours.
    if not sys.flags.safe_path and Path(sys.path[0]).resolve() != HOME:
        del sys.path[0]
    from cli import main

    main()
