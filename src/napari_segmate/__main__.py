"""``python -m napari_segmate``: the command line."""

import sys

from napari_segmate.cli import main

if __name__ == "__main__":
    sys.exit(main())
