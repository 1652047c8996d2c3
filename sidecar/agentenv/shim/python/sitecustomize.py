"""Makes Python clients that ignore proxy and CA variables obey them.  On PYTHONPATH; Python 3.8 or newer.

Nothing is imported for it: a library is changed when, and if, the agent imports it, and nothing but its defaults is.
Whatever fails here is one line on stderr, and the agent runs on as if this file were not there.
"""

import importlib.machinery
import os
import sys
from typing import Any, Callable, Dict


def _bundle() -> str:
    path = os.environ.get("SSL_CERT_FILE", "")
    return path if os.path.isfile(path) else ""


def _complain(name: str, error: BaseException) -> None:
    sys.stderr.write("sidecar shim: %s is left as it is: %s: %s\n" % (name, type(error).__name__, error))


def _certifi(module: Any) -> None:
    """Whoever asks certifi for its bundle gets the one with the sidecar's authority in it."""
    if _bundle():
        module.where = _bundle


def _stripe(module: Any) -> None:
    """It brings a bundle of its own, and reads this when it connects."""
    if _bundle():
        module.ca_bundle_path = _bundle()


def _httplib2(module: Any) -> None:
    if _bundle():
        module.CA_CERTS = _bundle()


def _aiohttp(module: Any) -> None:
    """``trust_env`` is off by default, and SDKs hand that default on."""
    session = module.ClientSession
    init = session.__init__

    def __init__(self: Any, *args: Any, **options: Any) -> None:  # noqa: N807 - it becomes a method
        init(self, *args, **dict(options, trust_env=True))

    session.__init__ = __init__


def _urllib3(module: Any) -> None:
    """A ``PoolManager`` never looks for a proxy: hand what it is asked to the ``ProxyManager`` that has one."""
    from urllib.request import getproxies, proxy_bypass

    manager = module.PoolManager
    urlopen = manager.urlopen

    def proxied(self: Any, url: str) -> Any:
        scheme, _, rest = url.partition("://")
        host = rest.partition("/")[0].rpartition("@")[2]
        proxy = getproxies().get(scheme.lower())
        if self.proxy is not None or not rest or not proxy or proxy_bypass(host):
            return None
        known = self.__dict__.setdefault("_sidecar_proxies", {})
        if proxy not in known:
            login = module.parse_url(proxy).auth
            options = dict(self.connection_pool_kw)
            headers = module.make_headers(proxy_basic_auth=login) if login else None
            known[proxy] = module.ProxyManager(proxy, headers=self.headers, proxy_headers=headers, **options)
        return known[proxy]

    def urlopen_proxied(self: Any, method: str, url: str, *args: Any, **options: Any) -> Any:
        try:
            through = proxied(self, url)
        except Exception as error:
            _complain("urllib3", error)
            through = None
        return (
            urlopen(self, method, url, *args, **options)
            if through is None
            else through.urlopen(method, url, *args, **options)
        )

    from urllib3.util import make_headers, parse_url

    module.make_headers, module.parse_url = make_headers, parse_url
    manager.urlopen = urlopen_proxied


_CHANGES: Dict[str, Callable[[Any], None]] = {
    "certifi": _certifi,
    "certifi.core": _certifi,
    "stripe": _stripe,
    "httplib2": _httplib2,
    "aiohttp.client": _aiohttp,
    "urllib3.poolmanager": _urllib3,
}


class _Finder:
    """Stands before the real finders, finds nothing, and changes what they find, once."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in _CHANGES:
            return None
        change = _CHANGES.pop(name)
        try:
            for finder in sys.meta_path:
                find = getattr(finder, "find_spec", None)
                spec = None if finder is self or find is None else find(name, path, target)
                if spec is not None:
                    _change_after(spec, name, change)
                    return spec
        except Exception as error:
            _complain(name, error)
        return None


def _change_after(spec: Any, name: str, change: Callable[[Any], None]) -> None:
    loader = spec.loader
    run = loader.exec_module

    def exec_module(module: Any) -> None:
        loader.__dict__.pop("exec_module", None)
        run(module)
        try:
            change(module)
        except Exception as error:
            _complain(name, error)

    loader.exec_module = exec_module


def _next() -> None:
    """Run the ``sitecustomize`` that this one hides."""
    here = os.path.dirname(os.path.abspath(__file__))
    rest = [place for place in sys.path if os.path.abspath(place or ".") != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", rest)
    if spec is not None and spec.loader is not None:
        from importlib.util import module_from_spec

        spec.loader.exec_module(module_from_spec(spec))


try:
    sys.meta_path.insert(0, _Finder())
except Exception as error:
    _complain("this interpreter", error)
try:
    _next()
except Exception as error:
    _complain("another sitecustomize", error)
