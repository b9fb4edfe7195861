"""Tokens: a tick of synchronised inputs becomes arrays. In: messages, a store. Out: numpy. Never: learns anything."""
