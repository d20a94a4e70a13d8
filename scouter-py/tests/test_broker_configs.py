"""The configurations of brokers: what cannot work raises at once, variables fill in, and secrets stay out of sight."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest

from scouter import CompressionType, HttpConfig, KafkaConfig, RabbitMQConfig, ScouterError, transport
from scouter.errors import ConfigError, ConfigTypeError
from scouter.tracing import TracerProvider

SECRET = "s3cret"


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"brokers": 5}, ConfigTypeError, "brokers must be a str, not int"),
        ({"brokers": " "}, ConfigError, "brokers is empty"),
        ({"brokers": "a\ud800:1"}, ConfigError, "brokers has half of a surrogate pair"),
        ({"brokers": []}, ConfigError, "brokers is empty"),
        ({"brokers": [5]}, ConfigTypeError, "brokers must be a str, not int"),
        ({"brokers": "http://a:9092"}, ConfigError, "KafkaConfig: "),
        ({"brokers": "a:99999"}, ConfigError, "is no Kafka broker: give host:port"),
        ({"brokers": f"me:{SECRET}@a:x"}, ConfigError, "is no Kafka broker: give host:port"),
        ({"topic": "my topic"}, ConfigError, '"my topic" is no name of a Kafka topic'),
        ({"records_topic": ""}, ConfigError, "records_topic is empty"),
        ({"username": "me"}, ConfigError, "a user name and no password: give both or neither"),
        ({"password": SECRET}, ConfigError, "a password and no user name: give both or neither"),
        ({"username": 5}, ConfigTypeError, "username must be a str, not int"),
        ({"sasl_mechanism": "GSSAPI"}, ConfigError, "sasl_mechanism is 'GSSAPI': give one of PLAIN, SCRAM-SHA-256"),
        ({"security_protocol": "TLS"}, ConfigError, "security_protocol is 'TLS': give one of PLAINTEXT, SSL"),
        ({"security_protocol": "SASL_SSL"}, ConfigError, "asks for a user name and there is none"),
        (
            {"security_protocol": "SSL", "username": "me", "password": SECRET},
            ConfigError,
            "does not show the user name",
        ),
        (
            {"compression": "brotli"},
            ConfigError,
            "compression is 'brotli': give one of 'none', 'gzip', 'snappy', 'lz4'",
        ),
        ({"timeout": 0}, ConfigError, "timeout is 0: give seconds"),
        ({"ca_file": "nowhere.pem"}, ConfigError, "ca_file names nowhere.pem, which is not a file"),
        ({"certificate_file": __file__}, ConfigError, "certificate_file and key_file go together"),
        ({"properties": ["a"]}, ConfigTypeError, "properties must be a dict of librdkafka's properties, not list"),
        ({"properties": {"linger.ms": None}}, ConfigTypeError, "properties must map names to texts or numbers"),
        ({"properties": {"linger.mss": 1}}, ConfigError, "linger.mss is not known"),
        ({"properties": {"linger.ms": SECRET}}, ConfigError, "linger.ms does not take this value"),
        ({"properties": {"acks": 1}}, ConfigError, "acks cannot be set"),
        ({"uri": "x"}, TypeError, "unexpected keyword argument 'uri'"),
    ],
    ids=str,
)
def test_what_kafka_cannot_do(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        KafkaConfig(**arguments)
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)
    assert error is TypeError or isinstance(caught.value, ScouterError)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"host": 5}, ConfigTypeError, "host must be a str, not int"),
        ({"host": ""}, ConfigError, "host is empty"),
        ({"host": f"amqp://me:{SECRET}@host"}, ConfigError, "is no host name"),
        ({"host": "host:5672"}, ConfigError, "give the port apart"),
        ({"port": 0}, ConfigError, "port is 0: give a whole number from 1 to 65535"),
        ({"port": "5672"}, ConfigTypeError, "port must be an int, not str"),
        ({"port": 70_000}, ConfigError, "port is 70000: give a whole number from 1 to 65535"),
        ({"queue": "amq.mine"}, ConfigError, "are the broker's own"),
        ({"records_queue": "q" * 300}, ConfigError, "longer than 255 bytes"),
        ({"virtual_host": " "}, ConfigError, "virtual_host is empty"),
        ({"password": f"{SECRET}\0"}, ConfigError, "zero byte"),
        ({"tls": "yes"}, ConfigTypeError, "tls must be True or False, not str"),
        ({"tls": False, "ca_file": __file__}, ConfigError, "tls is False, but there are PEM files"),
        ({"timeout": float("nan")}, ConfigError, "timeout is nan: give seconds"),
        ({"key_file": __file__}, ConfigError, "certificate_file and key_file go together"),
    ],
    ids=str,
)
def test_what_rabbitmq_cannot_do(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        RabbitMQConfig(**arguments)
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)


def test_variables_fill_in_and_arguments_beat_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCOUTER_KAFKA_PASSWORD", SECRET)
    KafkaConfig(username="me")
    monkeypatch.setenv("SCOUTER_KAFKA_BROKERS", "http://nowhere")
    with pytest.raises(ConfigError, match="is no Kafka broker"):
        KafkaConfig(username="me")
    KafkaConfig(brokers="a:1", username="me")
    monkeypatch.setenv("SCOUTER_KAFKA_SASL_MECHANISM", "GSSAPI")
    with pytest.raises(ConfigError, match="SCOUTER_KAFKA_SASL_MECHANISM"):
        KafkaConfig(brokers="a:1", username="me")
    KafkaConfig(brokers="a:1", username="me", sasl_mechanism="scram-sha-256")
    monkeypatch.setenv("SCOUTER_RABBITMQ_PORT", "many")
    with pytest.raises(ConfigError, match="SCOUTER_RABBITMQ_PORT is a number from 1 to 65535"):
        RabbitMQConfig()
    RabbitMQConfig(port=1)


def test_a_variable_that_has_gone_bad_raises_at_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    config = KafkaConfig()
    monkeypatch.setenv("SCOUTER_KAFKA_BROKERS", "http://nowhere")
    with pytest.raises(ConfigError, match="is no Kafka broker"):
        TracerProvider(transport_config=config)


def test_secrets_are_never_shown(tmp_path: Path) -> None:
    kafka = KafkaConfig(
        "host:1", username=SECRET, password=SECRET, compression="lz4", properties={"ssl.key.password": SECRET}
    )
    rabbitmq = RabbitMQConfig("host", 5, username=SECRET, password=SECRET)
    for config in (kafka, rabbitmq):
        assert SECRET not in f"{config!r} {config}"
        assert pickle.loads(pickle.dumps(config)) == copy.deepcopy(config) == config
    assert repr(kafka) == (
        "KafkaConfig(brokers='host:1', username='***', password='***', compression=CompressionType.LZ4, "
        "properties={'ssl.key.password': '***'})"
    )
    assert repr(rabbitmq) == "RabbitMQConfig(host='host', port=5, username='***', password='***')"
    pem = tmp_path / "a.pem"
    pem.write_text(SECRET)
    with pytest.raises(ConfigError, match="PEM") as caught:
        KafkaConfig(ca_file=pem)
    assert SECRET not in str(caught.value)


def test_they_are_values() -> None:
    assert KafkaConfig(["a:1", "b:2"]) == KafkaConfig(brokers="a:1,b:2") != KafkaConfig()
    assert KafkaConfig(properties={"linger.ms": 5, "socket.nagle.disable": True}).properties == {
        "linger.ms": "5",
        "socket.nagle.disable": "true",
    }
    with pytest.raises(AttributeError):
        KafkaConfig().brokers = "a"
    assert transport.KafkaConfig is KafkaConfig
    assert transport.RabbitMQConfig is RabbitMQConfig
    assert not hasattr(RabbitMQConfig(), "__dict__")


def test_what_only_kafka_can_compress() -> None:
    assert KafkaConfig(compression=CompressionType.Snappy).compression is CompressionType.SNAPPY
    with pytest.raises(ConfigError, match="compression is 'lz4', which only Kafka knows: give 'none' or 'gzip'"):
        HttpConfig(compression=CompressionType.LZ4)
