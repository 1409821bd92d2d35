"""From a remote's URL and the environment to the options of a store. Pure: nothing is opened here.

    s3://bucket/prefix?endpoint=https://s3.example.org&region=eu-1      also gs:// az:// oss:// obs:// cos://
    webdavs://host/folder   webdav://host:8080/folder   hdfs://namenode:8020/folder

What stands behind `?` is no secret, for it is kept in a repository's config and shown in messages. Credentials come
from where each ecosystem keeps them: the environment, as given; and files and services that opendal knows itself
(profiles of AWS, application default credentials of Google, identities of machines and pods). A URL that holds a
password is refused, and not repeated in the error.
"""

from __future__ import annotations

import configparser
import contextlib
import netrc
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, urlsplit, urlunsplit

from mvc.errors import UsageError

Environment = Mapping[str, str]
Options = dict[str, str]
_Fill = Callable[[SplitResult, Options, Environment], None]


@dataclass(frozen=True, slots=True)
class Address:
    """A store, ready to be opened. `options` may hold credentials: it is not for messages."""

    url: str
    """The URL as it may be shown."""
    service: str
    """The name of opendal's service."""
    options: Options

    def __repr__(self) -> str:
        return f"Address({self.url!r})"


@dataclass(frozen=True, slots=True)
class _Kind:
    """One URL scheme."""

    service: str
    query: Mapping[str, str]
    """What may stand behind "?": its name there -> the service's option."""
    fill: _Fill
    """Adds where the store is and what the environment tells; what stands in the URL comes first."""


def parse(url: str, environment: Environment) -> Address:
    """Raises UsageError for a URL that names no store, or one that holds what it must not."""
    parts = _split(url)
    kind = KINDS.get(parts.scheme)
    if kind is None:
        raise UsageError(f"no way to reach {parts.scheme}://")
    options = _query(parts, kind)
    kind.fill(parts, options, environment)
    root = parts.path.strip("/")
    if any(part in ("", ".", "..") for part in root.split("/")) and root:
        raise UsageError(f"the path of {shown(parts)} holds an empty component or dots")
    options["root"] = f"/{root}/" if root else "/"
    return Address(shown(parts), kind.service, options)


def check(url: str) -> None:
    """Raises UsageError for a URL that holds what no store takes there, whatever the environment tells."""
    parts = _split(url)
    kind = KINDS.get(parts.scheme)
    if kind is not None:
        _query(parts, kind)


def shown(parts: SplitResult) -> str:
    """The URL for messages, and for comparison: without a user, nor a slash at its end."""
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=host, path=parts.path.rstrip("/"), fragment=""))


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises where it is no number
    except ValueError:
        raise UsageError("not a URL of a remote") from None
    if parts.password is not None or (parts.username is not None and not parts.scheme.startswith("webdav")):
        raise UsageError(
            f"credentials do not belong into a URL ({parts.scheme}://...)",
            hint="give them by the environment, or the files of the store's own tools (docs/format/backends.md)",
        )
    if not parts.hostname:
        raise UsageError(f"{parts.scheme}:// names no bucket or host")
    if parts.fragment or any(ord(letter) < 33 for letter in url):
        raise UsageError(f"{shown(parts)} holds a fragment or a blank")
    return parts


def _query(parts: SplitResult, kind: _Kind) -> Options:
    options: Options = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in kind.query:
            hint = f"{parts.scheme}:// takes {', '.join(sorted(kind.query))}" if kind.query else None
            raise UsageError(f"{parts.scheme}:// takes no option '{name[:40]}'", hint=hint)
        if name == "endpoint":
            _check_endpoint(value)
        options[kind.query[name]] = value
    return options


def _check_endpoint(value: str) -> None:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None or parts.query:
        raise UsageError("an endpoint is http(s)://host[:port], without credentials")


def _take(options: Options, option: str, environment: Environment, *names: str) -> None:
    """Fill an option, unless the URL did, from the first of these variables that is set."""
    value = next((environment[name] for name in names if environment.get(name)), "")
    if value:
        options.setdefault(option, value)


def _bucket(parts: SplitResult, options: Options, pattern: str = r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}") -> str:
    if not re.fullmatch(pattern, parts.netloc):
        raise UsageError(f"{parts.scheme}:// is followed by the name of a bucket, then /prefix")
    return parts.netloc


