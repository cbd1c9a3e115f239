"""The effects adapter: what posters of the node have posted comes in as messages."""

from mfgroute.adapters.effects.source import EffectsSource, EffectsSourceConfig

__all__ = ["EffectsSource", "EffectsSourceConfig"]
