"""``python -m bintrio``: the command line, where its script is not on the path."""

from bintrio.cli import main

if __name__ == "__main__":
    main()
