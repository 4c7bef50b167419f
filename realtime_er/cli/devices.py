"""``realtime-er devices``."""

from __future__ import annotations

from realtime_er.cli import options
from realtime_er.cli.guard import notice


def devices(debug: options.Debug = False) -> None:
    """List cameras and microphones."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from realtime_er.sources.devices import list_cameras, list_microphones

    cameras, microphones = list_cameras(), list_microphones()
    camera_rows = [(str(camera.index), camera.name, "") for camera in cameras.devices]
    microphone_rows = [
        (
            str(microphone.index),
            microphone.name,
            f"{microphone.channels} channels, {microphone.rate_hz:.0f} Hz"
            + (", default" if microphone.is_default else ""),
        )
        for microphone in microphones.devices
    ]
    console = Console(highlight=False)
    for title, option, rows, problem in (
        ("cameras", "--camera", camera_rows, cameras.problem),
        ("microphones", "--mic", microphone_rows, microphones.problem),
    ):
        if not rows:
            console.print(f"{title}: none")
            notice(f"note: {problem}")
            continue
        table = Table(title=title, title_justify="left")
        for column in (option, "name", "details"):
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row))
        console.print(table)
