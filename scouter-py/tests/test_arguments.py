from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from pathlib import Path

import pytest

from scouter import BatchConfig, CompressionType, GrpcConfig, HttpConfig, MockConfig, ScouterError
from scouter.errors import ConfigError, ConfigTypeError
from scouter.tracing import (
    GrpcSpanExporter,
    HttpSpanExporter,
    OtelExportConfig,
    ScouterInstrumentor,
    TracerProvider,
    init_tracer,
    instrument,
)

SECRET = "s3cret"


@pytest.mark.parametrize("config", [HttpConfig, GrpcConfig])
@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"uri": 5}, ConfigTypeError, "uri must be a str, not int"),
        ({"uri": " "}, ConfigError, "uri is empty"),
        ({"uri": "http://a\ud800"}, ConfigError, "uri has half of a surrogate pair at position 8: remove it"),
        ({"uri": "localhost:8000"}, ConfigError, "begin it with http:// or https://"),
        ({"uri": "ftp://host"}, ConfigError, "scheme must be http or https"),
        ({"uri": "http://"}, ConfigError, "has no host"),
        ({"uri": "http://host:99999"}, ConfigError, "host or port cannot be used"),
        ({"uri": "http://host:0"}, ConfigError, "port is not from 1 to 65535"),
        ({"uri": "http://a b"}, ConfigError, "blank or control character"),
        ({"username": "me"}, ConfigError, "username and password go together"),
        ({"username": "me", "password": SECRET, "auth_token": SECRET}, ConfigError, "exclude each other"),
        ({"auth_token": SECRET + "\n"}, ConfigError, "auth_token has a character"),
        ({"auth_token": 5}, ConfigTypeError, "auth_token must be a str"),
        ({"headers": [("a", "b")]}, ConfigTypeError, "headers must be a dict"),
        ({"headers": {"a b": SECRET}}, ConfigError, "headers has the name 'a b'"),
        ({"headers": {"a": SECRET + "\r\nb: c"}}, ConfigError, "headers has a value for 'a'"),
        ({"headers": {"a": 5}}, ConfigTypeError, "headers must map str to str"),
        ({"compression": "brotli"}, ConfigError, "compression is 'brotli': give one of 'none', 'gzip'"),
        ({"compression": 1}, ConfigTypeError, "compression must be a CompressionType"),
        ({"timeout": 0}, ConfigError, "timeout is 0: give seconds"),
        ({"timeout": float("nan")}, ConfigError, "timeout is nan"),
        ({"timeout": "5"}, ConfigTypeError, "timeout must be a number"),
        ({"ca_file": "nowhere.pem"}, ConfigError, "ca_file names nowhere.pem, which is not a file"),
        ({"ca_file": 3}, ConfigTypeError, "ca_file must be a path"),
    ],
    ids=str,
)
def test_bad_transports(config: type, arguments: dict, error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        config(**arguments)
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)
    assert isinstance(caught.value, ScouterError)
    assert isinstance(caught.value, ValueError if error is ConfigError else TypeError)


def test_certificates_and_keys_go_together(tmp_path: Path) -> None:
    file = tmp_path / "a.pem"
    file.write_text("x")
    with pytest.raises(ConfigError, match="certificate_file and key_file go together"):
        HttpConfig(certificate_file=file)
    assert HttpConfig(ca_file=file).ca_file == str(file)


def test_secrets_are_never_shown() -> None:
    url = f"https://me:{SECRET}@host:1/path?key={SECRET}"
    for config in (
        HttpConfig(url, auth_token=SECRET, headers={"x-api-key": SECRET}),
        GrpcConfig(url, username=SECRET, password=SECRET),
        OtelExportConfig(url, headers={"x-api-key": SECRET}, auth_token=SECRET),
        HttpSpanExporter(export_config=OtelExportConfig(url, auth_token=SECRET)),
        HttpConfig(f"http://me:{SECRET}@host"),
    ):
        for shown in (repr(config), str(config), f"{config!r}"):
            assert SECRET not in shown
            assert "host" in shown
    for bad in (f"me:{SECRET}@host", f"ftp://me:{SECRET}@host", f"http://me:{SECRET}@host:99999"):
        with pytest.raises(ConfigError) as caught:
            HttpConfig(bad)
        assert SECRET not in str(caught.value)
    config = HttpConfig("http://h", auth_token=SECRET, compression="gzip", timeout=3)
    assert repr(config) == "HttpConfig(uri='http://h', auth_token='***', compression=CompressionType.GZIP, timeout=3.0)"


