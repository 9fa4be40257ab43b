"""Catalogs at s3://: a real server (moto's) that wants keys, read through a cache."""

import json
import resource
import shutil

import boto3
import fsspec
import pytest
import requests
from moto.server import ThreadedMotoServer

from backtests.optimize.trials import Trials
from backtests.session import backtest_document
from backtests.studies.trial_ledger import TrialLedger
from catalog.storage.store import Catalog
from config.errors import DeskError, InputError, UnreachableError
from config.load import load
from config.validate import validate_with_files
from tests.conftest import written

LOOKBACK = "strategies.reversal.params.lookback"


@pytest.fixture(scope="module")
def server():
    """Yield an endpoint that knows one user, and that user's keys."""
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    endpoint = "http://{}:{}".format(*moto.get_host_and_port())
    anyone = {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
    place = {"endpoint_url": endpoint, "region_name": "us-east-1"}
    users = boto3.client("iam", **place, **anyone)
    users.create_user(UserName="desk")
    rights = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [rights]})
    users.put_user_policy(UserName="desk", PolicyName="all", PolicyDocument=policy)
    keys = users.create_access_key(UserName="desk")["AccessKey"]
    boto3.client("s3", **place, **anyone).create_bucket(Bucket="market")
    requests.post(f"{endpoint}/moto-api/reset-auth", data="0", timeout=10)  # from here on, keys
    yield endpoint, keys["AccessKeyId"], keys["SecretAccessKey"]
    moto.stop()


@pytest.fixture
def storage(server, tmp_path, monkeypatch):
    """Set the environment as a user would; return the storage, for what a user copies there."""
    endpoint, key, secret = server
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "PERPDESK_CACHE": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setenv(name, value)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    yield fsspec.filesystem("s3")
    fsspec.get_filesystem_class("s3").clear_instance_cache()


def copied(storage, folder, url):
    """Copy a catalog, CURRENT last, without the engine's files."""
    for file in sorted(folder.rglob("*.*")):
        if file.is_file() and "nautilus" not in file.parts:
            storage.put_file(str(file), f"{url}/{file.relative_to(folder)}")
    storage.put_file(str(folder / "CURRENT"), f"{url}/CURRENT")


def test_a_backtest_screen_and_trial_from_s3_are_the_local_ones_byte_for_byte(
    storage, demo_catalog, write_run, tmp_path, monkeypatch
):
    copied(storage, demo_catalog, "s3://market/demo")
    monkeypatch.setenv("PERPDESK_TRIALS", str(tmp_path / "trials.sqlite"))
    local, remote = write_run(), write_run("remote", catalog="s3://market/demo")
    assert validate_with_files(remote)[:2] == ([], [])
    folders = [
        backtest_document(file, out=tmp_path / f"out-{file.stem}") for file in (local, remote)
    ]
    tables = sorted(file.name for file in folders[0].glob("*.parquet"))
    assert len(tables) > 5
    for name in tables:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes(), name
    for how in ("screen", "full"):
        found = [getattr(Trials(load(file)), how)({}) for file in (local, remote)]
        assert found[0].returns.tolist() == found[1].returns.tolist()
    with TrialLedger(tmp_path / "trials.sqlite") as ledger:
        assert ledger.count(ledger.data_set("s3://market/demo", 0, 2**62)) == 1
        # The same candidate: of the same values, data and code.
        assert len({ledger.trials(f"backtest {n}")[0].candidate for n in ("small", "remote")}) == 1


def test_files_are_fetched_when_read_and_once_and_a_new_version_is_seen(
    storage, demo_market, tmp_path
):
    folder, url = tmp_path / "catalog", "s3://market/versions"
    tables = dict(demo_market.tables)
    last = next(key for key in tables if key[0] == "funding")
    fewer = {key: table for key, table in tables.items() if key != last}
    copied(storage, written(folder, demo_market, tables=fewer), url)
    cache = tmp_path / "cache" / "catalogs"
    first = Catalog(url)
    assert not cache.exists()
    key = next(iter(fewer))
    rows = first.series(*key, 0, 2**62)
    assert rows.equals(Catalog(folder).series(*key, 0, 2**62))
    (kept,) = cache.iterdir()
    times = kept.stat()
    written(folder, demo_market)
    copied(storage, folder, url)
    second = Catalog(url)
    assert (first.version, second.version) == (1, 2)
    assert second.data_hash() == Catalog(folder).data_hash() != first.data_hash()
    second.series(*key, 0, 2**62)
    second.series(*last, 0, 2**62)
    assert len(list(cache.iterdir())) == 2
    assert kept.stat() == times, "what did not change is not fetched again"


