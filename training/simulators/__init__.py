"""Seeded simulators that degrade clean pictures.

Each simulator takes a clean picture and returns the degraded picture and its true mask.
"""

from .base import VISIBLE, Degraded, Simulator
from .blur import CONTEXT, simulate_blur
from .rain import simulate_rain
from .raindrop import simulate_drops
from .shadow import simulate_shadow

SIMULATORS = {
    simulator.task: simulator
    for simulator in (
        Simulator("rain", margin=0, simulate=simulate_rain),
        Simulator("raindrop", margin=16, simulate=simulate_drops),
        Simulator("shadow", margin=0, simulate=simulate_shadow),
        Simulator("blur", margin=CONTEXT, simulate=simulate_blur),
    )
}
"""Simulators by task."""

__all__ = ["SIMULATORS", "VISIBLE", "Degraded", "Simulator"]
