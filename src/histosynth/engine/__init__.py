"""Engines: where functions over items are run. Results do not depend on the engine.

A piece of work is a module's function and one picklable item. It writes its result to a shared
folder, whole or not at all, and returns a small value. A lost worker therefore loses only its
piece, which is run again, and a stopped run continues when it is started again.
"""

from .engine import Engine
from .opening import ENGINES, EngineOptions, open_engine

__all__ = ["ENGINES", "Engine", "EngineOptions", "open_engine"]
