"""RabbitMQ: the one that is installed, or Debian's packages unpacked into the cache. Needs no root and no service."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

from brokers import cache
from brokers.options import Options
from brokers.process import HOST, Failed, Process, environment, free_port

INSTALLED = Path("/usr/lib/rabbitmq/bin")
PACKAGES = [
    "rabbitmq-server",
    *(f"erlang-{part}" for part in ("asn1", "base", "crypto", "eldap", "inets", "mnesia", "os-mon", "parsetools")),
    *(f"erlang-{part}" for part in ("public-key", "runtime-tools", "ssl", "syntax-tools", "tools", "xmerl")),
]
WAY_OUT = "install it: Debian and Ubuntu `apt-get install rabbitmq-server`, macOS `brew install rabbitmq`"


class Programs:
    """Where the programs of RabbitMQ and Erlang stand, and what they need in their environment."""

    def __init__(self) -> None:
        self.env: dict[str, str] = {}
        # Not the wrappers in /usr/sbin, which want to be root or the user of the service.
        found = shutil.which("rabbitmq-server", path=str(INSTALLED)) or shutil.which("rabbitmq-server")
        if found is not None:
            self.scripts = Path(found).resolve().parent
            self.erlang = Path(shutil.which("erl") or "erl").resolve().parent
            return
        if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
            raise cache.Unavailable(f"there is no RabbitMQ here; {WAY_OUT}")
        home = cache.provide("rabbitmq-debian", 40, _unpack)
        (scripts,) = home.glob("usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin")
        self.scripts, self.erlang = scripts, home / "usr/lib/erlang/bin"
        self.env = {"ERL_ROOTDIR": str(home / "usr/lib/erlang")}

    def epmd(self) -> str:
        found = shutil.which("epmd", path=str(self.erlang)) or shutil.which("epmd")
        if found is None:
            found = next((str(path) for path in self.erlang.parent.glob("erts-*/bin/epmd")), None)
        if found is None:
            raise cache.Unavailable(f"RabbitMQ is here, but not Erlang's epmd (looked in {self.erlang}); {WAY_OUT}")
        return found


def provide() -> Programs:
    return Programs()


def _unpack(folder: Path) -> None:
    """Debian's packages, fetched with lists of our own, so that neither root nor a fresh `apt-get update` is needed."""
    apt, packages = folder / "apt", folder / "packages"
    (apt / "lists" / "partial").mkdir(parents=True)
    (apt / "archives" / "partial").mkdir(parents=True)
    packages.mkdir()
    own = ["-o", f"Dir::State::Lists={apt / 'lists'}", "-o", f"Dir::Cache={apt}", "-o", "APT::Sandbox::User="]
    try:
        cache.run(["apt-get", "-qq", *own, "update"], cwd=packages)
        cache.run(["apt-get", "-qq", *own, "download", *PACKAGES], cwd=packages)
    except cache.Unavailable as error:
        raise cache.Unavailable(f"{error}\n{WAY_OUT}") from error
    for package in packages.glob("*.deb"):
        cache.run(["dpkg-deb", "--extract", str(package), str(folder)])
    erlang = folder / "usr/lib/erlang"
    test = [str(erlang / "bin/erl"), "-noshell", "-eval", "ok = crypto:start(), halt()."]
    cache.run(test, env=environment(ERL_ROOTDIR=str(erlang)))  # A library that lacks is found now, with its name.
    shutil.rmtree(apt)
    shutil.rmtree(packages)


