from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING, cast

import requests
from werkzeug.wrappers import Response

from doubles import description
from pilotlight.model.golden import Golden
from pilotlight_cli.developing.instance import Instance
from pilotlight_cli.developing.switch import Switch
from pilotlight_cli.local.server import Server
from pilotlight_cli.local.wsgi import serving_wsgi
from waiting import wait_until

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def instance(text: str, before: Callable[[], object] = lambda: None) -> Instance:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        before()
        return Response(text)(environ, start_response)

    return Instance(description(), Golden(()), cast("Server", None), application, ExitStack())


def test_a_request_under_way_is_answered_by_the_instance_that_took_it() -> None:
    release = threading.Event()
    old = instance("old", release.wait)
    switch = Switch(old)
    with serving_wsgi(switch) as url:
        answers: list[str] = []
        asking = threading.Thread(target=lambda: answers.append(requests.get(url).text))
        asking.start()
        wait_until(lambda: old.under_way == 1, limit=60)
        assert switch.replace(instance("new")) is old
        assert requests.get(url).text == "new"
        assert old.under_way == 1
        release.set()
        asking.join()
    assert (answers, old.under_way) == (["old"], 0)