def test_trials_run_on_one_version_and_storage_that_fails_ends_them_and_prunes_none(
    storage, demo_catalog, write_run
):
    copied(storage, demo_catalog, "s3://market/kept")
    trials = Trials(load(write_run(catalog="s3://market/kept")))
    assert trials.screen({LOOKBACK: 1}).why == ""
    storage.rm_file("s3://market/kept/CURRENT")
    assert trials.screen({LOOKBACK: 2}).why == ""
    for file in storage.find("s3://market/kept"):
        storage.rm_file(file)
    with pytest.raises(UnreachableError, match="is missing: was this version removed meanwhile"):
        trials.full({LOOKBACK: 2})


def test_a_file_that_is_not_its_indexes_is_refused_and_not_kept(storage, demo_catalog, tmp_path):
    shutil.copytree(demo_catalog, tmp_path / "damaged")
    raw = tmp_path / "damaged" / "versions" / "1" / "raw" / "bars" / "1h"
    btc, eth = sorted(raw.iterdir())[:2]
    shutil.copy(eth, btc)
    (raw / eth.name).write_bytes(b"half")
    copied(storage, tmp_path / "damaged", "s3://market/damaged")
    opened = Catalog("s3://market/damaged")
    for file in (btc, eth):
        with pytest.raises(DeskError, match="not the file of its index; copy it again"):
            opened.series("bars", "1h", file.stem, 0, 2**62)
    assert list((tmp_path / "cache" / "catalogs").iterdir()) == []
    storage.rm_file("s3://market/damaged/versions/1/raw/bars/1d/" + btc.name)
    with pytest.raises(DeskError, match="is missing: was this version removed meanwhile"):
        opened.series("bars", "1d", btc.stem, 0, 2**62)
    storage.rm_file("s3://market/damaged/versions/1/catalog.json")
    with pytest.raises(DeskError, match=r"version 1 is named but missing.*CURRENT is to be copied"):
        Catalog("s3://market/damaged")


def test_a_cache_without_room_is_named_as_such_and_keeps_no_half_of_a_file(
    storage, demo_catalog, tmp_path
):
    copied(storage, demo_catalog, "s3://market/roomless")
    opened = Catalog("s3://market/roomless")
    name = next((demo_catalog / "versions/1/raw/bars/1d").iterdir()).stem
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))  # as a full disk, for this process
    try:
        with pytest.raises(DeskError, match="cache/catalogs: nothing can be kept there: File too"):
            opened.series("bars", "1d", name, 0, 2**62)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list((tmp_path / "cache" / "catalogs").iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "url", "kind", "words"),
    [
        ({}, "s3://market/nowhere", InputError, "no catalog there"),
        ({}, "s3://nobucket/demo", InputError, "no catalog there"),
        ({"AWS_ACCESS_KEY_ID": "unknown"}, "s3://market/demo", DeskError, "not allowed with the"),
        ({"AWS_SECRET_ACCESS_KEY": "wr0ng"}, "s3://market/demo", DeskError, "not allowed with the"),
        pytest.param(
            {"AWS_ENDPOINT_URL": "http://me:s3cret@127.0.0.1:1"},
            "s3://market/demo",
            DeskError,
            r"can't be read \(\w+Error\): are AWS_ENDPOINT_URL",
            marks=pytest.mark.slow,  # tried again for eleven seconds
        ),
        ({}, "s3://key:s3cret@market/demo", InputError, "keys stand in AWS_ACCESS_KEY_ID"),
    ],
)
def test_wrong_buckets_keys_and_endpoints_are_one_error_without_secrets(
    storage, server, write_run, monkeypatch, changes, url, kind, words
):
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(kind, match=words) as refused:
        backtest_document(write_run(catalog=url))
    hidden = ("unknown", "wr0ng", "s3cret", "key:", *server[1:])
    assert not any(secret in str(refused.value) for secret in hidden)


@pytest.mark.parametrize(
    "words",
    [
        ["catalog", "demo"],
        ["catalog", "import", "csv", "x.csv"],
        ["catalog", "resample", "1d"],
        ["catalog", "check"],
        ["catalog", "ls"],
        ["catalog", "rebuild"],
    ],
)
def test_what_writes_or_looks_at_files_refuses_a_catalog_in_s3(
    run_command, words, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    done = run_command(*words, "--catalog", "s3://market/demo")
    assert done.code == 2
    assert "s3://market/demo: a catalog in S3 is only read" in done.err
    assert list(tmp_path.iterdir()) == []
