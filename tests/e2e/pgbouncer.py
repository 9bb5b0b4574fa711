"""A pgbouncer in transaction mode before a PostgreSQL server."""

import os
import shutil

from processes import Failed, can_connect, stable_port, wait_until
from session import USER, Session

POOL_SIZE = 3  # fewer than the directors have open: they take turns
START_SECONDS = 10
CONFIG = """[databases]
postgres = host=127.0.0.1 port={server_port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
admin_users = {user}
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 200
"""


class PgBouncer:
    def __init__(self, node, processes):
        self.port = stable_port()
        self.url = f"postgresql://{USER}@127.0.0.1:{self.port}/postgres"
        self._processes = processes
        users = node.folder / "users.txt"
        users.write_text(f'"{USER}" ""\n')
        config = node.folder / "pgbouncer.ini"
        config.write_text(CONFIG.format(server_port=node.port, port=self.port, users=users, user=USER,
                                        pool_size=POOL_SIZE))
        # It refuses to run as root, as the server does.
        options = {"user": "postgres", "group": "postgres", "extra_groups": []} if node.prefix else {}
        program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
        if program is None:
            raise Failed("pgbouncer is not installed; ./dev setup does that")
        self._process = processes.start("pgbouncer", [program, config], **options)
        wait_until("pgbouncer", lambda: can_connect(self.port), START_SECONDS, processes, pause=0.02)

    def stop(self):
        self._processes.forget(self._process)
        self._process.kill()

    def count(self):
        """How many connections there are of clients, and how many to the server."""
        with Session(self.port, "pgbouncer") as session:
            clients = session.execute("SHOW CLIENTS")
            servers = session.execute("SHOW SERVERS")
        return sum(row[2] == "postgres" for row in clients), len(servers)
