"""What stands before several directors."""


class Balancer:
    """Takes the place of a Served: each new connection goes to the next one that runs."""

    def __init__(self, replicas):
        self._replicas = replicas
        self._turn = 0

    @property
    def port(self):
        self._turn += 1
        running = [r for r in self._replicas if r.process.is_running()] or self._replicas
        return running[self._turn % len(running)].port

    @property
    def token(self):
        return self._replicas[0].token

    @property
    def webhook_key(self):
        return self._replicas[0].webhook_key