def _s3(parts: SplitResult, options: Options, environment: Environment) -> None:
    options["bucket"] = _bucket(parts, options)
    _take(options, "endpoint", environment, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    _take(options, "profile", environment, "AWS_PROFILE")
    _take(options, "region", environment, "AWS_REGION", "AWS_DEFAULT_REGION")
    profile = _profile(options.get("profile", "default"), environment)
    for option, name in (("region", "region"), ("endpoint", "endpoint_url")):
        if name in profile:
            options.setdefault(option, profile[name])
    options.setdefault("region", "us-east-1")
    if environment.get("AWS_ACCESS_KEY_ID") and environment.get("AWS_SECRET_ACCESS_KEY"):
        _take(options, "access_key_id", environment, "AWS_ACCESS_KEY_ID")
        _take(options, "secret_access_key", environment, "AWS_SECRET_ACCESS_KEY")
        _take(options, "session_token", environment, "AWS_SESSION_TOKEN")
    if environment.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        options["disable_ec2_metadata"] = "true"


def _profile(name: str, environment: Environment) -> Mapping[str, str]:
    """A profile's section of AWS's config file; empty where there is none. (opendal reads only its credentials.)"""
    home = environment.get("HOME") or environment.get("USERPROFILE", "")
    file = environment.get("AWS_CONFIG_FILE") or (f"{home}/.aws/config" if home else "")
    config = configparser.RawConfigParser()
    with contextlib.suppress(OSError, configparser.Error, UnicodeDecodeError):
        if file:
            config.read_string(Path(file).read_text(encoding="utf-8"))
    section = "default" if name == "default" else f"profile {name}"
    return dict(config[section]) if section in config else {}


def _gs(parts: SplitResult, options: Options, environment: Environment) -> None:
    options["bucket"] = _bucket(parts, options)
    _take(options, "endpoint", environment, "STORAGE_EMULATOR_HOST")
    _take(options, "credential_path", environment, "GOOGLE_APPLICATION_CREDENTIALS")


def _az(parts: SplitResult, options: Options, environment: Environment) -> None:
    options["container"] = _bucket(parts, options)
    _take(options, "account_name", environment, "AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME")
    _take(options, "account_key", environment, "AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY")
    _take(options, "sas_token", environment, "AZURE_STORAGE_SAS_TOKEN")
    account = options.get("account_name")
    if account is None and "endpoint" not in options:
        raise UsageError(f"{shown(parts)}: whose container?", hint="?account=NAME, or AZURE_STORAGE_ACCOUNT")
    options.setdefault("endpoint", f"https://{account}.blob.core.windows.net")


def _regional(example: str, **variables: tuple[str, ...]) -> _Fill:
    """Of a cloud whose buckets each lie behind a region's endpoint: its options, and the variables that have them."""

    def fill(parts: SplitResult, options: Options, environment: Environment) -> None:
        options["bucket"] = _bucket(parts, options)
        for option, names in variables.items():
            _take(options, option, environment, *names)
        if "endpoint" not in options:
            raise UsageError(f"{shown(parts)}: in which region?", hint=f"?endpoint={example}")

    return fill


_obs_as_given = _regional(
    "https://obs.cn-north-4.myhuaweicloud.com",
    endpoint=("OBS_ENDPOINT",),
    access_key_id=("OBS_ACCESS_KEY_ID", "HUAWEICLOUD_SDK_AK"),
    secret_access_key=("OBS_SECRET_ACCESS_KEY", "HUAWEICLOUD_SDK_SK"),
)


def _obs(parts: SplitResult, options: Options, environment: Environment) -> None:
    _obs_as_given(parts, options, environment)
    host = urlsplit(options["endpoint"]).hostname or ""
    if host.startswith("obs.") and not host.endswith((".myhuaweicloud.com", ".huawei.com")):
        # opendal would take it for the bucket's own domain, and ask there for objects of no bucket: "not found".
        raise UsageError(
            f"{shown(parts)}: of the regions' endpoints, only obs.REGION.myhuaweicloud.com can be used",
            hint="a domain bound to the bucket can, too; or take s3://, which OBS speaks as well",
        )


def _webdav(parts: SplitResult, options: Options, environment: Environment) -> None:
    host = parts.netloc.rpartition("@")[2]
    options["endpoint"] = f"{'https' if parts.scheme == 'webdavs' else 'http'}://{host}"
    if parts.username:
        options["username"] = parts.username
    home = environment.get("HOME") or environment.get("USERPROFILE", "")
    file = environment.get("NETRC") or (f"{home}/.netrc" if home else "")
    with contextlib.suppress(OSError, netrc.NetrcParseError, UnicodeDecodeError):
        found = netrc.netrc(file).authenticators(parts.hostname or "") if file else None
        if found is not None and parts.username in (None, found[0]):
            options["username"], options["password"] = found[0], found[2]


def _hdfs(parts: SplitResult, options: Options, environment: Environment) -> None:
    options["name_node"] = f"hdfs://{parts.netloc}"


KINDS: Mapping[str, _Kind] = {
    "s3": _Kind(
        "s3",
        {
            "endpoint": "endpoint",
            "region": "region",
            "profile": "profile",
            "anonymous": "skip_signature",
            "virtual_host": "enable_virtual_host_style",
            "storage_class": "default_storage_class",
            "encryption": "server_side_encryption",
            "kms_key": "server_side_encryption_aws_kms_key_id",
        },
        _s3,
    ),
    "gs": _Kind(
        "gcs", {"endpoint": "endpoint", "anonymous": "skip_signature", "storage_class": "default_storage_class"}, _gs
    ),
    "az": _Kind("azblob", {"endpoint": "endpoint", "account": "account_name", "anonymous": "skip_signature"}, _az),
    "oss": _Kind(
        "oss",
        {"endpoint": "endpoint", "anonymous": "skip_signature"},
        _regional(
            "https://oss-eu-central-1.aliyuncs.com",
            endpoint=("OSS_ENDPOINT",),
            access_key_id=("ALIBABA_CLOUD_ACCESS_KEY_ID", "OSS_ACCESS_KEY_ID"),
            access_key_secret=("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "OSS_ACCESS_KEY_SECRET"),
            security_token=("ALIBABA_CLOUD_SECURITY_TOKEN", "OSS_SESSION_TOKEN"),
        ),
    ),
    "obs": _Kind("obs", {"endpoint": "endpoint"}, _obs),
    "cos": _Kind(
        "cos",
        {"endpoint": "endpoint"},
        _regional(
            "https://cos.eu-frankfurt.myqcloud.com",
            endpoint=("COS_ENDPOINT",),
            secret_id=("TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRETID"),
            secret_key=("TENCENTCLOUD_SECRET_KEY", "TENCENTCLOUD_SECRETKEY"),
            security_token=("TENCENTCLOUD_TOKEN", "TENCENTCLOUD_SECURITY_TOKEN"),
        ),
    ),
    "webdav": _Kind("webdav", {}, _webdav),
    "webdavs": _Kind("webdav", {}, _webdav),
    "hdfs": _Kind("hdfs-native", {}, _hdfs),
}
"""Every scheme that opendal serves for mvc."""
