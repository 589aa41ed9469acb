"""Process that owns the window.

It is a process of its own because Tk wants the main thread, and so does whoever takes Ctrl-C while frames are restored.
Tk comes with Python, which neither SDL nor a player does. Frames come on stdin, each with its size before it; on stdout
goes one line of JSON: the size of the screen, or why there is no window. Its end is that of the window, or of stdin.
"""

from __future__ import annotations

import json
import struct
import sys
import threading
from typing import Any, BinaryIO

from ..sources.newest import NewestItem

SIZE = struct.Struct("<II")
"""Width and height before the pixels of a frame."""
_LOOK_MILLISECONDS = 10
"""Time between two looks for a newer frame."""


def main(title: str) -> int:
    """Show frames until the window or stdin is closed.

    Returns:
        The exit code.
    """
    try:
        import tkinter
    except ImportError as error:
        return _refuse(
            f"Python's module tkinter cannot be imported ({error}); install it: sudo apt-get install python3-tk"
        )
    try:
        root = tkinter.Tk()
    except tkinter.TclError as error:
        return _refuse(f"there is no screen ({error})")
    root.title(title)
    label = tkinter.Label(root, borderwidth=0)
    label.pack()
    for key in ("<Escape>", "q"):
        root.bind(key, lambda event: root.destroy())
    newest: NewestItem[bytes] = NewestItem()
    threading.Thread(target=read_frames, args=(sys.stdin.buffer, newest), daemon=True).start()

    def look() -> None:
        frame = newest.take(0)
        if frame is None and newest.ended:
            root.destroy()
            return
        if frame is not None:
            picture: Any = tkinter.PhotoImage(master=root, data=frame, format="ppm")
            label.configure(image=picture)
            label.picture = picture  # type: ignore[attr-defined]  # Tk keeps none by itself
        root.after(_LOOK_MILLISECONDS, look)

    _tell({"screen": [root.winfo_screenwidth(), root.winfo_screenheight()]})
    look()
    root.mainloop()
    return 0


def read_frames(stream: BinaryIO, newest: NewestItem[bytes]) -> None:
    """Read frames until the stream ends.

    Args:
        stream: frames, each with its size before it.
        newest: gets each as a PPM file.
    """
    try:
        while len(head := stream.read(SIZE.size)) == SIZE.size:
            width, height = SIZE.unpack(head)
            pixels = stream.read(3 * width * height)
            if len(pixels) < 3 * width * height:
                return
            newest.put(b"P6 %d %d 255\n" % (width, height) + pixels)
    finally:
        newest.end()


def _refuse(reason: str) -> int:
    _tell({"error": reason})
    return 1


def _tell(facts: dict[str, Any]) -> None:
    print(json.dumps(facts), flush=True)
