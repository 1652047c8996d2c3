"""The image as a container runtime sees it: what its own configuration says, run by runc as a cluster would."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def buildah(*words: str) -> str:
    return subprocess.run(["buildah", *words], check=True, capture_output=True, text=True).stdout.strip()


@dataclass(frozen=True)
class Image:
    """An image, unpacked."""

    name: str
    root: Path
    """Its file system; nobody writes there."""

    @property
    def config(self) -> dict[str, Any]:
        return json.loads(buildah("inspect", "--type", "image", self.name))["Docker"]["config"]

    @property
    def entrypoint(self) -> list[str]:
        return list(self.config["Entrypoint"])

    @property
    def python(self) -> str:
        """Its interpreter, with all that is installed."""
        return str(Path(self.entrypoint[0]).with_name("python"))

    def bundle(
        self,
        folder: Path,
        args: list[str],
        mounts: dict[Path, str],
        env: dict[str, str],
        user: tuple[int, int] | None = None,
    ) -> Path:
        """A runtime's bundle in ``folder``: the image's environment, its user where no other is named, its files
        read-only, the network shared with the test, no capability, no way to gain one, and its shells covered."""
        uid, gid = user or map(int, self.config["User"].split(":"))
        variables = [*self.config["Env"], *(f"{name}={value}" for name, value in env.items())]
        none: dict[str, list[str]] = {
            kind: [] for kind in ("bounding", "effective", "permitted", "inheritable", "ambient")
        }
        shells = [f"/usr/bin/{name}" for name in ("sh", "dash", "bash") if self._is_file(f"usr/bin/{name}")]
        binds = [
            *((str(here), there) for here, there in mounts.items()),
            *(("/dev/null", it) for it in shells),
        ]
        config = {
            "ociVersion": "1.0.2",
            "process": {
                "user": {"uid": uid, "gid": gid},
                "args": args,
                "env": variables,
                "cwd": "/",
                "capabilities": none,
                "noNewPrivileges": True,
            },
            "root": {"path": str(self.root), "readonly": True},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {
                    "destination": "/dev",
                    "type": "tmpfs",
                    "source": "tmpfs",
                    "options": ["nosuid", "mode=755"],
                },
                *(
                    {"destination": there, "source": here, "options": ["rbind", "ro"]}
                    for here, there in binds
                ),
            ],
            "linux": {"namespaces": [{"type": kind} for kind in ("mount", "pid", "ipc", "uts")]},
        }
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(config))
        return folder

    def _is_file(self, name: str) -> bool:
        path = self.root / name
        return path.is_file() and not path.is_symlink()


@contextmanager
def unpacked(name: str) -> Iterator[Image]:
    """The image's files, for as long as they are wanted."""
    container = buildah("from", name)
    try:
        yield Image(name, Path(buildah("mount", container)))
    finally:
        buildah("rm", container)
