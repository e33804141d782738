"""The half of the plugin that computes; imported when an augmenter is used."""