class RabbitMq:
    """One RabbitMQ node with its own name, data, user, ports and port mapper; its data survive a kill."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.port = options.port
        self.programs = provide()
        self.epmd_port, self.between_nodes = free_port(), free_port()
        self.tls_port = free_port() if options.tls_cert else None
        self.username, self.password = "scouter", options.secret()
        self.mapper: Process | None = None
        self._settle()

    def about(self) -> dict[str, object]:
        tls = {"tls_port": self.tls_port} if self.tls_port else {}
        return {"username": self.username, "password": self.password, **tls}

    def start(self) -> Process:
        if self.mapper is None or not self.mapper.running:
            command = [self.programs.epmd(), "-address", HOST, "-port", str(self.epmd_port)]
            self.mapper = Process(command, self.options.data / "epmd.log")
            self.mapper.wait_until(lambda: _connects(self.epmd_port), 10, "epmd")
        process = Process([str(self.programs.scripts / "rabbitmq-server")], self.options.data / "log", self._env())
        process.wait_until(self._greets, 60, "RabbitMQ")
        return process

    def alarm(self, on: bool) -> None:
        """Out of memory: a node that says so blocks every connection that publishes."""
        self.control("set_vm_memory_high_watermark", "0.000001" if on else "0.4")

    def control(self, *arguments: str) -> None:
        """Runs `rabbitmqctl`: users, permissions, policies, queues."""
        cache.run([str(self.programs.scripts / "rabbitmqctl"), "--quiet", *arguments], env=self._env())

    def end(self) -> None:
        if self.mapper is not None:
            self.mapper.kill()

    def _greets(self) -> bool:
        with socket.create_connection((HOST, self.port), 5) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(1) == b"\x01"  # A method frame: `connection.start`.

    def _settle(self) -> None:
        data = self.options.data
        lines = {
            "listeners.tcp.1": f"{HOST}:{self.port}",
            "default_user": self.username,
            "default_pass": self.password,
            "vm_memory_high_watermark.relative": "0.000001" if self.options.memory_alarm else "0.4",
            "disk_free_limit.absolute": "50MB",
            "log.console": "true",
            "log.console.level": "warning",
            "log.file": "false",
        }
        if self.tls_port is not None:
            if self.options.tls_key is None:
                raise Failed("TLS needs both --tls-cert and --tls-key")
            lines["listeners.ssl.1"] = f"{HOST}:{self.tls_port}"
            lines["ssl_options.certfile"] = str(self.options.tls_cert)
            lines["ssl_options.keyfile"] = str(self.options.tls_key)
            if self.options.tls_ca is not None:  # Then it asks the client for a certificate.
                lines["ssl_options.cacertfile"] = str(self.options.tls_ca)
                lines["ssl_options.verify"] = "verify_peer"
                lines["ssl_options.fail_if_no_peer_cert"] = "true"
        (data / "rabbitmq.conf").write_text("".join(f"{key} = {value}\n" for key, value in lines.items()))
        (data / "plugins").write_text("[].\n")

    def _env(self) -> dict[str, str]:
        data = self.options.data
        path = f"{self.programs.erlang}:{environment().get('PATH', '')}"
        return environment(
            **self.programs.env,
            PATH=path,
            HOME=str(data),  # Erlang's cookie is made there.
            ERL_EPMD_PORT=str(self.epmd_port),
            ERL_EPMD_ADDRESS=HOST,
            ERL_CRASH_DUMP=str(data / "crash"),
            RUNNING_UNDER_SYSTEMD="true",  # The script becomes the server and its process id stays true.
            RABBITMQ_NODENAME=f"scouter-{self.port}@localhost",
            RABBITMQ_DIST_PORT=str(self.between_nodes),
            RABBITMQ_CONFIG_FILE=str(data / "rabbitmq.conf"),
            RABBITMQ_ADVANCED_CONFIG_FILE=str(data / "advanced.config"),
            RABBITMQ_CONF_ENV_FILE=str(data / "none"),
            RABBITMQ_ENABLED_PLUGINS_FILE=str(data / "plugins"),
            RABBITMQ_MNESIA_BASE=str(data / "mnesia"),
            RABBITMQ_LOG_BASE=str(data),
            RABBITMQ_GENERATED_CONFIG_DIR=str(data / "generated"),
            RABBITMQ_PID_FILE=str(data / "pid"),
            # Schedulers that do not spin: the machine belongs to the tests.
            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none",
        )


def _connects(port: int) -> bool:
    with socket.create_connection((HOST, port), 1):
        return True
