"""Captured commands carry no secrets, and keep what one wants to know."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvc.metadata.secrets import speaks_of_secret, without_credentials, without_secrets


def clean(line: str) -> str:
    return " ".join(without_secrets(shlex.split(line)))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("train.py --hf-token S3CRET --lr 1e-5", "train.py --hf-token *** --lr 1e-5"),
        ("train.py --hf_token=S3CRET", "train.py --hf_token=***"),
        ("train.py --password S3CRET x", "train.py --password *** x"),
        ("train.py --apiKey S3CRET", "train.py --apiKey ***"),
        ("train.py --wandb.api-key=S3CRET", "train.py --wandb.api-key=***"),
        ("env HF_TOKEN=S3CRET WANDB_API_KEY=S3CRET train.py", "env HF_TOKEN=*** WANDB_API_KEY=*** train.py"),
        ("env AWS_SECRET_ACCESS_KEY=S3CRET PGPASSWORD=S3CRET x", "env AWS_SECRET_ACCESS_KEY=*** PGPASSWORD=*** x"),
        ("mvc commit --param api_key=S3CRET --param lr=1", "mvc commit --param api_key=*** --param lr=1"),
        ("mvc commit --param=api_key=S3CRET", "mvc commit --param=api_key=***"),
        ("docker run -e TOKEN=S3CRET img", "docker run -e TOKEN=*** img"),
        ("docker run --env=TOKEN=S3CRET img", "docker run --env=TOKEN=*** img"),
        ("git clone https://me:S3CRET@host/x.git", "git clone https://host/x.git"),
        ("x --data s3://S3CRET:S3CRET@bucket/y", "x --data s3://bucket/y"),
        ("x postgres://u:p@S3CRET@host/db", "x postgres://host/db"),
        ("x 'https://h/f?token=S3CRET&part=2#a'", "x https://h/f?token=***&part=2#a"),
        ("x 'https://h/f?X-Amz-Credential=S3CRET&sig=S3CRET'", "x https://h/f?X-Amz-Credential=***&sig=***"),
        ("curl -H 'Authorization: Bearer S3CRET' h", "curl -H Authorization: *** h"),
        ("curl -H 'X-API-Key:S3CRET' h", "curl -H X-API-Key:*** h"),
        ("curl -u me:S3CRET h", "curl -u me:*** h"),
        ("curl --user me:S3CRET h", "curl --user me:*** h"),
        ("x 'Bearer S3CRETS3CRET'", "x Bearer ***"),
        ("mysql -uroot -pS3CRET db", "mysql -uroot -p*** db"),
        ("/usr/bin/mysql -pS3CRET db", "/usr/bin/mysql -p*** db"),
        ("x hf_S3CRETS3CRETS3CRETS3CRET", "x ***"),
        ("x --name=sk-S3CRETS3CRETS3CRETS3CRET", "x --name=***"),
        ("x AKIAS3CRETS3CRETS3CR", "x ***"),
        ("x eyJhbGciOiJI.eyJzdWIiOiIx.S3CRETS3CRET", "x ***"),
        ("x 9aZbYcXdWeVfUgThSiRjQkPlOmNn0123456789S3CRET", "x ***"),
        ("x --secret --verbose", "x --secret --verbose"),
    ],
)
def test_secrets_go(line: str, expected: str) -> None:
    assert clean(line) == expected
    assert "S3CRET" not in clean(line)


@pytest.mark.parametrize(
    "line",
    [
        "train.py --max-tokens 512 --tokenizer bert-base --pad-token-id 0",
        "train.py --num_tokens=3 --tokens-per-batch 4096 --max_new_tokens 20",
        "train.py --eos-token </s> --special-tokens a,b",
        "train.py --sort-key len --label-key y --num-keys 3 --n-heads 4",
        "train.py --lr -1e-5 --seed -3 --author ann --monkey 3 --keyboard x",
        "train.py --model sentence-transformers/all-MiniLM-L6-v2 --revision 8b3219a92973c328a8e22fadcfa821b5dc75636a",
        "train.py data/Long-Name-With-Digits-2024-and-Capitals/and/more/0123456789abcdef.parquet",
        "train.py --passes 3 --bypass --compass n",
        "mvc commit -m 'Use the token of the author' --metric acc=0.9",
        "python -pX script.py",
    ],
)
def test_harmless_words_stay(line: str) -> None:
    assert without_secrets(shlex.split(line)) == shlex.split(line)


def test_names() -> None:
    assert all(
        map(speaks_of_secret, ["token", "API_KEY", "dbPassword", "x-auth", "AccessKeyId", "client-secret", "PIN"])
    )
    assert not any(
        map(speaks_of_secret, ["tokenizer", "monkey", "keynote", "author", "spin", "passes", "signal", "authors"])
    )


def test_urls_keep_what_is_no_secret() -> None:
    assert without_credentials("git@github.com:me/x.git") == "git@github.com:me/x.git"
    assert without_credentials("see https://h/p?q=1 and https://u@h2/") == "see https://h/p?q=1 and https://h2/"


@given(st.lists(st.text(max_size=30), max_size=8))
def test_any_words_at_all(words: list[str]) -> None:
    assert len(without_secrets(words)) == len(words)


def test_long_words_take_no_long_time() -> None:
    for word in ("-" * 200_000, "a-" * 100_000, "x@" * 100_000, "?a=" * 70_000, "://" * 70_000, "Aa1" * 70_000):
        without_secrets([word])
