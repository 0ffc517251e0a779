"""Requests that may be sent again: the first one acts, the others are told what it did."""
