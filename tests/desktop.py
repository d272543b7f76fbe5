"""A desktop for a browser's notifications: a session bus of our own, and on it who shows and clicks them."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from jeepney import DBusAddress, Message, MessageType, new_method_return, new_signal
from jeepney.bus_messages import message_bus
from jeepney.io.asyncio import DBusConnection, open_dbus_connection
from jeepney.low_level import HeaderFields

from tests.services import cancelled

PATIENCE_S = 30
# Unlike a session's own, this bus starts no services, of which a machine may have any number.
BUS = """
<busconfig>
  <type>session</type>
  <listen>unix:dir={folder}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""
NAME = "org.freedesktop.Notifications"  # specifications.freedesktop.org/notification-spec
OBJECT = DBusAddress("/org/freedesktop/Notifications", interface=NAME)

needs_session_bus = pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="there is no dbus-daemon")


class Desktop:
    """Takes notifications, and is who clicks them."""

    def __init__(self, bus: str, connection: DBusConnection) -> None:
        self.bus = bus
        self._shown: asyncio.Queue[tuple[int, str]] = asyncio.Queue()
        self._connection = connection
        self._called: set[str] = set()
        self._count = 0

    async def next_shown(self) -> tuple[int, str]:
        """Return the id and the title of the next notification; skip the test where the browser knows no desktop."""
        try:
            return await asyncio.wait_for(self._shown.get(), PATIENCE_S)
        except TimeoutError:
            if "GetCapabilities" in self._called:  # it asks this before all else
                raise
            pytest.skip("this browser does not hand its notifications to the desktop")

    async def click(self, notification_id: int) -> None:
        """Click a notification's body."""
        await self._connection.send(new_signal(OBJECT, "ActionInvoked", "us", (notification_id, "default")))

    async def take_office(self) -> None:
        """Be who is asked for notifications, from now on: a browser looks once, when it starts."""
        await self._connection.send(message_bus.RequestName(NAME))
        while (await self._connection.receive()).header.message_type is not MessageType.method_return:
            pass

    async def serve(self) -> None:
        """Answer the browser until cancelled."""
        while True:
            message = await self._connection.receive()
            if message.header.message_type is MessageType.method_call:
                await self._connection.send(self._answer(message))

    def _answer(self, call: Message) -> Message:
        name = call.header.fields[HeaderFields.member]
        self._called.add(name)
        match name:
            case "GetCapabilities":
                return new_method_return(call, "as", (["actions", "body"],))
            case "GetServerInformation":
                return new_method_return(call, "ssss", ("desktop", "geodispatch", "1", "1.2"))
            case "Notify":
                self._count += 1
                self._shown.put_nowait((self._count, call.body[3]))
                return new_method_return(call, "u", (self._count,))
            case _:  # CloseNotification
                return new_method_return(call)


@asynccontextmanager
async def open_desktop() -> AsyncIterator[Desktop]:
    """Start the bus, and serve the desktop on it."""
    with TemporaryDirectory(prefix="bus-") as folder:
        rules = Path(folder, "bus.conf")
        rules.write_text(BUS.format(folder=folder))
        daemon = await asyncio.create_subprocess_exec(
            "dbus-daemon", f"--config-file={rules}", "--nofork", "--print-address", stdout=asyncio.subprocess.PIPE
        )
        try:
            assert daemon.stdout is not None
            bus = (await daemon.stdout.readline()).decode().strip()
            async with await open_dbus_connection(bus) as connection:
                desktop = Desktop(bus, connection)
                await desktop.take_office()
                serving = asyncio.create_task(desktop.serve())
                try:
                    yield desktop
                finally:
                    await cancelled(serving)
        finally:
            daemon.terminate()
            await daemon.wait()
