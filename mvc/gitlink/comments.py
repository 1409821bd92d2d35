"""A comment on a pull request or merge request that is written once, and from then on updated in place.

It is found again by the marker in its first line. Of forges' interfaces only this is used:
GitHub: docs.github.com/rest/issues/comments; GitLab: docs.gitlab.com/api/notes.
"""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mvc.errors import NetworkError, RemoteRefused, UsageError

MARKER = "<!-- mvc report -->"
"""The first line of what `mvc report --md` prints."""
_LIMIT = {"github": 65_536, "gitlab": 1_000_000}
_PAGE = 100
_PAGES = 50
_TRIES = 3
_SECONDS = 30
_PULL = re.compile(r"refs/pull/(\d+)/")


@dataclass(frozen=True, slots=True)
class Thread:
    """Where comments are: `url` lists and takes them, `one` (with the comment's id) updates one."""

    forge: str
    url: str
    one: str
    update: str
    """The method that updates: PATCH or PUT."""
    headers: Mapping[str, str]
    bots_alone: bool = False
    """Only comments of bots are ours: the token is that of the pipeline."""


@dataclass(frozen=True, slots=True)
class Posted:
    """The comment. `updated`: it stood there before."""

    id: int
    url: str
    updated: bool


def find_thread(environment: Mapping[str, str]) -> Thread:
    """The thread of the pull or merge request that a pipeline runs for. Raises UsageError where it runs for none, or
    has no token."""
    if environment.get("GITLAB_CI") or "CI_MERGE_REQUEST_IID" in environment:
        return _gitlab(environment)
    if environment.get("GITHUB_ACTIONS") or "GITHUB_REPOSITORY" in environment:
        return _github(environment)
    raise UsageError("this is no pipeline of GitHub's or GitLab's", hint="mvc ci comment runs in CI; see mvc ci init")


def post(thread: Thread, text: str, *, pause: float = 1.0) -> Posted:
    """Update the comment with the marker, else write one. `pause`: seconds between tries where the forge is busy.

    Raises RemoteRefused where the token does not permit it, NetworkError.
    """
    body = text if MARKER in text.split("\n", 1)[0] else f"{MARKER}\n{text}"
    limit = _LIMIT[thread.forge]
    if len(body) > limit:
        more = "\n\n*(the rest is left out: a comment has a limit)*\n"
        body = body[: limit - len(more)] + more
    for comment in _ours(thread, pause):
        url = thread.one.format(id=comment["id"])
        try:
            return _posted(_request(thread, thread.update, url, {"body": body}, pause), updated=True)
        except RemoteRefused:
            continue  # somebody else's, who quoted ours
    return _posted(_request(thread, "POST", thread.url, {"body": body}, pause), updated=False)


def _ours(thread: Thread, pause: float) -> Iterator[dict[str, Any]]:
    for page in range(1, _PAGES + 1):
        rows = _request(thread, "GET", f"{thread.url}?per_page={_PAGE}&page={page}", None, pause)
        if not isinstance(rows, list):
            raise NetworkError(f"{thread.forge} did not answer with comments")
        for row in rows:
            if not isinstance(row, dict) or not isinstance(row.get("id"), int):
                continue
            author = row.get("user") if isinstance(row.get("user"), dict) else {}
            if str(row.get("body", "")).startswith(MARKER) and not (
                thread.bots_alone and author and author.get("type", "Bot") != "Bot"
            ):
                yield row
        if len(rows) < _PAGE:
            return


def _github(environment: Mapping[str, str]) -> Thread:
    token = environment.get("GITHUB_TOKEN") or environment.get("GH_TOKEN")
    if not token:
        raise UsageError("GITHUB_TOKEN is not set", hint="in the step: env: {GITHUB_TOKEN: ${{ github.token }}}")
    repository = environment.get("GITHUB_REPOSITORY", "")
    api = environment.get("GITHUB_API_URL", "https://api.github.com").rstrip("/")
    base = f"{api}/repos/{urllib.parse.quote(repository)}/issues"
    headers = {
        "Authorization": f"Bearer {token}",
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    pipelines = bool(environment.get("GITHUB_ACTIONS"))
    return Thread(
        "github", f"{base}/{_pull_request(environment)}/comments", base + "/comments/{id}", "PATCH", headers, pipelines
    )


def _pull_request(environment: Mapping[str, str]) -> int:
    event = environment.get("GITHUB_EVENT_PATH")
    if event:
        try:
            found = json.loads(Path(event).read_bytes())
            return int((found.get("pull_request") or found.get("issue") or found)["number"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass
    ref = _PULL.match(environment.get("GITHUB_REF", ""))
    if ref is None:
        raise UsageError("this run is for no pull request: there is nothing to comment on")
    return int(ref[1])


def _gitlab(environment: Mapping[str, str]) -> Thread:
    number, project = environment.get("CI_MERGE_REQUEST_IID", ""), environment.get("CI_PROJECT_ID", "")
    if not number.isdecimal() or not project:
        raise UsageError("this pipeline is for no merge request: there is nothing to comment on")
    token, job = environment.get("GITLAB_TOKEN"), environment.get("CI_JOB_TOKEN")
    if not token and not job:
        raise UsageError(
            "neither GITLAB_TOKEN nor CI_JOB_TOKEN is set", hint="a project access token, with the scope api"
        )
    headers = {"PRIVATE-TOKEN": token} if token else {"JOB-TOKEN": job or ""}
    api = environment.get("CI_API_V4_URL", "https://gitlab.com/api/v4").rstrip("/")
    base = f"{api}/projects/{urllib.parse.quote(project, safe='')}/merge_requests/{number}/notes"
    return Thread("gitlab", base, base + "/{id}", "PUT", headers)


def _posted(row: Any, *, updated: bool) -> Posted:
    if not isinstance(row, dict) or not isinstance(row.get("id"), int):
        raise NetworkError("the forge did not answer with the comment")
    return Posted(row["id"], str(row.get("html_url") or ""), updated)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would take the token elsewhere."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _request(thread: Thread, method: str, url: str, content: object, pause: float) -> Any:
    data = json.dumps(content).encode() if content is not None else None
    headers = {**thread.headers, "Content-Type": "application/json", "User-Agent": "mvc"}
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"'{url}' is no address of a forge")
    opener = urllib.request.build_opener(_NoRedirects)
    for left in reversed(range(_TRIES)):
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            with opener.open(request, timeout=_SECONDS) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (401, 403, 404):
                raise RemoteRefused(
                    f"{thread.forge} does not let this token comment ({error.code})",
                    hint="it must be allowed to write to pull requests; docs/ci.md",
                ) from error
            if left == 0 or error.code < 500:
                raise NetworkError(f"{thread.forge} answered {error.code} to a comment") from error
        except (OSError, ValueError) as error:
            if left == 0:
                raise NetworkError(f"{thread.forge} did not answer: {error}") from error
        time.sleep(pause)
    raise NetworkError(f"{thread.forge} did not answer")
