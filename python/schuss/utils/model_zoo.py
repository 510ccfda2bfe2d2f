"""The older name of the hub's downloads.
Leans on hub."""

from schuss.hub import load_state_dict_from_url as load_url

__all__ = ["load_url"]
