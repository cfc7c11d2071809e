"""What every page of the workbench is made of: its words in each language, its look, and the form of a template.

Owns the shared templates (`markup/ui`), the design system (`static/design.css`) and the words (`words`). Knows
nothing of jobs, requests or the network: the page of the HTTP front door and the page that chats show are both made of
it.
"""

from comfy_mcp.ui.environment import environment, read_static
from comfy_mcp.ui.words import LANGUAGES, Words, to_say, words_in

__all__ = ["LANGUAGES", "Words", "environment", "read_static", "to_say", "words_in"]