def test_they_are_values() -> None:
    config = HttpConfig("http://host", timeout=3, headers={"a": "b"})
    assert config == HttpConfig(uri="http://host", headers={"a": "b"}, timeout=3.0)
    assert config != HttpConfig("http://host")
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.uri = "http://other"
    with pytest.raises((AttributeError, TypeError)):
        config.unknown = 1
    assert not hasattr(config, "__dict__")
    assert pickle.loads(pickle.dumps(config)) == copy.deepcopy(config) == config
    assert list(inspect.signature(HttpConfig).parameters)[:6] == [
        "uri",
        "username",
        "password",
        "auth_token",
        "headers",
        "compression",
    ]


def test_compression_in_both_spellings() -> None:
    assert CompressionType.Gzip is CompressionType.GZIP
    assert CompressionType.NoCompression is CompressionType.NONE
    assert HttpConfig(compression="GZIP").compression is CompressionType.GZIP


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"max_queue_size": 0}, ConfigError, "max_queue_size is 0: give a whole number from 1"),
        ({"max_queue_size": 1.5}, ConfigTypeError, "max_queue_size must be an int, not float"),
        ({"max_queue_size": True}, ConfigTypeError, "max_queue_size must be an int, not bool"),
        ({"scheduled_delay_ms": -1}, ConfigError, "scheduled_delay_ms is -1"),
        ({"max_queue_size": 5, "max_export_batch_size": 6}, ConfigError, "more than the 5 of max_queue_size"),
    ],
    ids=str,
)
def test_bad_batches(arguments: dict, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        BatchConfig(**arguments)


@pytest.mark.parametrize("exporter", [HttpSpanExporter, GrpcSpanExporter])
@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"sample_ratio": 1.01}, ConfigError, "sample_ratio is 1.01: give from 0.0"),
        ({"sample_ratio": -0.1}, ConfigError, "sample_ratio is -0.1"),
        ({"sample_ratio": float("inf")}, ConfigError, "sample_ratio is inf"),
        ({"sample_ratio": "0.5"}, ConfigTypeError, "sample_ratio must be a number"),
        ({"sample_ratio": True}, ConfigTypeError, "sample_ratio must be a number"),
        ({"batch_export": 1}, ConfigTypeError, "batch_export must be True or False"),
        ({"export_config": "http://x"}, ConfigTypeError, "export_config must be an OtelExportConfig"),
    ],
    ids=str,
)
def test_bad_exporters(exporter: type, arguments: dict, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        exporter(**arguments)


def test_a_bad_endpoint_is_named() -> None:
    with pytest.raises(ConfigError, match="endpoint is 'collector:4318'"):
        OtelExportConfig(endpoint="collector:4318")


@pytest.mark.parametrize("set_up", [TracerProvider, init_tracer, instrument], ids=lambda function: function.__name__)
@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"transport_config": "http://x"}, ConfigTypeError, "transport_config is of type str"),
        ({"transport_config": HttpConfig}, ConfigTypeError, "transport_config is the class HttpConfig"),
        ({"exporter": OtelExportConfig()}, ConfigTypeError, "exporter is of type OtelExportConfig"),
        ({"batch_config": {"max_queue_size": 1}}, ConfigTypeError, "batch_config is of type dict"),
        ({"sample_ratio": 1.5}, ConfigError, "sample_ratio is 1.5"),
        ({"sample_ratio": "all"}, ConfigTypeError, "sample_ratio must be a number"),
        ({"attributes": ["a"]}, ConfigTypeError, "attributes must be a dict"),
        ({"attributes": {1: "a"}}, ConfigTypeError, "attributes has the key 1"),
        ({"attributes": {"service.name": ""}}, ConfigError, "service.name is empty"),
        ({"attributes": {"service.name": 5}}, ConfigTypeError, "service.name must be a str"),
        ({"resource": 5}, ConfigTypeError, "resource is of type int"),
        ({"span_limits": 5}, ConfigTypeError, "span_limits is of type int"),
        (
            {"scouter_queue": object()},
            ConfigTypeError,
            "scouter_queue is of type object: give an object of scouter.queue",
        ),
        ({"no_such_argument": 1}, TypeError, "no_such_argument"),
    ],
    ids=str,
)
def test_bad_set_up(set_up: object, arguments: dict, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        set_up(**arguments)
    assert not ScouterInstrumentor().is_instrumented


def test_variables_that_cannot_work_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCOUTER_SERVER_URI", "not a url")
    with pytest.raises(ConfigError, match="SCOUTER_SERVER_URI"):
        TracerProvider()
    assert TracerProvider(transport_config=MockConfig()).stats()["started"] == 0
