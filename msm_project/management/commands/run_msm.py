"""`make run`: the web server, a worker and beat in the foreground, on embedded servers when no URL is set."""

import os
import secrets
import socket
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor

from msm_project import environment
from msm_project.embedded import servers
from msm_project.supervisor import Child, Supervisor

WEB_WORKERS = 2
WEB_THREADS = 4  # a worker serves this many requests at once; most wait for the database
WORKER_PROCESSES = 2
BACKLOG = 128  # connections that may wait while the web server starts


class Command(BaseCommand):
    help = "Run MSM: web server, worker and beat, with the embedded servers when no URL is set. Ctrl-C stops all of it."
    requires_system_checks: list[str] = []
    first_login: str | None = None

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default=environment.read("MSM_HOST", "127.0.0.1"), help="address to listen on")
        parser.add_argument("--port", type=int, default=settings.PORT, help="port to listen on (MSM_PORT)")

    def handle(self, *args: Any, host: str, port: int, **options: Any) -> None:
        listener = listen(host, port)  # first: a taken port must not leave anything running
        own: list[str] = []
        try:
            supervisor = Supervisor(self.children(listener), directory=settings.BASE_DIR, say=self.say)
            supervisor.handle_signals()
            self.start_servers(own)
            for directory in (settings.STATIC_ROOT, settings.MEDIA_ROOT):
                directory.mkdir(parents=True, exist_ok=True)
            self.prepare_database()
            connections.close_all()
            supervisor.run(Greeting(self, host, port))
        except KeyboardInterrupt:
            pass  # a signal while the servers or the database were being prepared
        finally:
            listener.close()
            connections.close_all()
            for name in reversed(own):
                (servers.stop_postgres if name == "postgres" else servers.stop_redis)(settings.DATA_DIR)
        self.say("stopped")

    def say(self, message: str) -> None:
        self.stdout.write(f"msm: {message}")
        self.stdout.flush()

    def children(self, listener: socket.socket) -> list[Child]:
        # As root Celery warns in nine lines at each start; who runs MSM as root has been told about the servers.
        python = [sys.executable, "-W", "ignore:You're running the worker with superuser privileges", "-m"]
        web = [
            *python,
            "gunicorn",
            "msm_project.wsgi",
            f"--bind=fd://{listener.fileno()}",
            f"--workers={WEB_WORKERS}",
            f"--threads={WEB_THREADS}",
            "--graceful-timeout=10",
            "--limit-request-line=8190",  # the most it takes: lists are filtered by hundreds of identifiers
            "--log-level=warning",
            "--no-control-socket",
        ]
        worker = [
            *python,
            "celery",
            "-A",
            "msm_project",
            "--quiet",
            "worker",
            f"--concurrency={WORKER_PROCESSES}",
            f"--hostname=msm-{os.getpid()}@%h",
            f"--loglevel={settings.LOG_LEVEL}",
        ]
        beat = [*python, "msm_project.beat"]
        return [Child("web", web, pass_fds=(listener.fileno(),)), Child("worker", worker), Child("beat", beat)]

    def start_servers(self, own: list[str]) -> None:
        """Start what is embedded and does not run, and note it as ours to stop."""
        running = {server.name for server in servers.status(settings.DATA_DIR) if server.running}
        for name, embedded, ensure in (
            ("postgres", settings.EMBEDDED_DATABASE, servers.ensure_postgres),
            ("redis", settings.EMBEDDED_REDIS, servers.ensure_redis),
        ):
            if not embedded or name in running:
                continue
            own.append(name)  # before it is: a signal may come while it starts
            if not ensure(settings.DATA_DIR):
                own.remove(name)

    def prepare_database(self) -> None:
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if plan:
            self.say(f"bringing the database up to date: {len(plan)} migrations")
            call_command("migrate", interactive=False, verbosity=0)
        self.create_administrator()

    def create_administrator(self) -> None:
        users = get_user_model()._default_manager
        if users.filter(is_superuser=True).exists():
            return
        if users.filter(username="admin").exists():
            self.say("there is no superuser and 'admin' is an ordinary user: manage.py createsuperuser makes one")
            return
        password = secrets.token_urlsafe(12)
        users.create_superuser("admin", None, password)
        self.say(f"created the superuser 'admin' with the password {password}   (it is not shown again)")
        self.first_login = f"log in as 'admin' with the password {password}"


class Greeting:
    """Tells the address once the web server answers there; its one question waits in the queue until then."""

    def __init__(self, command: Command, host: str, port: int) -> None:
        reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
        self.place = (reachable, port)
        self.address = f"http://{f'[{reachable}]' if ':' in reachable else reachable}:{port}/"
        self.command = command
        self.question: socket.socket | None = None
        self.said = False

    def __call__(self) -> None:
        if self.said:
            return
        try:
            if self.question is None:
                self.question = socket.create_connection(self.place, timeout=1)
                self.question.sendall(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")
                self.question.setblocking(False)
            answered = self.question.recv(16).startswith(b"HTTP/")  # whatever the status: the server is up
        except BlockingIOError:
            return
        except OSError:
            answered = False
        if self.question is not None:
            self.question.close()
            self.question = None
        if answered:
            self.said = True
            self.command.say(f"running at {self.address}   (Ctrl-C stops it)")
            if self.command.first_login is not None:
                self.command.say(self.command.first_login)


def listen(host: str, port: int) -> socket.socket:
    """The listening socket that the web server inherits; raises CommandError when the port is taken."""
    if not 0 <= port <= 65535:
        raise CommandError(f"There is no port {port}. Choose one from 1 to 65535: MSM_PORT=8000")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        raise CommandError(
            f"Port {port} on {host} cannot be used ({reason}). Stop what uses it "
            f"or choose another: MSM_PORT={port + 1 if port < 65535 else 8000}"
        ) from error
