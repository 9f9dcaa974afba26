"""Pictures drawn by code: foregrounds with exact mattes, and backgrounds to lay them on.

For everybody who has no data yet, and for tests that need a truth known to the last bit.
"""

from mattingzoo.procedural.backgrounds import render_background
from mattingzoo.procedural.foregrounds import KINDS, Foreground, render_foreground
from mattingzoo.procedural.sheet import contact_sheet

__all__ = ["KINDS", "Foreground", "contact_sheet", "render_background", "render_foreground"]
