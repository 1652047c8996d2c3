"""Our side of TLS towards upstreams, which are verified whatever is written: against what, and what we show them."""

import ssl

from sidecar.core.outbound import Trust


class TrustError(Exception):
    """A certificate or key that is named somewhere is no good; the text says which file, and why."""


def client_context(trust: Trust, ca_file: str) -> ssl.SSLContext:
    """``ca_file``: a bundle for those with none of their own; empty: the system's.  Raises TrustError.

    Reading the system's bundle takes 20 ms.
    """
    bundle = trust.ca or ca_file
    try:
        context = ssl.create_default_context(cafile=bundle or None)
    except OSError as error:
        raise TrustError(
            f"the bundle to verify upstreams against cannot be used: {bundle}: {why(error)}"
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if trust.cert:
        try:
            context.load_cert_chain(trust.cert, trust.key, password=no_passphrase)
        except (OSError, ValueError) as error:
            raise TrustError(
                f"the client certificate cannot be used: {trust.cert} with {trust.key}: {why(error)}"
            ) from None
    return context


def no_passphrase() -> str:
    raise ValueError("the key is locked by a passphrase, and nobody is there to type it")


def why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "it is no PEM of that kind").lower().replace("_", " ")
    return getattr(error, "strerror", None) or str(error)
