"""The worker processes: the only place that may load a decoder of media."""
