"""Apache Kafka: one process that is broker and controller, its jars from Maven Central, run with Java 17 or newer."""

from __future__ import annotations

import re
import shutil
import subprocess
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path

from brokers import cache, wire
from brokers.options import Options
from brokers.process import HOST, Failed, Process, environment, free_port

VERSION = "4.4.0"
LOG = "2.25.5"  # Of the log4j that Kafka brings: what writes its log.
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tests</groupId><artifactId>broker</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>{LOG}</version></dependency>
  </dependencies>
</project>
"""
LOGGING = """status = warn
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %p %c: %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
"""
# `SCRAM-SHA-512` is the mechanism of `--sasl scram`.
MECHANISMS = {"plain": "PLAIN", "scram": "SCRAM-SHA-512"}


def missing() -> str | None:
    """What this machine lacks to run Apache Kafka, or nothing."""
    for program, package in (("java", "openjdk-17-jre-headless"), ("mvn", "maven")):
        if shutil.which(program) is None:
            return f"no `{program}` here; Debian and Ubuntu: `apt-get install {package}`"
    said = subprocess.run(["java", "-version"], check=False, capture_output=True, text=True).stderr
    found = re.search(r'version "(\d+)', said)
    if found is None or int(found.group(1)) < 17:
        return "Java 17 or newer; Debian and Ubuntu: `apt-get install openjdk-17-jre-headless`"
    return None


def provide() -> Path:
    lacks = missing()
    if lacks is not None:
        raise cache.Unavailable(f"Apache Kafka {VERSION} needs what this machine lacks: {lacks}")
    return cache.provide(f"kafka-{VERSION}-log4j-{LOG}", 20, _fetch)


def _fetch(folder: Path) -> None:
    work = folder / "work"
    work.mkdir()
    (work / "pom.xml").write_text(POM)
    # A repository of its own: what lies in the user's is not checked again, and not everybody has a home.
    arguments = [f"-Dmaven.repo.local={work / 'repository'}", f"-DoutputDirectory={folder / 'jars'}"]
    arguments.append("-DincludeScope=runtime")
    cache.run(["mvn", "--quiet", "--batch-mode", "--strict-checksums", PLUGIN, *arguments], cwd=work)
    shutil.rmtree(work)
    (folder / "log4j2.properties").write_text(LOGGING)


class Kafka:
    """One Apache Kafka on one port; its data survive a kill."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.port = options.port
        self.controller, self.inside = free_port(), free_port()
        self.home = provide()
        self.settings = options.data / "server.properties"
        self.username, self.password = "scouter", options.secret()
        self.settings.write_text("".join(f"{key}={value}\n" for key, value in self._properties().items()))
        self._format()

    def about(self) -> dict[str, object]:
        return {"username": self.username, "password": self.password} if self.options.sasl else {}

    def start(self) -> Process:
        jvm = ["-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=4"]
        process = Process(self._java(*jvm, "kafka.Kafka", str(self.settings)), self.options.data / "log")
        process.wait_until(lambda: wire.ready(HOST, self.inside), 60, "Apache Kafka")
        for name, partitions in self.options.topics.items():
            self.topic(name, partitions)
        return process

    def topic(self, name: str, partitions: int) -> None:
        code = wire.create_topic(HOST, self.inside, name, partitions)
        if code not in (0, wire.TOPIC_EXISTS):
            raise Failed(f"topic {name} cannot be made: error {code} of the Kafka protocol")

    def _java(self, *arguments: str) -> list[str]:
        scratch = self.options.data / "tmp"  # What it unpacks, and leaves there when it is killed.
        scratch.mkdir(exist_ok=True)
        settings = [
            f"-Dlog4j2.configurationFile={self.home / 'log4j2.properties'}",
            f"-Djava.io.tmpdir={scratch}",
            "-Djava.net.preferIPv4Stack=true",
            "-XX:-UsePerfData",
        ]
        return ["java", "-cp", f"{self.home / 'jars'}/*", *settings, *arguments]

    def _format(self) -> None:
        if (self.options.data / "logs" / "meta.properties").exists():
            return
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
        command = ["kafka.tools.StorageTool", "format", "--cluster-id", cluster, "--config", str(self.settings)]
        if self.options.sasl == "scram":
            user = f"name={self.username},password={self.password}"
            command += ["--add-scram", f"{MECHANISMS['scram']}=[{user}]"]
        cache.run(self._java("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", *command), env=environment())

    def _properties(self) -> dict[str, object]:
        sasl, tls = self.options.sasl, self.options.tls_cert is not None
        protocol = ("SASL_" if sasl else "") + ("SSL" if tls else "PLAINTEXT")
        listeners = {"CLIENTS": self.port, "CONTROLLER": self.controller, "INSIDE": self.inside}
        settings: dict[str, object] = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{HOST}:{self.controller}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "INSIDE",
            "listeners": ",".join(f"{name}://{HOST}:{port}" for name, port in listeners.items()),
            "advertised.listeners": f"CLIENTS://{HOST}:{self.port},INSIDE://{HOST}:{self.inside}",
            "listener.security.protocol.map": f"CLIENTS:{protocol},CONTROLLER:PLAINTEXT,INSIDE:PLAINTEXT",
            "log.dirs": self.options.data / "logs",
            "num.partitions": self.options.partitions,
            "auto.create.topics.enable": str(self.options.auto_create).lower(),
            # One broker has one copy of everything.
            "default.replication.factor": 1,
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            # Tests do not wait for members who may come, nor for the session of a broker that was killed.
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            "broker.session.timeout.ms": 1500,
            "broker.heartbeat.interval.ms": 300,
            "log.index.size.max.bytes": 1_048_576,
            "log.segment.bytes": 67_108_864,
        }
        if self.options.message_bytes is not None:
            settings["message.max.bytes"] = self.options.message_bytes
        if sasl:
            mechanism = MECHANISMS[sasl]
            entry = f"listener.name.clients.{mechanism.lower()}.sasl.jaas.config"
            settings["listener.name.clients.sasl.enabled.mechanisms"] = mechanism
            if sasl == "plain":
                user = f'user_{self.username}="{self.password}"'
                settings[entry] = f"org.apache.kafka.common.security.plain.PlainLoginModule required {user};"
            else:
                settings[entry] = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        if tls:
            chain = self.options.data / "keystore.pem"
            chain.write_text(_read(self.options.tls_key) + _read(self.options.tls_cert))
            settings["listener.name.clients.ssl.keystore.type"] = "PEM"
            settings["listener.name.clients.ssl.keystore.location"] = chain
        return settings


def _read(path: Path | None) -> str:
    if path is None:
        raise Failed("TLS needs both --tls-cert and --tls-key")
    return path.read_text().strip() + "\n"
