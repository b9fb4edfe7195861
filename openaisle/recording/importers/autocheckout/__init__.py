"""AutoCheckout: a case of the contest becomes a store and a recording. In: files, databases. Out: a recording."""
