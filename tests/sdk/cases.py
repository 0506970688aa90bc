"""What the Python scripts share: sessions, prompts that direct the model servers, and lines of results.

A script is a list of functions, each a case that `Cases.case` plays at once, in a session of its own. What a prompt in square
brackets asks of the model servers is in tests/src/sdk/server/turn.rs.
"""

import base64
import json
import os
import struct
import zlib

URL = os.environ["SDK_URL"]
# No client's key may reach a model server, which looks for this text.
KEY = "key-of-the-client"
# Longer than any prefix that is too short for a cache.
LONG = "The rules of the house are many and must be read again every day. " * 400


def png(width, height):
    """A grey picture in base64."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = (b"\0" + b"\x80" * width) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return base64.b64encode(data).decode()


def equal(found, expected):
    assert found == expected, f"found {found!r}, expected {expected!r}"


def raises(kind, play, *texts):
    """The exception of this class, with all of these texts in its message, that `play` raises."""
    try:
        found = play()
    except kind as error:
        missing = [text for text in texts if text not in str(error)]
        assert not missing, f"{missing} not in {error}"
        return error
    raise AssertionError(f"found {found!r}, expected {kind.__name__}")


class Cases:
    """The cases of one library."""

    def __init__(self, name, version):
        self.name = name
        self.client = f"{name} {version} (PyPI)"

    def case(self, api, about, *, streaming=False, whole=True, provider_refusals=0, gateway_refusals=0, budget=None):
        """Plays the function below: it gets the headers of its session and the text that names its account."""

        def played(play):
            session = f"py-{self.name}:{api}:{about}{':stream' if streaming else ''}".replace(" ", "-")
            headers = {"x-session-id": session}
            if budget is not None:
                headers["x-seqroute-budget-usd"] = budget
            error = None
            try:
                play(headers, f"[case {session}]")
            except Exception as raised:  # Whatever a library raises is the result of the case.
                error = f"{type(raised).__name__}: {raised}"
            result = {
                "client": self.client, "api": api, "streaming": streaming, "case": about, "session": session,
                "error": error, "whole": whole, "provider_refusals": provider_refusals,
                "gateway_refusals": gateway_refusals,
            }
            print(json.dumps(result), flush=True)
            return play

        return played
