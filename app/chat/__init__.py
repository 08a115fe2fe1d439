"""Questions about one's own labs: a bounded agent with tools, over a language model behind an interface."""
