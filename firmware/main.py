"""Boot: serve the link until Ctrl-C gives the REPL back."""

from madem import serve

serve.run()
