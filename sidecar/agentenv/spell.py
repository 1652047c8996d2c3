"""Variables as the three readers want them: a shell, an ``--env-file``, a Kubernetes container."""

import json
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal

from sidecar.agentenv.variables import Variable

Format = Literal["shell", "dotenv", "k8s"]

_PLAIN: Final = re.compile(r"[\w@%+=:,./-]*", re.ASCII).fullmatch


def _shell(variable: Variable) -> str:
    """What is set already is kept where the variable is a list."""
    value = shlex.quote(variable.value)
    if variable.joint:
        value += f'"${{{variable.name}:+{variable.joint}${variable.name}}}"'
    return f"export {variable.name}={value}"


def _dotenv(variable: Variable) -> str:
    """Bare where that does, as ``docker --env-file`` takes quotes for text; else as Compose and python-dotenv read."""
    value = variable.value
    if not _PLAIN(value):
        value = (
            f"'{value}'" if "'" not in value else json.dumps(value, ensure_ascii=False).replace("$", "\\$")
        )
    return f"{variable.name}={value}"


def _k8s(variable: Variable) -> str:
    """An item of a container's ``env``.  JSON is YAML; ``$(NAME)`` would be expanded, so a dollar is written twice."""
    value = json.dumps(variable.value.replace("$", "$$"))
    return f"- name: {variable.name}\n  value: {value}"


_SPELLINGS: Final[Mapping[Format, Callable[[Variable], str]]] = {
    "shell": _shell,
    "dotenv": _dotenv,
    "k8s": _k8s,
}


def spelled(wanted: Iterable[Variable], spelling: Format) -> str:
    """The whole text, one variable after the other."""
    return "".join(f"{_SPELLINGS[spelling](variable)}\n" for variable in wanted)
