"""Scenes in which the network between directors and database is cut for a while."""

import threading
import time

from tcp_proxy import TcpProxy


def refuse_both(stage):
    """Connections are reset, new ones refused."""
    return cut(stage, stage.replicas, TcpProxy.refuse)


def refuse_one(stage):
    return cut(stage, [stage.random.choice(stage.replicas)], TcpProxy.refuse)


def hold_one(stage):
    """What is sent arrives, but only when it is over."""
    return cut(stage, [stage.random.choice(stage.replicas)], TcpProxy.hold)


def black_hole(stage):
    """Around one director, then around the other one too. Connections of that time are never answered
    again, so that each director must give them up by itself."""
    one, other = stage.random.sample(stage.replicas, 2)
    stage.happened()
    lost_at = time.monotonic()
    apply(stage, [one], TcpProxy.lose)
    stage.wait_until_mute(one)
    alone = stage.recover(lost_at, [other])
    text = cut(stage, [other], TcpProxy.lose, since=lost_at, also=[one])
    swallowed = sum(proxy.swallowed for proxies in stage.proxies.values() for proxy in proxies)
    return f"{one.name} in a black hole, {other.name} {alone}; then {text}; {swallowed} bytes swallowed"


def cut(stage, victims, how, since=None, also=()):
    """Cuts `victims` off in that way, and mends it for them and those that are so `also`."""
    stage.happened()
    apply(stage, victims, how)
    for victim in victims:
        stage.wait_until_mute(victim)
    threading.Event().wait(stage.cut_seconds)  # for nothing: it is to last so long
    mended_at = time.monotonic()
    apply(stage, [*also, *victims], TcpProxy.mend)
    names = " and ".join(victim.name for victim in [*also, *victims])
    since_what = "with the cut" if since else "from its end"
    return (f"{how.__name__} all of {names} for {stage.cut_seconds:.0f} s, "
            f"{stage.recover(since or mended_at)} {since_what}")


def apply(stage, victims, how):
    for victim in victims:
        for proxy in stage.proxies[victim.name]:
            how(proxy)
