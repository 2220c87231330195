"""A proxy that makes a service on this machine seem far away: what is sent arrives half a round trip later."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

ROUND_TRIP = 0.05
CHUNK_BYTES = 65536


@contextmanager
def far(url: str) -> Iterator[str]:
    """The URL at which a service answers from afar; connections need a round trip to be made, too."""
    parts = urlsplit(url)
    host, port = str(parts.hostname), int(parts.port or 80)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True, name="far")
    thread.start()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(ROUND_TRIP)
        there, back = await asyncio.open_connection(host, port)
        await asyncio.gather(_forward(reader, back), _forward(there, writer))

    async def serve() -> asyncio.Server:
        return await asyncio.start_server(connected, host, 0)

    server = asyncio.run_coroutine_threadsafe(serve(), loop).result()
    try:
        yield parts._replace(netloc=f"{host}:{server.sockets[0].getsockname()[1]}").geturl()
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what arrives, each piece half a round trip later, whatever else is on its way."""
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def send() -> None:
        with suppress(ConnectionError):
            while True:
                due, piece = await pieces.get()
                await asyncio.sleep(due - loop.time())
                if not piece:
                    writer.close()
                    return
                writer.write(piece)
                await writer.drain()

    sending = asyncio.create_task(send())
    with suppress(ConnectionError):
        while piece := await reader.read(CHUNK_BYTES):
            pieces.put_nowait((loop.time() + ROUND_TRIP / 2, piece))
    pieces.put_nowait((loop.time() + ROUND_TRIP / 2, b""))
    await sending
