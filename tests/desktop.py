"""A desktop for a browser's notifications: a session bus of our own, and on it who shows and clicks them."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from jeepney import DBusAddress, Message, MessageType, new_method_return, new_signal
from jeepney.bus_messages import message_bus
from jeepney.io.asyncio import DBusConnection, open_dbus_connection
from jeepney.low_level import HeaderFields

from tests.services import cancelled

NAME = "org.freedesktop.Notifications"  # specifications.freedesktop.org/notification-spec
OBJECT = DBusAddress("/org/freedesktop/Notifications", interface=NAME)

needs_session_bus = pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="there is no dbus-daemon")


class Desktop:
    """Takes notifications, and is who clicks them."""

    def __init__(self, bus: str, connection: DBusConnection) -> None:
        self.bus = bus
        self.titles: asyncio.Queue[tuple[int, str]] = asyncio.Queue()
        self._connection = connection
        self._count = 0

    async def click(self, notification_id: int) -> None:
        """Click a notification's body."""
        await self._connection.send(new_signal(OBJECT, "ActionInvoked", "us", (notification_id, "default")))

    async def serve(self) -> None:
        """Answer the browser until cancelled."""
        await self._connection.send(message_bus.RequestName(NAME))
        while True:
            message = await self._connection.receive()
            if message.header.message_type is MessageType.method_call:
                await self._connection.send(self._answer(message))

    def _answer(self, call: Message) -> Message:
        match call.header.fields[HeaderFields.member]:
            case "GetCapabilities":
                return new_method_return(call, "as", (["actions", "body"],))
            case "GetServerInformation":
                return new_method_return(call, "ssss", ("desktop", "geodispatch", "1", "1.2"))
            case "Notify":
                self._count += 1
                self.titles.put_nowait((self._count, call.body[3]))
                return new_method_return(call, "u", (self._count,))
            case _:  # CloseNotification
                return new_method_return(call)


@asynccontextmanager
async def open_desktop() -> AsyncIterator[Desktop]:
    """Start the bus, and serve the desktop on it."""
    daemon = await asyncio.create_subprocess_exec(
        "dbus-daemon", "--session", "--nofork", "--print-address", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert daemon.stdout is not None
        bus = (await daemon.stdout.readline()).decode().strip()
        async with await open_dbus_connection(bus) as connection:
            desktop = Desktop(bus, connection)
            serving = asyncio.create_task(desktop.serve())
            try:
                yield desktop
            finally:
                await cancelled(serving)
    finally:
        daemon.terminate()
        await daemon.wait()
