"""Tokens: a tick of synchronised inputs becomes arrays. In: messages and a store. Out: numpy. Never: learns anything."""
