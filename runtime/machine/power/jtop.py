"""Power sensors of Jetson boards, through the service of jetson-stats."""

from __future__ import annotations

from .meter import Meter


def find_jtop() -> Meter | str:
    """Find the service of jetson-stats, which some boards have.

    It serves containers, which do not see all sensors themselves.

    Returns:
        The meter, or a sentence why there is none.
    """
    try:
        from jtop import jtop
    except ImportError as error:
        return f"jetson-stats is not installed ({error})"
    client = jtop()
    try:
        client.start()
    except Exception as error:  # its own exceptions and those of sockets, by its release
        return f"the service of jetson-stats does not answer: {error}"

    def read() -> dict[str, float]:
        power = client.power
        watts = {name: values["power"] / 1000 for name, values in power["rail"].items()}
        total = power.get("tot", {})
        if total.get("name"):  # else it is a sum of rails, which may contain each other
            watts[total["name"]] = total["power"] / 1000
        return watts

    whole = client.power.get("tot", {}).get("name")
    scope = f"the board, by its rail {whole}" if whole else "the rails of the board"
    return Meter("jtop", scope, read, False, (whole,) if whole else (), client.close)
