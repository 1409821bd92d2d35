"""From an http(s) URL and the environment to a server, a token and a proxy. Pure: nothing is opened here.

    https://models.example.org/team/model        http://127.0.0.1:8700/team/model        ?insecure=true

A token goes to the host that the URL names and to no other, and not over a line that anybody can read.
"""

from __future__ import annotations

import base64
import contextlib
import netrc
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from mvc.backends.addresses import shown
from mvc.errors import UsageError

Environment = Mapping[str, str]
_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,252}|[0-9a-fA-F:.]{2,45}")
"""A name, or an address of version 6 (urlsplit takes its brackets away)."""
_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, and what it is told to let us pass."""

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class HttpAddress:
    """A repository on a server."""

    url: str
    """As it may be shown."""
    secure: bool
    host: str
    port: int
    base: str
    """Path of the repository, without a slash at its end."""
    token: str | None = field(default=None, repr=False)
    proxy: Proxy | None = None

    @property
    def authority(self) -> str:
        """The host, and the port where it is another than usual."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS["https" if self.secure else "http"] else f"{host}:{self.port}"


def parse(url: str, environment: Environment) -> HttpAddress:
    """Raises UsageError for a URL that names no repository, or would show a token to others."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UsageError("not a URL of a remote") from None
    if parts.username is not None:
        raise UsageError(
            f"credentials do not belong into a URL ({parts.scheme}://...)",
            hint="a token is taken from MVC_TOKEN, or from the host's entry in netrc",
        )
    path = parts.path.rstrip("/")
    if (
        not _HOST.fullmatch(parts.hostname or "")
        or parts.fragment
        or not _PATH.fullmatch(path)
        or {".", ".."} & set(path.split("/"))
    ):
        raise UsageError(f"'{shown(parts)}' names no repository of a server")
    if not path:
        raise UsageError(f"which repository of {shown(parts)}?", hint=f"{shown(parts)}/NAME")
    insecure = _insecure(parts)
    secure = parts.scheme.lower() == "https"
    token = _token(parts, environment)
    if token is not None and not (secure or insecure or is_loopback(parts.hostname or "")):
        raise UsageError(
            f"a token is not sent to {shown(parts)}, where everybody on the way could read it",
            hint="https://, or ?insecure=true behind the URL",
        )
    number = port or _PORTS["https" if secure else "http"]
    proxy = _proxy(parts, environment)
    clean = shown(parts._replace(query=""))
    return HttpAddress(clean, secure, parts.hostname or "", number, path, token, proxy)


def is_loopback(host: str) -> bool:
    """Whether this is this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _insecure(parts: SplitResult) -> bool:
    query = parse_qsl(parts.query, keep_blank_values=True)
    if any(pair != ("insecure", "true") for pair in query):
        raise UsageError(f"{parts.scheme}:// takes no option but 'insecure=true'")
    return bool(query)


def _token(parts: SplitResult, environment: Environment) -> str | None:
    """MVC_TOKEN (for the origin of MVC_ENDPOINT, if that is set), else the password of the host in netrc."""
    token = environment.get("MVC_TOKEN", "").strip()
    if token and _is_endpoint(parts, environment.get("MVC_ENDPOINT", "")):
        return _checked(token, "MVC_TOKEN")
    home = environment.get("HOME") or environment.get("USERPROFILE", "")
    file = environment.get("NETRC") or (f"{home}/.netrc" if home else "")
    with contextlib.suppress(OSError, netrc.NetrcParseError, UnicodeDecodeError):
        found = netrc.netrc(file).authenticators(parts.hostname or "") if file else None
        # `default` stands for every host there is: too many to hand a token to.
        if found is not None and found[2] and parts.hostname in netrc.netrc(file).hosts:
            return _checked(found[2], "netrc")
    return None


def _is_endpoint(parts: SplitResult, endpoint: str) -> bool:
    if not endpoint:
        return True
    try:
        wanted = urlsplit(endpoint)
        return _origin(wanted) == _origin(parts)
    except ValueError:
        return False


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


def _checked(token: str, where: str) -> str:
    if not _TOKEN.fullmatch(token):
        raise UsageError(f"{where} holds what is no token")
    return token


def _proxy(parts: SplitResult, environment: Environment) -> Proxy | None:
    """As curl has it: https_proxy, http_proxy, all_proxy, but for what no_proxy names."""
    names = [f"{parts.scheme}_proxy", f"{parts.scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY"]
    if "REQUEST_METHOD" in environment or parts.scheme == "http":
        names.remove(f"{parts.scheme.upper()}_PROXY")  # of a CGI, this is what a client sent as header `Proxy`
    value = next((environment[name] for name in names if environment.get(name)), "")
    host = parts.hostname or ""
    if not value or is_loopback(host) or _excepted(host, environment):
        return None
    try:
        found = urlsplit(value if "://" in value else f"http://{value}")
        port = found.port or 80
    except ValueError:
        raise UsageError("the proxy's address in the environment makes no sense") from None
    if found.scheme != "http" or not found.hostname:
        raise UsageError("a proxy is http://host:port")
    authorization = None
    if found.username is not None:
        pair = f"{unquote(found.username)}:{unquote(found.password or '')}"
        authorization = "Basic " + base64.b64encode(pair.encode()).decode()
    return Proxy(found.hostname, port, authorization)


def _excepted(host: str, environment: Environment) -> bool:
    listed = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    names = [name.strip().lstrip(".").lower() for name in listed.split(",") if name.strip()]
    return any(name == "*" or host == name or host.endswith("." + name) for name in names)
