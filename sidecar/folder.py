"""Which files of a configuration folder count.

Names that begin with a dot are left alone: the embedded store's folder, and what a mounted ConfigMap keeps beside its
links.
"""

from pathlib import Path

ROUTES = "routes"
STATES = "states"
FOLDERS = (ROUTES, STATES)
"""Where files are read beside the folder itself."""


def is_yaml(path: Path) -> bool:
    """Whether a file of this name may be one of the configuration."""
    return path.suffix in (".yaml", ".yml") and not path.name.startswith(".")
